/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/cgroup_hierarchy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/str.h"

/* Of /proc/self/mountinfo: nodes with containers have thousands of mounts. */
#define MOUNTS_MAX (4 * 1024 * 1024)
/* Of /proc/self/cgroup: a hierarchy has a line, in bytes. */
#define OWN_MAX (1024 * 1024)

struct cgroup {
	char name[64];
	struct hierarchy v[CGROUP_KINDS + 1]; /* and the freezer's */
	size_t n;
	uint64_t seen[CGROUP_KINDS];
};

/* -- where -- */

static unsigned int wanted(const struct cgroup_limits *limits)
{
	return CGROUP_BIT(CGROUP_PROCESSES) |
	       (limits->memory ? CGROUP_BIT(CGROUP_MEMORY) : 0) |
	       (limits->cpus ? CGROUP_BIT(CGROUP_CPUS) : 0);
}

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A hierarchy of version 1; two controllers may have one together. */
static void add_v1(struct cgroup *c, unsigned int kinds,
		   const struct cgroup_place *was)
{
	struct cgroup_place place = *was;
	struct hierarchy *h = &c->v[c->n];
	int fd;

	cgroup_out_of_job(&place);
	/* what has no limit is left for the job's sake alone */
	if ((!kinds && strcmp(place.dir, was->dir) == 0) ||
	    !cgroup_open_place(&place, &fd))
		return;
	for (size_t i = 0; i < c->n; i++)
		if (is_same(c->v[i].parent, fd)) {
			c->v[i].kinds |= kinds;
			close(fd);
			return;
		}
	*h = (struct hierarchy){ .kinds = kinds, .was = *was, .parent = fd,
				 .fd = -1 };
	c->n++;
}

/* Version 2: groups that have processes have no controllers for groups below, so it
 * may have to lie further up.
 */
static void add_v2(struct cgroup *c, unsigned int kinds,
		   const struct cgroup_place *was)
{
	struct hierarchy *h = &c->v[c->n];
	struct cgroup_place place = *was;
	unsigned int has;
	int fd;

	*h = (struct hierarchy){ .is_v2 = true, .was = *was, .parent = -1,
				 .fd = -1 };
	cgroup_out_of_job(&place);
	do {
		if (!cgroup_open_place(&place, &fd))
			continue;
		has = cgroup_enable(fd, kinds);
		if (h->parent < 0 || __builtin_popcount(has) >
					     __builtin_popcount(h->kinds)) {
			aq_close_fd(&h->parent);
			h->parent = fd;
			h->kinds = has;
		} else {
			close(fd);
		}
	} while (h->kinds != kinds && cgroup_up(&place));
	c->n += h->parent >= 0;
}

static void find_places(struct cgroup *c, unsigned int kinds)
{
	cleanup_str struct aq_str mounts = AQ_STR_INIT(MOUNTS_MAX);
	cleanup_str struct aq_str own = AQ_STR_INIT(OWN_MAX);
	struct cgroup_place place;
	unsigned int left = kinds;

	if (aq_read_file(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL) != 0 ||
	    aq_read_file(AT_FDCWD, "/proc/self/cgroup", &own, NULL) != 0)
		return;
	for (unsigned int k = 0; k < ARRAY_LEN(cgroup_controllers); k++)
		if (cgroup_find(mounts.s, own.s, cgroup_controllers[k], &place)) {
			add_v1(c, kinds & CGROUP_BIT(k), &place);
			left &= ~CGROUP_BIT(k);
		}
	if (left && cgroup_find(mounts.s, own.s, NULL, &place))
		add_v2(c, left, &place);
}

/* -- limits -- */

static const struct hierarchy *hierarchy_of(const struct cgroup *c,
					    enum cgroup_kind kind)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (c->v[i].kinds & CGROUP_BIT(kind))
			return &c->v[i];
	return NULL;
}

bool cgroup_holds(const struct cgroup *c, enum cgroup_kind kind)
{
	return hierarchy_of(c, kind) != NULL;
}

void cgroup_say_lacks(const struct cgroup *c, const struct cgroup_limits *limits,
		      char ret[CGROUP_LACKS_SIZE])
{
	static const char *const names[] = {
		[CGROUP_MEMORY] = "memory",
		[CGROUP_PROCESSES] = "processes",
		[CGROUP_CPUS] = "processors",
	};
	size_t len = 0;

	ret[0] = '\0';
	for (unsigned int k = 0; k < CGROUP_KINDS; k++)
		if ((wanted(limits) & CGROUP_BIT(k)) && !cgroup_holds(c, k))
			len += (size_t)snprintf(ret + len,
						CGROUP_LACKS_SIZE - len, "%s%s",
						len ? ", " : "", names[k]);
}

void cgroup_limit_processes(const struct cgroup *c, uint64_t n)
{
	const struct hierarchy *h = hierarchy_of(c, CGROUP_PROCESSES);

	if (h)
		hierarchy_limit_processes(h, n);
}

void cgroup_be_last(const struct cgroup *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		hierarchy_be_last(&c->v[i]);
}

bool cgroup_was_met(struct cgroup *c, enum cgroup_kind kind)
{
	const struct hierarchy *h = hierarchy_of(c, kind);
	uint64_t n, before;

	if (!h)
		return false;
	n = hierarchy_met(h, kind);
	before = c->seen[kind];
	c->seen[kind] = n;
	return n > before;
}

/* -- in and out -- */

int cgroup_enter(const char *name, const struct cgroup_limits *limits,
		 struct cgroup **ret, struct aq_err *err)
{
	struct cgroup *c = calloc(1, sizeof(*c));
	size_t n = 0;

	if (!c)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (!aq_copy_text(c->name, sizeof(c->name), name)) {
		free(c);
		return aq_fail(err, AQ_SYS, "'%s' is too long a name", name);
	}
	find_places(c, wanted(limits));
	if (!c->n)
		(void)aq_fail(err, AQ_SYS, "no hierarchy of control groups is mounted where it can be written");
	for (size_t i = 0; i < c->n; i++) {
		struct hierarchy h = c->v[i];

		if (hierarchy_enter(&h, c->name, limits, err))
			c->v[n++] = h;
		else
			hierarchy_end(&h, c->name);
	}
	c->n = n;
	*ret = c;
	return 0;
}

void cgroup_step_out(const struct cgroup *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		hierarchy_step_out(&c->v[i]);
}

void cgroup_kill_others(const struct cgroup *c)
{
	if (c && c->n)
		cgroup_kill_all(c->v[0].fd);
}

void cgroup_leave(struct cgroup *c)
{
	if (!c)
		return;
	cgroup_kill_others(c);
	for (size_t i = 0; i < c->n; i++) {
		hierarchy_go_back(&c->v[i]);
		hierarchy_end(&c->v[i], c->name);
	}
	free(c);
}

/* -- those of others -- */

struct sweeping {
	int parent;
	bool (*is_dead)(const char *name, void *arg);
	void *arg;
};

static int sweep_one(const char *name, void *arg, struct aq_err *err)
{
	const struct sweeping *s = arg;

	(void)err;
	if (s->is_dead(name, s->arg))
		(void)cgroup_drop(s->parent, name);
	return 0;
}

void cgroup_sweep(const struct cgroup *c,
		  bool (*is_dead)(const char *name, void *arg), void *arg)
{
	struct sweeping s = { .is_dead = is_dead, .arg = arg };

	for (size_t i = 0; c && i < c->n; i++) {
		s.parent = c->v[i].parent;
		(void)!aq_each_entry(s.parent, "control groups", sweep_one, &s,
				     NULL);
	}
}
