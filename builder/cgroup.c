/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/str.h"

/* Of /proc/self/mountinfo: nodes with containers have thousands of mounts. */
#define MOUNTS_MAX (4 * 1024 * 1024)
/* Of a group's file: a process has a line. */
#define FILE_MAX (1024 * 1024)
/* With less not even the supervisor would run on, in bytes. */
#define MEMORY_LEAST ((uint64_t)64 * 1024 * 1024)
/* A period of the scheduler's, in microseconds: the kernel's own. */
#define CPU_PERIOD 100000
/* How often what was killed is looked for, and how long it may take to be gone, in
 * milliseconds: a process that waits for the disk ends afterwards.
 */
#define KILL_STEP_MS 1
#define KILL_MAX_MS 500
/* Until we are in it, cgroup_remove_left() may remove it. */
#define ENTER_TRIES 3

/* One hierarchy; version 2 has but one. */
struct hierarchy {
	bool is_v2;
	unsigned int kinds; /* whose limits it has, a bit each */
	struct cgroup_place was; /* where we come from */
	int parent, fd;
};

struct cgroup {
	char name[64];
	struct hierarchy v[CGROUP_KINDS + 1]; /* and the freezer's */
	size_t n;
	uint64_t seen[CGROUP_KINDS];
};

#define BIT(kind) (1U << (kind))

/* The freezer limits nothing, but Slurm (proctrack/cgroup) ends what it finds in a
 * job's.
 */
static const char *const controllers[] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PROCESSES] = "pids",
	[CGROUP_CPUS] = "cpu",
	[CGROUP_KINDS] = "freezer",
};

/* -- files -- */

static bool write_file(int fd, const char *name, const char *text)
{
	cleanup_close int file =
		openat(fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return file >= 0 && write(file, text, strlen(text)) >= 0;
}

static bool write_number(int fd, const char *name, uint64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return write_file(fd, name, text);
}

/* Whether the file 'name', words between blanks, has 'word'. */
static bool has_word(int fd, const char *name, const char *word)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(FILE_MAX);
	size_t len = strlen(word);

	if (aq_read_file(fd, name, &text, NULL) != 0)
		return false;
	for (const char *p = aq_str_get(&text); *p; p += strspn(p, " \n")) {
		size_t n = strcspn(p, " \n");

		if (n == len && strncmp(p, word, n) == 0)
			return true;
		p += n;
	}
	return false;
}

/* The number in the line "KEY N" of it; 0: it has none. */
static uint64_t read_count(int fd, const char *name, const char *key)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(FILE_MAX);
	size_t len = strlen(key);

	if (aq_read_file(fd, name, &text, NULL) != 0)
		return 0;
	for (const char *p = aq_str_get(&text); *p; p = aq_next_line(p))
		if (strncmp(p, key, len) == 0 && p[len] == ' ')
			return strtoull(p + len, NULL, 10);
	return 0;
}

/* -- what is in a group -- */

/* Kill all but ourselves; whether there was any. */
static bool kill_once(int fd)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(FILE_MAX);
	bool is_any = false;

	/* more than fits are there the next time */
	(void)!aq_read_file(fd, "cgroup.procs", &text, NULL);
	for (const char *p = aq_str_get(&text); *p; p = aq_next_line(p)) {
		pid_t pid = (pid_t)strtol(p, NULL, 10);

		/* 0: of a pid namespace that we do not see */
		if (pid > 0 && pid != getpid()) {
			(void)kill(pid, SIGKILL);
			is_any = true;
		}
	}
	return is_any;
}

static void kill_all(int fd)
{
	const struct timespec pause = { 0, KILL_STEP_MS * 1000000L };

	for (int ms = 0; ms < KILL_MAX_MS && kill_once(fd); ms += KILL_STEP_MS)
		nanosleep(&pause, NULL);
}

