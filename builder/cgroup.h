/* SPDX-License-Identifier: Apache-2.0 */
/* A control group of a build's own (cgroups(7)): what all programs of the build may
 * take together.  It lies beside the job's, so that what a build takes is not
 * counted against the job, and what ends the job's processes does not end a build
 * that others wait for.
 *
 *   cgroup_place.c      where it may lie, as /proc has it
 *   cgroup_hierarchy.c  making, entering and leaving it in one hierarchy
 *   cgroup.c            in all of them
 *   cgroup_left.c       removing what was not left
 *
 * The supervisor is in it too: to move a process costs 11 ms, each time, and what
 * it forks is there from the start.
 */
#ifndef AQ_BUILDER_CGROUP_H
#define AQ_BUILDER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum cgroup_kind {
	CGROUP_MEMORY,
	CGROUP_PROCESSES,
	CGROUP_CPUS,
	CGROUP_KINDS
};

struct cgroup_limits {
	uint64_t memory; /* bytes; 0: any */
	uint64_t cpus;   /* 0: any */
};

struct cgroup;

/* Make the group 'name' with these limits, and move this process into it.  Root
 * only.  Returns 0 and sets *ret (leave it by cgroup_leave()) also where not all, or
 * nothing, of it can be had: cgroup_holds() tells, and 'err' has a word of why.
 * AQ_SYS: out of memory.
 */
AQ_CHECK int cgroup_enter(const char *name, const struct cgroup_limits *limits,
			  struct cgroup **ret, struct aq_err *err);
/* Back to where this process was, or as near as it can, and away with the group;
 * NULL is none.
 */
void cgroup_leave(struct cgroup *c);
/* For what was forked in it: out of it, and not into a job's, which may end before; the
 * group stays.
 */
void cgroup_step_out(const struct cgroup *c);

/* Whether a limit of that kind counts; not of NULL. */
bool cgroup_holds(const struct cgroup *c, enum cgroup_kind kind);
/* Which of 'limits' it does not hold, and of processes: "memory, processes", or "". */
#define CGROUP_LACKS_SIZE 64
void cgroup_say_lacks(const struct cgroup *c, const struct cgroup_limits *limits,
		      char ret[CGROUP_LACKS_SIZE]);
/* From now on so many processes and threads, ours included. */
void cgroup_limit_processes(const struct cgroup *c, uint64_t n);
/* From now on it has a tenth of the processors' time that each group beside it has. */
void cgroup_be_last(const struct cgroup *c);
/* Whether it was met since this was last asked. */
bool cgroup_was_met(struct cgroup *c, enum cgroup_kind kind);
/* End all that is in it but this process. */
void cgroup_kill_others(const struct cgroup *c);
/* Groups beside it, of builders that were killed: those whose name 'is_dead' says so
 * of end with all that is in them.
 */
void cgroup_sweep(const struct cgroup *c,
		  bool (*is_dead)(const char *name, void *arg), void *arg);

/* -- cgroup_left.c -- */
#define CGROUP_OF_BUILD "aq-build-"
/* Remove all groups whose names begin so and that nobody is in, wherever they lie.  Root;
 * for others nothing goes.
 */
void cgroup_remove_left(void);

/* -- cgroup_place.c: pure -- */

#define CGROUP_PATH_MAX 4096

/* Where a process is in a hierarchy. */
struct cgroup_place {
	char dir[CGROUP_PATH_MAX]; /* absolute */
	size_t top; /* so long is what is mounted of it: nothing lies above */
};

/* In the one that has 'controller', or (NULL) in that of version 2, by the text of
 * /proc/self/mountinfo and /proc/self/cgroup.  False: there is none.
 */
AQ_CHECK bool cgroup_find(const char *mounts, const char *own,
			  const char *controller, struct cgroup_place *ret);
/* Out of what Slurm made for a job: uid_N/job_N/... or job_N/... */
void cgroup_out_of_job(struct cgroup_place *p);
/* To the group above.  False: there is none. */
bool cgroup_up(struct cgroup_place *p);

#endif
