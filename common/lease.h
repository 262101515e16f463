/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: what each step on a node uses, and whether it still lives.  A lease is a
 * file of run_dir/leases, named after the step, that slurmstepd holds locked: the
 * kernel releases it whatever kills slurmstepd, and no clock or pid is asked.  It
 * says what the step holds: all that serves the digest of its request, or, once
 * that is known, one environment.
 *
 * Needs no library, so that a step's start does not load one for it.
 */
#ifndef AQ_LEASE_H
#define AQ_LEASE_H

#include "common/conf.h"
#include "common/err.h"

/* Slurm's ids; the batch step is 0xfffffffb, see slurm.h. */
struct aq_step {
	uint32_t job;
	uint32_t step;
	uint32_t het;  /* component of a het step, or UINT32_MAX */
};

/* JOB.STEP.HET.NODE; node names have 255 bytes at most (RFC 1035). */
#define AQ_LEASE_NAME_SIZE 320
void aq_lease_name(const struct aq_step *step, const char *node,
		   char ret[AQ_LEASE_NAME_SIZE]);

enum aq_lease_state {
	AQ_LEASE_EMPTY, /* nothing is held yet */
	AQ_LEASE_HOLDS,
	AQ_LEASE_ENDED, /* the step did, or its node since */
	AQ_LEASE_DAMAGED, /* nobody knows what it holds */
};
#define AQ_LEASE_DIGEST_SIZE 65 /* as AQ_SHA256_HEX_SIZE */
#define AQ_LEASE_ENV_SIZE 40    /* as AQ_ENV_NAME_SIZE */
struct aq_lease {
	struct aq_step step;
	char node[256];
	enum aq_lease_state state;
	char digest[AQ_LEASE_DIGEST_SIZE];
	char env[AQ_LEASE_ENV_SIZE]; /* "": whatever serves the digest */
};

/* -- the holder's -- */

/* The lease of a step, empty: locked through the descriptor
 * that is returned (its open file description: fork and SCM_RIGHTS pass it
 * on), which the caller passes to slurmstepd to keep.  The kernel releases it
 * when the last holder dies.  AQ_BUSY: held.  Never waits.
 */
AQ_CHECK int aq_lease_acquire(const struct aq_conf *conf,
			      const struct aq_step *step, int *ret_fd,
			      struct aq_err *err);
/* From now on it holds 'env', or (env "") what serves 'digest'; both at once. */
AQ_CHECK int aq_lease_write(int fd, const char *digest, const char *env,
			    struct aq_err *err);
/* The step came to its end: it holds nothing any more, says so, and its file goes;
 * where that cannot be had somebody sweeps it.  One that is free and does not say so
 * is of a slurmstepd that was killed.  So there are no more files than steps that run,
 * however many a job has had.
 */
AQ_CHECK int aq_lease_end(int fd, struct aq_err *err);

/* -- others' -- */

/* Make it hold what serves 'digest', and be there, without locking it. */
AQ_CHECK int aq_lease_put(const struct aq_conf *conf,
			  const struct aq_step *step, const char *digest,
			  struct aq_err *err);
/* Make one that holds anything hold 'env'.  AQ_MISS: it does not. */
AQ_CHECK int aq_lease_set_env(const struct aq_conf *conf,
			      const struct aq_step *step, const char *env,
			      struct aq_err *err);
/* It is of another domain than was thought: from 'from' to 'to', whose run_dirs are on
 * one file system; who holds it goes on to.  It may be there already.
 */
AQ_CHECK int aq_lease_move(const struct aq_conf *from, const struct aq_conf *to,
			   const struct aq_step *step, struct aq_err *err);
/* Whether nobody holds the lease of 'step' on conf->node (also when it has none).
 * Looking is in nobody's way.
 */
AQ_CHECK int aq_lease_is_free(const struct aq_conf *conf,
			      const struct aq_step *step, bool *ret,
			      struct aq_err *err);
/* Remove its file; the second only if nobody holds it, else AQ_BUSY. */
AQ_CHECK int aq_lease_remove(const struct aq_conf *conf,
			     const struct aq_step *step, struct aq_err *err);
AQ_CHECK int aq_lease_remove_free(const struct aq_conf *conf,
				  const struct aq_step *step,
				  struct aq_err *err);

/* Call 'fn' for each lease, of all nodes, until it returns non-zero, which is
 * returned.  Files that are named like none are passed over.
 */
typedef int aq_lease_each_fn(const struct aq_lease *lease, void *arg,
			     struct aq_err *err);
AQ_CHECK int aq_lease_each(const struct aq_conf *conf, aq_lease_each_fn *fn,
			   void *arg, struct aq_err *err);
/* The same for those alone that 'wants', by step and node, says so of: only these are
 * opened.
 */
typedef bool aq_lease_wants_fn(const struct aq_lease *lease, void *arg);
AQ_CHECK int aq_lease_each_of(const struct aq_conf *conf,
			      aq_lease_wants_fn *wants, aq_lease_each_fn *fn,
			      void *arg, struct aq_err *err);

#endif
