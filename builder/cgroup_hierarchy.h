/* SPDX-License-Identifier: Apache-2.0 */
/* The group that a build has in one hierarchy (cgroup.h has all of them together). */
#ifndef AQ_BUILDER_CGROUP_HIERARCHY_H
#define AQ_BUILDER_CGROUP_HIERARCHY_H

#include "builder/cgroup.h"

#define CGROUP_BIT(kind) (1U << (kind))

/* Of each kind of limit, and the freezer: it limits nothing, but Slurm
 * (proctrack/cgroup) ends what it finds in a job's.
 */
extern const char *const cgroup_controllers[CGROUP_KINDS + 1];

/* Version 2 has but one. */
struct hierarchy {
	bool is_v2;
	unsigned int kinds; /* whose limits it has, a bit each */
	struct cgroup_place was; /* where we come from */
	int parent, fd;
};

/* False: it cannot be opened. */
bool cgroup_open_place(const struct cgroup_place *p, int *ret_fd);
/* Version 2: which of 'kinds' groups below 'fd' have, once they are asked for. */
unsigned int cgroup_enable(int fd, unsigned int kinds);

/* Make the group 'name' there, with what can be had of its limits, and move into it;
 * false: 'err' says why not.
 */
bool hierarchy_enter(struct hierarchy *h, const char *name,
		     const struct cgroup_limits *limits, struct aq_err *err);
/* Out of it and not into a job's; back to where we come from, or as near as can be. */
void hierarchy_step_out(const struct hierarchy *h);
void hierarchy_go_back(const struct hierarchy *h);
/* Away with the group, and close what is open. */
void hierarchy_end(struct hierarchy *h, const char *name);

void hierarchy_limit_processes(const struct hierarchy *h, uint64_t n);
/* A tenth of the processors' time that each group beside it has, where they are given by
 * groups.
 */
void hierarchy_be_last(const struct hierarchy *h);
/* How often the limit of that kind was met; not of processors. */
uint64_t hierarchy_met(const struct hierarchy *h, enum cgroup_kind kind);
/* End all that is in the group 'fd' but this process, as far as it ends soon. */
void cgroup_kill_all(int fd);
/* The same of the group 'name', and remove it; false: it is still there. */
bool cgroup_drop(int parent, const char *name);

#endif
