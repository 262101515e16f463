/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's nodes, for a verb that has a job of its caller's run on each. */
#ifndef AQ_CLI_NODES_H
#define AQ_CLI_NODES_H

#include "common/err.h"
#include "common/str.h"

#define NODES_MAX 100000     /* more than a Slurm has */
#define NODES_IMMEDIATE "60" /* seconds that a node may take to have room */

/* What an outer job says would make srun start a step of that: it goes from the
 * environment.  What chooses whose time it costs (SLURM_ACCOUNT, …) stays.
 */
AQ_CHECK int nodes_leave_job(struct aq_err *err);

/* "NODE PARTITION" of each node of 'list', which Slurm reads, or of all that respond
 * (NULL): the first partition that takes jobs.  AQ_MISS: there is no node of that name
 * in any; AQ_SYS: Slurm's commands are not there, or do not answer.
 */
AQ_CHECK int nodes_find(const char *list, struct aq_strv *ret,
			struct aq_err *err);

#endif
