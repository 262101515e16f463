/* SPDX-License-Identifier: Apache-2.0 */
/* A whole collection, for aq gc and for a build that meets a full disk. */
#include <fcntl.h>
#include <stdio.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/usage.h"

#define PATH_SIZE 1024

struct run {
	const struct aq_conf *conf;
	struct aq_collection *c;
	struct aq_usage gone; /* what went */
	struct aq_usage room; /* the package caches, and what went */
	uint64_t caches;      /* of 'room': bytes before anything went */
};

static void free_run(struct run *run)
{
	aq_usage_free(&run->gone);
	aq_usage_free(&run->room);
}

static int add_tree(const struct run *run, struct aq_usage *to, const char *sub,
		    const char *name, struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s/%s", run->conf->cache_dir, sub,
		 name);
	return aq_usage_add_tree(to, AT_FDCWD, path, err);
}

/* What an environment shares with the caches alone goes when they are swept
 * after it: most of it, where there are hard links.
 */
static int add_caches(struct run *run, struct aq_err *err)
{
	static const char *const caches[] = { "pkgs", "wheels", "bytecode" };
	int rc = 0;

	for (size_t i = 0; !rc && run->c->plan.n && i < ARRAY_LEN(caches); i++)
		rc = add_tree(run, &run->room, "work", caches[i], err);
	run->caches = run->room.whole;
	return rc;
}

/* Bytes that what went has made room for, or will with the next sweep. */
static uint64_t made(const struct run *run)
{
	return run->room.whole - run->caches;
}

/* What it frees besides what goes before it. */
static int measure(struct run *run, const char *name, uint64_t *ret,
		   struct aq_err *err)
{
	const char *sub = run->c->is_dry_run ? "envs" : "trash";
	uint64_t before = run->gone.whole;
	int rc = add_tree(run, &run->gone, sub, name, err);

	if (!rc)
		rc = add_tree(run, &run->room, sub, name, err);
	*ret = run->gone.whole - before;
	return rc;
}

static int take_victim(struct run *run, const struct aq_victim *v,
		       struct aq_err *err)
{
	struct aq_collection *c = run->c;
	uint64_t frees = 0;
	int rc = 0;

	/* the plan goes by what each holds alone: that is the least it frees */
	if (v->why == AQ_COLLECT_ROOM && made(run) >= c->plan.wanted)
		return 0;
	if (!c->is_dry_run)
		rc = aq_collect_one(run->conf, v, err);
	if (rc) /* used again, or gone: nothing to tell */
		return rc == AQ_BUSY || rc == AQ_MISS ? 0 : rc;
	rc = measure(run, v->name, &frees, err);
	if (rc)
		return rc;
	if (c->on_victim)
		c->on_victim(v, frees, c->arg);
	c->n_gone++;
	c->freed += frees;
	return 0;
}

/* Caches before environments: they cost nobody anything. */
static int plan(struct run *run, struct aq_err *err)
{
	struct aq_collection *c = run->c;
	int rc = aq_collect_caches(run->conf, c->is_dry_run, &c->caches, err);

	if (!rc)
		rc = aq_collect_measure(run->conf, &c->state, err);
	if (rc)
		return rc;
	c->state.max_freed = c->max_freed;
	if (c->is_dry_run) {
		c->state.free += c->caches;
		c->state.size -= c->caches < c->state.size ? c->caches :
							     c->state.size;
	}
	rc = aq_collect_plan(run->conf, &c->state, &c->plan, err);
	return rc ? rc : add_caches(run, err);
}

/* What is not of the plan. */
static int clean_up(struct run *run, struct aq_err *err)
{
	struct aq_collection *c = run->c;
	uint64_t caches = made(run) > c->freed ? made(run) - c->freed : 0;
	int rc = 0;

	if (!c->is_dry_run)
		rc = aq_collect_orphans(run->conf, &c->n_orphans, err);
	if (!rc && !c->is_dry_run)
		rc = aq_collect_empty_trash(run->conf, c->is_idle, err);
	if (!rc && !c->is_dry_run)
		rc = aq_collect_caches(run->conf, false, &caches, err);
	if (!rc && !c->is_dry_run)
		rc = aq_collect_traces(run->conf, &caches, err);
	c->caches += caches;
	return rc;
}

int aq_collect_run(const struct aq_conf *conf, struct aq_collection *c,
		   struct aq_err *err)
{
	__attribute__((cleanup(free_run))) struct run run = { .conf = conf,
							      .c = c };
	int rc = plan(&run, err);

	for (size_t i = 0; !rc && i < c->plan.n; i++)
		rc = take_victim(&run, &c->plan.v[i], err);
	if (!rc)
		rc = clean_up(&run, err);
	if (!c->is_dry_run)
		aq_collect_count(conf, c->n_gone, c->freed + c->caches);
	if (!rc && !c->is_dry_run)
		aq_collect_note_end(conf);
	c->lacks = made(&run) < c->plan.wanted ? c->plan.wanted - made(&run) : 0;
	return rc;
}
