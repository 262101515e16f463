/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody who was killed left in envs/ and meta/: no row names it, nobody
 * builds its lock, nothing uses it.
 */
#include <stdio.h>
#include <string.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/manifest.h"

/* Bytes of names that references hold: a million of them. */
#define HELD_MAX (64 * 1024 * 1024)

struct orphans {
	const struct aq_conf *conf;
	struct aq_store *store;
	struct aq_strv held; /* environments, sorted */
	uint64_t n;
};

static int add_held(const char *env, const char *digest, void *arg,
		    struct aq_err *err)
{
	(void)digest;
	(void)err;
	if (*env)
		aq_strv_add(arg, env);
	return 0;
}

static int read_held(struct orphans *o, struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_refs_open(o->conf, &refs, err);

	if (!rc)
		rc = aq_refs_each_held(refs, add_held, &o->held, err);
	if (!rc)
		rc = aq_strv_done(&o->held, "what references hold", err);
	aq_strv_sort(&o->held);
	return rc;
}

/* AQ_MISS: no row names it, and none inherits from it. */
static int check_row(struct aq_store *store, const char *name,
		     struct aq_err *err)
{
	uint64_t children = 0;
	bool is_there = true;
	int rc = aq_store_has_name(store, name, &is_there, err);

	if (rc || is_there)
		return rc;
	rc = aq_store_children(store, name, &children, err);
	return rc || children ? rc : AQ_MISS;
}

/* 'o' knows what is held. */
static int collect(const struct orphans *o, const char *name, bool is_mine,
		   struct aq_err *err)
{
	int rc = 0;

	if (aq_strv_has(&o->held, name))
		return aq_fail(err, AQ_BUSY, "it is in use");
	if (check_row(o->store, name, err) != AQ_MISS)
		return aq_fail(err, AQ_MISS, "'%s' has a row", name);
	if (!is_mine)
		rc = aq_flock_check_build(o->conf, name, err);
	/* its builder may have made the row and ended meanwhile */
	if (!rc && check_row(o->store, name, err) != AQ_MISS)
		rc = aq_fail(err, AQ_MISS, "'%s' has a row", name);
	if (!rc)
		rc = aq_manifest_remove(o->conf, name, err);
	return rc ? rc : aq_collect_to_trash(o->conf, name, err);
}

static int look_at(const char *name, void *arg, struct aq_err *err)
{
	struct orphans *o = arg;
	int rc;

	/* a base's mark, or not of our making */
	if (!aq_env_is_name(name))
		return 0;
	rc = collect(o, name, false, err);
	o->n += rc == 0;
	return rc == AQ_BUSY || rc == AQ_MISS ? 0 : rc;
}

int aq_collect_orphan(const struct aq_conf *conf, const char *name,
		      bool is_mine, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	struct orphans o = { .conf = conf, .held = AQ_STRV_INIT(HELD_MAX) };
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	o.store = store;
	if (!rc)
		rc = read_held(&o, err);
	if (!rc)
		rc = collect(&o, name, is_mine, err);
	aq_strv_free(&o.held);
	return rc;
}

int aq_collect_orphans(const struct aq_conf *conf, uint64_t *ret_n,
		       struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	struct orphans o = { .conf = conf, .held = AQ_STRV_INIT(HELD_MAX) };
	int rc;

	*ret_n = 0;
	/* busy, or of a newer version: it cannot be said */
	if (aq_store_open(conf, AQ_STORE_READ, &store, err) != 0)
		return 0;
	o.store = store;
	rc = read_held(&o, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, "meta", look_at, &o, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, "envs", look_at, &o, err);
	aq_strv_free(&o.held);
	*ret_n = o.n;
	return rc;
}
