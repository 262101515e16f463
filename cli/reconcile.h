/* SPDX-License-Identifier: Apache-2.0 */
/* aq gc --reconcile: references of jobs that Slurm does not know any more. */
#ifndef AQ_CLI_RECONCILE_H
#define AQ_CLI_RECONCILE_H

#include "common/conf.h"
#include "common/err.h"

/* Drop the references of jobs on conf->node that squeue(1) does not list, whose
 * steps hold no lease, and whose environments no process uses; *ret_n jobs.
 * AQ_SYS: squeue failed, and nothing was dropped.
 */
AQ_CHECK int reconcile(const struct aq_conf *conf, uint64_t *ret_n,
		       struct aq_err *err);

#endif
