/* SPDX-License-Identifier: Apache-2.0 */
/* References: which job and step of which node uses which request's environment.
 * Each step's is its lease (common/lease.h); what a job holds as a whole, for the
 * steps that will come, is said by its mark (common/job.h).
 *
 * A reader writes into its lease the request's digest *first* and looks up
 * then: whatever it finds is already held.  Once it knows which environment it
 * uses the lease says that one and no other.  Who collects holds aq_refs_lock()
 * from its last look at the references until the environment is gone; who looks
 * up shares it (AQ_FLOCK_REFS).
 *
 * refs.db is where uses are counted and who asks for what is noted until that is
 * moved to cache.db, so that a step's start waits for no disk: it is in run_dir,
 * which is gone with the boot, so nothing there is flushed.
 */
#ifndef AQ_REFS_H
#define AQ_REFS_H

#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/flock.h"
#include "common/lease.h"
#include "common/sha256.h"

struct aq_refs;
struct aq_tally; /* common/tally.h */

/* Open conf->run_dir/refs.db, creating it; 'conf' must outlive it.  A damaged file
 * is set aside as refs.db.corrupt-N and an empty one made: what was noted is lost,
 * and what is asked for since may be taken for obsolete.  AQ_BUSY: locked for
 * longer than a hook may wait.  Root (or the owner of a personal cache).
 */
AQ_CHECK int aq_refs_open(const struct aq_conf *conf, struct aq_refs **ret,
			  struct aq_err *err);
/* For who met AQ_CORRUPT later: read every page, and do as above with what is damaged
 * anywhere.
 */
AQ_CHECK int aq_refs_heal(const struct aq_conf *conf, struct aq_err *err);
/* To look only (aq_refs_each(), aq_refs_each_held(), aq_refs_count()): nothing is
 * made or set aside; not there is empty.  AQ_CORRUPT: damaged.
 */
AQ_CHECK int aq_refs_open_to_look(const struct aq_conf *conf,
				  struct aq_refs **ret, struct aq_err *err);
void aq_refs_close(struct aq_refs *refs);
#define aq_refs_free aq_refs_close
DEFINE_CLEANUP(aq_refs);
#define cleanup_refs __attribute__((cleanup(aq_refs_cleanup_)))

/* Take a reference for 'step' on conf->node; taking it twice is one, with the
 * later digest.  AQ_USER: 'digest' is none.
 */
AQ_CHECK int aq_refs_take(struct aq_refs *refs, const struct aq_step *step,
			  const char *digest, struct aq_err *err);
/* The epilog: the references of all the job's steps whose lease is free, on
 * conf->node; then the files of those leases.  A step whose environment a process
 * still uses keeps its reference (refs_end.c): tasks outlive a slurmstepd that is
 * killed.
 */
AQ_CHECK int aq_refs_drop_job(struct aq_refs *refs, uint32_t job,
			      struct aq_err *err);
/* A step waited for a builder: from now on its reference, if it has one, holds
 * environment 'env', which that found; one use of it is counted, at 'now' (Unix
 * seconds), and what 'tally' does.
 */
AQ_CHECK int aq_refs_hold_built(struct aq_refs *refs,
				const struct aq_step *step, const char *env,
				uint64_t now, const struct aq_tally *tally,
				struct aq_err *err);
/* Count the uses of a job's steps, each a hit: names of environments, which are
 * sorted.
 */
AQ_CHECK int aq_refs_note_uses(struct aq_refs *refs, struct aq_strv *names,
			       uint64_t now, struct aq_err *err);
/* Count no more than what 'tally' does: hits are hits of 'env', which may be
 * NULL where there are none.
 */
AQ_CHECK int aq_refs_add_tally(struct aq_refs *refs, const char *env,
			       uint64_t now, const struct aq_tally *tally,
			       struct aq_err *err);
/* Drop references of steps on conf->node whose lease is free and whose job has
 * had its epilog, and the files of their leases; those that a process still
 * uses stay, as above.
 */
AQ_CHECK int aq_refs_sweep(struct aq_refs *refs, struct aq_err *err);
/* The same until there are none left, however long that takes; for who has no
 * deadline.  The others take so many at a time that they keep theirs.
 */
AQ_CHECK int aq_refs_sweep_all(struct aq_refs *refs, struct aq_err *err);

/* AQ_BUSY: a step runs, as its lease says, without a reference: it is about to
 * take one, or could not; nobody knows what it uses.
 */
AQ_CHECK int aq_refs_check_leases(struct aq_refs *refs, struct aq_err *err);

/* Until aq_refs_unlock() nobody else looks anything up who would find what is being
 * removed.  AQ_BUSY: somebody does so for longer than a hook may wait.
 */
AQ_CHECK int aq_refs_lock(struct aq_refs *refs, struct aq_err *err);
void aq_refs_unlock(struct aq_refs *refs);
/* A transaction of refs.db: nobody else counts or notes anything; 'rc' as for
 * aq_db_end().
 */
AQ_CHECK int aq_refs_begin(struct aq_refs *refs, struct aq_err *err);
AQ_CHECK int aq_refs_end(struct aq_refs *refs, int rc, struct aq_err *err);

/* Call 'fn' for what each step, and each job as a whole, of all nodes holds: an
 * environment, or (env "") what serves a digest.
 */
typedef int aq_refs_holds_fn(const char *env, const char *digest, void *arg,
			     struct aq_err *err);
AQ_CHECK int aq_refs_each_held(struct aq_refs *refs, aq_refs_holds_fn *fn,
			       void *arg, struct aq_err *err);

/* Uses that were counted since aq_refs_clear_uses(), in Unix seconds: kept here
 * so that a step's start waits for no disk, moved to cache.db in bulk.
 */
struct aq_use {
	uint64_t n;    /* steps that hold it; may be 0 */
	uint64_t hits; /* look-ups that found it */
	uint64_t last; /* when */
};
typedef int aq_refs_uses_fn(const char *env, const struct aq_use *use,
			    void *arg, struct aq_err *err);
AQ_CHECK int aq_refs_each_use(struct aq_refs *refs, aq_refs_uses_fn *fn,
			      void *arg, struct aq_err *err);
/* What else was, added to 'ret'. */
AQ_CHECK int aq_refs_tally(struct aq_refs *refs, struct aq_tally *ret,
			   struct aq_err *err);
/* When the first of all that was; 0: there is none. */
AQ_CHECK int aq_refs_oldest_use(struct aq_refs *refs, uint64_t *ret,
				struct aq_err *err);
AQ_CHECK int aq_refs_clear_uses(struct aq_refs *refs, struct aq_err *err);

/* How many references hold 'digest' (NULL: any). */
AQ_CHECK int aq_refs_count(struct aq_refs *refs, const char *digest,
			   uint64_t *ret, struct aq_err *err);

/* Call 'each' for every reference, of all nodes, sorted by job and step, until
 * it returns non-zero, which is returned.
 */
typedef int (*aq_refs_each_fn)(const struct aq_lease *ref, void *arg,
			       struct aq_err *err);
AQ_CHECK int aq_refs_each(struct aq_refs *refs, aq_refs_each_fn each,
			  void *arg, struct aq_err *err);

#endif
