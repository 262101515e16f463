/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/cgroup_hierarchy.h"

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

/* Of a group's file: a process has a line. */
#define FILE_MAX (1024 * 1024)
/* With less not even the supervisor would run on, in bytes. */
#define MEMORY_LEAST ((uint64_t)64 * 1024 * 1024)
/* A period of the scheduler's, in microseconds: the kernel's own. */
/* A tenth of the kernel's own (100; 1024). */
#define CPU_WEIGHT_LAST 10
#define CPU_SHARES_LAST 102
#define CPU_PERIOD 100000
/* How often what was killed is looked for, and how long it may take to be gone, in
 * milliseconds: a process that waits for the disk ends afterwards.
 */
#define KILL_STEP_MS 1
#define KILL_MAX_MS 500
/* Until we are in it, cgroup_remove_left() may remove it. */
#define ENTER_TRIES 3

const char *const cgroup_controllers[] = {
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

void cgroup_kill_all(int fd)
{
	const struct timespec pause = { 0, KILL_STEP_MS * 1000000L };

	for (int ms = 0; ms < KILL_MAX_MS && kill_once(fd); ms += KILL_STEP_MS)
		nanosleep(&pause, NULL);
}

bool cgroup_drop(int parent, const char *name)
{
	cleanup_close int fd = -1;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return true;
	if (errno != EBUSY || aq_open_dir(parent, name, &fd, NULL) != 0)
		return false;
	cgroup_kill_all(fd);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/* -- where -- */

bool cgroup_open_place(const struct cgroup_place *p, int *ret_fd)
{
	*ret_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd >= 0;
}

unsigned int cgroup_enable(int fd, unsigned int kinds)
{
	unsigned int has = 0;
	char text[16];

	for (unsigned int k = 0; k < CGROUP_KINDS; k++) {
		if (!(kinds & CGROUP_BIT(k)))
			continue;
		snprintf(text, sizeof(text), "+%s", cgroup_controllers[k]);
		if (!has_word(fd, "cgroup.subtree_control",
			      cgroup_controllers[k]) &&
		    !write_file(fd, "cgroup.subtree_control", text))
			continue;
		has |= CGROUP_BIT(k);
	}
	return has;
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
	if ((h->kinds & CGROUP_BIT(CGROUP_MEMORY)) && !limit_memory(h, limits->memory))
		h->kinds &= ~CGROUP_BIT(CGROUP_MEMORY);
	if ((h->kinds & CGROUP_BIT(CGROUP_CPUS)) && !limit_cpus(h, limits->cpus))
		h->kinds &= ~CGROUP_BIT(CGROUP_CPUS);
	if (faccessat(h->fd, "pids.max", W_OK, 0) < 0)
		h->kinds &= ~CGROUP_BIT(CGROUP_PROCESSES);
}

void hierarchy_limit_processes(const struct hierarchy *h, uint64_t n)
{
	(void)write_number(h->fd, "pids.max", n);
}

void hierarchy_be_last(const struct hierarchy *h)
{
	/* another controller's has no such file */
	if (h->is_v2)
		(void)write_number(h->fd, "cpu.weight", CPU_WEIGHT_LAST);
	else
		(void)write_number(h->fd, "cpu.shares", CPU_SHARES_LAST);
}

uint64_t hierarchy_met(const struct hierarchy *h, enum cgroup_kind kind)
{
	if (kind == CGROUP_PROCESSES)
		return read_count(h->fd, "pids.events", "max");
	return read_count(h->fd, h->is_v2 ? "memory.events" : "memory.oom_control",
			  "oom_kill");
}

/* -- in and out -- */

static int make(struct hierarchy *h, const char *name, struct aq_err *err)
{
	if (!cgroup_drop(h->parent, name))
		return aq_fail_errno(err, "'%s/%s' cannot be removed", h->was.dir,
				     name);
	if (mkdirat(h->parent, name, 0755) < 0)
		return aq_fail_errno(err, "no control group near '%s'", h->was.dir);
	return aq_open_dir(h->parent, name, &h->fd, err);
}

void hierarchy_end(struct hierarchy *h, const char *name)
{
	if (h->fd >= 0)
		(void)unlinkat(h->parent, name, AT_REMOVEDIR);
	aq_close_fd(&h->fd);
	aq_close_fd(&h->parent);
}

bool hierarchy_enter(struct hierarchy *h, const char *name,
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

/* The job's may be gone by now, and groups of version 2 that have groups below are
 * not open to processes; the uppermost is.
 */
void hierarchy_go_back(const struct hierarchy *h)
{
	struct cgroup_place place = h->was;

	do {
		cleanup_close int fd = -1;

		if (cgroup_open_place(&place, &fd) &&
		    write_file(fd, "cgroup.procs", "0"))
			return;
	} while (cgroup_up(&place));
}

void hierarchy_step_out(const struct hierarchy *h)
{
	if (!write_file(h->parent, "cgroup.procs", "0"))
		hierarchy_go_back(h);
}
