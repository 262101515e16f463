/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: which jobs use this node's cache, run_dir/jobs/JOB.NODE.  A mark is made
 * with a job's first reference and goes with its epilog, so that the epilog of a
 * job that never took one costs one access(2).  Needs no foreign library: the
 * prolog loads none.
 *
 * Its lines: "holds BOOT DIGEST", what the job asks for as a whole: what serves
 * that digest is not collected between its prolog and its epilog; "prolog US", what
 * the prolog took; "refreshed KEY", what it has resolved afresh; "workflow", one of
 * its steps is of one; "used ENV US", a step found that, and its stage took so long.
 * US is in microseconds.
 */
#ifndef AQ_JOB_H
#define AQ_JOB_H

#include "common/conf.h"
#include "common/err.h"
#include "common/sha256.h"
#include "common/tally.h"

#define AQ_BOOT_ID_SIZE 40 /* a UUID (random(4)) and its newline */
AQ_CHECK int aq_boot_id(char ret[AQ_BOOT_ID_SIZE], struct aq_err *err);

/* The path of the mark of 'job' on conf->node. */
void aq_job_mark_name(const struct aq_conf *conf, uint32_t job, char *ret,
		      size_t size);
/* Make it, in a run_dir that is set up. */
AQ_CHECK int aq_job_mark(const struct aq_conf *conf, uint32_t job,
			 struct aq_err *err);
bool aq_job_is_marked(const struct aq_conf *conf, uint32_t job);
/* The prolog, which began at 'since_us' (aq_now_us()): make it, and let it hold
 * 'digest', which a user claims.  AQ_USER: that is none.  run_dir is set up if
 * need be.
 */
AQ_CHECK int aq_job_hold(const struct aq_conf *conf, uint32_t job,
			 const char *digest, int64_t since_us,
			 struct aq_err *err);
/* The epilog; not there is no failure. */
AQ_CHECK int aq_job_unmark(const struct aq_conf *conf, uint32_t job,
			   struct aq_err *err);

bool aq_job_has_refreshed(const struct aq_conf *conf, uint32_t job,
			  const char *key);
AQ_CHECK int aq_job_note_refresh(const struct aq_conf *conf, uint32_t job,
				 const char *key, struct aq_err *err);

/* Whether a step of the job was of a workflow, so that something may be obsolete
 * once the job is over.
 */
bool aq_job_has_workflow(const struct aq_conf *conf, uint32_t job);
AQ_CHECK int aq_job_note_workflow(const struct aq_conf *conf, uint32_t job,
				  struct aq_err *err);

/* A step, whose stage began at 'since_us' (aq_now_us()), found environment 'env'
 * (this makes a mark too).
 */
AQ_CHECK int aq_job_note_use(const struct aq_conf *conf, uint32_t job,
			     const char *env, int64_t since_us,
			     struct aq_err *err);
/* All that were found, once a step, in 'ret'; what prolog and stages took is added
 * to 'tally'.
 */
#define AQ_JOB_USES_MAX 100000 /* steps that count */
AQ_CHECK int aq_job_uses(const struct aq_conf *conf, uint32_t job,
			 struct aq_strv *ret, struct aq_tally *tally,
			 struct aq_err *err);

/* Call 'fn' for every mark, of all nodes, until it returns non-zero, which is
 * returned.  'digest' is what it holds in this boot, or "".
 */
typedef int aq_job_each_fn(uint32_t job, const char *node, const char *digest,
			   void *arg, struct aq_err *err);
AQ_CHECK int aq_job_each(const struct aq_conf *conf, aq_job_each_fn *fn,
			 void *arg, struct aq_err *err);

#endif