/* Whether there is no group 'name' any more. */
static bool drop(int parent, const char *name)
{
	cleanup_close int fd = -1;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return true;
	if (errno != EBUSY || aq_open_dir(parent, name, &fd, NULL) != 0)
		return false;
	kill_all(fd);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

void cgroup_kill_others(const struct cgroup *c)
{
	if (c && c->n)
		kill_all(c->v[0].fd);
}

/* -- where -- */

static bool open_place(const struct cgroup_place *p, int *ret_fd)
{
	*ret_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd >= 0;
}

static unsigned int wanted(const struct cgroup_limits *limits)
{
	return BIT(CGROUP_PROCESSES) |
	       (limits->memory ? BIT(CGROUP_MEMORY) : 0) |
	       (limits->cpus ? BIT(CGROUP_CPUS) : 0);
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
	    !open_place(&place, &fd))
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

/* Which of 'kinds' groups below 'fd' have, once they are asked for. */
static unsigned int enable(int fd, unsigned int kinds)
{
	unsigned int has = 0;
	char text[16];

	for (unsigned int k = 0; k < CGROUP_KINDS; k++) {
		if (!(kinds & BIT(k)))
			continue;
		snprintf(text, sizeof(text), "+%s", controllers[k]);
		if (!has_word(fd, "cgroup.subtree_control", controllers[k]) &&
		    !write_file(fd, "cgroup.subtree_control", text))
			continue;
		has |= BIT(k);
	}
	return has;
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
		if (!open_place(&place, &fd))
			continue;
		has = enable(fd, kinds);
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
	cleanup_str struct aq_str own = AQ_STR_INIT(FILE_MAX);
	struct cgroup_place place;
	unsigned int left = kinds;

	if (aq_read_file(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL) != 0 ||
	    aq_read_file(AT_FDCWD, "/proc/self/cgroup", &own, NULL) != 0)
		return;
	for (unsigned int k = 0; k < ARRAY_LEN(controllers); k++)
		if (cgroup_find(mounts.s, own.s, controllers[k], &place)) {
			add_v1(c, kinds & BIT(k), &place);
			left &= ~BIT(k);
		}
	if (left && cgroup_find(mounts.s, own.s, NULL, &place))
		add_v2(c, left, &place);
}

/* -- limits -- */

static bool limit_memory(const struct hierarchy *h, uint64_t max)
{
	if (max < MEMORY_LEAST)
		max = MEMORY_LEAST;
	if (h->is_v2) {
		/* not by swapping either */
		(void)write_file(h->fd, "memory.swap.max", "0");
		return write_number(h->fd, "memory.max", max);
	}
	if (!write_number(h->fd, "memory.limit_in_bytes", max))
		return false;
	/* where swap is counted */
	(void)write_number(h->fd, "memory.memsw.limit_in_bytes", max);
	return true;
}

static bool limit_cpus(const struct hierarchy *h, uint64_t cpus)
{
	char text[64];

	if (!h->is_v2)
		return write_number(h->fd, "cpu.cfs_period_us", CPU_PERIOD) &&
		       write_number(h->fd, "cpu.cfs_quota_us",
				    cpus * CPU_PERIOD);
	snprintf(text, sizeof(text), "%" PRIu64 " %d", cpus * CPU_PERIOD,
		 CPU_PERIOD);
	return write_file(h->fd, "cpu.max", text);
}

static void set_limits(struct hierarchy *h, const struct cgroup_limits *limits)
{
	if ((h->kinds & BIT(CGROUP_MEMORY)) && !limit_memory(h, limits->memory))
		h->kinds &= ~BIT(CGROUP_MEMORY);
	if ((h->kinds & BIT(CGROUP_CPUS)) && !limit_cpus(h, limits->cpus))
		h->kinds &= ~BIT(CGROUP_CPUS);
	if (faccessat(h->fd, "pids.max", W_OK, 0) < 0)
		h->kinds &= ~BIT(CGROUP_PROCESSES);
}

static const struct hierarchy *hierarchy_of(const struct cgroup *c,
					    enum cgroup_kind kind)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (c->v[i].kinds & BIT(kind))
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
		if ((wanted(limits) & BIT(k)) && !cgroup_holds(c, k))
			len += (size_t)snprintf(ret + len,
						CGROUP_LACKS_SIZE - len, "%s%s",
						len ? ", " : "", names[k]);
}

void cgroup_limit_processes(const struct cgroup *c, uint64_t n)
{
	const struct hierarchy *h = hierarchy_of(c, CGROUP_PROCESSES);

	if (h)
		(void)write_number(h->fd, "pids.max", n);
}

bool cgroup_was_met(struct cgroup *c, enum cgroup_kind kind)
{
	const struct hierarchy *h = hierarchy_of(c, kind);
	uint64_t n, before;

	if (!h)
		return false;
	if (kind == CGROUP_MEMORY)
		n = read_count(h->fd,
			       h->is_v2 ? "memory.events" : "memory.oom_control",
			       "oom_kill");
	else
		n = read_count(h->fd, "pids.events", "max");
	before = c->seen[kind];
	c->seen[kind] = n;
	return n > before;
}

/* -- in and out -- */

static int make(struct hierarchy *h, const char *name, struct aq_err *err)
{
	if (!drop(h->parent, name))
		return aq_fail_errno(err, "'%s/%s' cannot be removed", h->was.dir,
				     name);
	if (mkdirat(h->parent, name, 0755) < 0)
		return aq_fail_errno(err, "no control group near '%s'", h->was.dir);
	return aq_open_dir(h->parent, name, &h->fd, err);
}

static void end_hierarchy(struct hierarchy *h, const char *name)
{
	if (h->fd >= 0)
		(void)unlinkat(h->parent, name, AT_REMOVEDIR);
	aq_close_fd(&h->fd);
	aq_close_fd(&h->parent);
}

static bool enter(struct hierarchy *h, const char *name,
		  const struct cgroup_limits *limits, struct aq_err *err)
{
	const struct hierarchy fresh = *h;

	for (int tries = 0; tries < ENTER_TRIES; tries++) {
		aq_close_fd(&h->fd);
		*h = fresh;
		if (make(h, name, err) != 0)
			continue;
		set_limits(h, limits);
		if (write_file(h->fd, "cgroup.procs", "0"))
			return true;
		(void)aq_fail_errno(err, "cannot enter a control group near '%s'",
				    h->was.dir);
	}
	return false;
}

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

		if (enter(&h, c->name, limits, err))
			c->v[n++] = h;
		else
			end_hierarchy(&h, c->name);
	}
	c->n = n;
	*ret = c;
	return 0;
}

/* The job's may be gone by now, and groups of version 2 that have groups below are
 * not open to processes; the uppermost is.
 */
static void go_back(const struct hierarchy *h)
{
	struct cgroup_place place = h->was;

	do {
		cleanup_close int fd = -1;

		if (open_place(&place, &fd) &&
		    write_file(fd, "cgroup.procs", "0"))
			return;
	} while (cgroup_up(&place));
}

void cgroup_step_out(const struct cgroup *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (!write_file(c->v[i].parent, "cgroup.procs", "0"))
			go_back(&c->v[i]);
}

void cgroup_leave(struct cgroup *c)
{
	if (!c)
		return;
	cgroup_kill_others(c);
	for (size_t i = 0; i < c->n; i++) {
		go_back(&c->v[i]);
		end_hierarchy(&c->v[i], c->name);
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
		(void)drop(s->parent, name);
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
