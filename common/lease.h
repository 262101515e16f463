/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: whether a step still lives.  A lease is a file in run_dir/leases that slurmstepd holds locked: the kernel
 * releases it whatever kills slurmstepd, and no clock or pid is asked.
 */
#ifndef AQ_LEASE_H
#define AQ_LEASE_H

#include "common/conf.h"
#include "common/err.h"
#include "common/refs.h"

/* JOB.STEP.HET.NODE; node names have 255 bytes at most (RFC 1035). */
#define AQ_LEASE_NAME_SIZE 320
void aq_lease_name(const struct aq_step *step, const char *node,
		   char ret[AQ_LEASE_NAME_SIZE]);

/* The lease of a step: a file in run_dir/leases, locked through the descriptor
 * that is returned (its open file description: fork and SCM_RIGHTS pass it
 * on), which the caller passes to slurmstepd to keep.  The kernel releases it
 * when the last holder dies.  AQ_BUSY: held.  Never waits.
 */
AQ_CHECK int aq_lease_acquire(const struct aq_conf *conf,
			      const struct aq_step *step, int *ret_fd,
			      struct aq_err *err);
/* Whether nobody holds the lease of 'step' (also when it has none).  Looking
 * is in nobody's way.
 */
AQ_CHECK int aq_lease_is_free(const struct aq_conf *conf,
			      const struct aq_step *step, bool *ret,
			      struct aq_err *err);
/* Call 'fn' for each lease that is held, of all nodes, until it returns non-zero,
 * which is returned.
 */
typedef int aq_lease_each_fn(const struct aq_step *step, const char *node,
			     void *arg, struct aq_err *err);
AQ_CHECK int aq_lease_each_held(const struct aq_conf *conf,
				aq_lease_each_fn *fn, void *arg,
				struct aq_err *err);

/* Its step came to its end: the holder makes the file, which is empty, this long
 * by its descriptor.  What it refers to is held by it no more, though its row and this
 * file stay until somebody sweeps them; a lease that is free and empty is one of
 * a slurmstepd that was killed.
 */
#define AQ_LEASE_ENDED 1 /* bytes; of a hole, so no memory */
/* Whether that was done; 'leases' is run_dir/leases. */
AQ_CHECK int aq_lease_open_all(const struct aq_conf *conf, int *ret_leases,
			       struct aq_err *err);
bool aq_lease_has_ended(int leases, const struct aq_step *step,
			const char *node);
/* Remove the file of one that has. */
AQ_CHECK int aq_lease_remove(int leases, const struct aq_step *step,
			     const char *node, struct aq_err *err);

/* Remove the lease files of 'job' on conf->node that nobody holds. */
AQ_CHECK int aq_lease_sweep(const struct aq_conf *conf, uint32_t job,
			    struct aq_err *err);

#endif
