/* SPDX-License-Identifier: Apache-2.0 */
#include "common/phases.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/collect.h"
#include "common/hit.h"
#include "common/job.h"
#include "common/layout.h"
#include "common/lease.h"
#include "common/lookup.h"
#include "common/memo.h"
#include "common/notes.h"
#include "common/private.h"
#include "common/refs_asked.h"
#include "common/store.h"

/* Uses stay in refs.db for this long, in seconds, at least. */
#define USES_SECONDS 60

int aq_phase_submit(struct aq_submit *submit, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_request struct aq_request *req = NULL;
	int rc = aq_conf_load(submit->conf_path, NULL, &conf, err);

	if (!rc && submit->file)
		rc = aq_request_read(submit->file, conf, &req,
				     submit->warnings, err);
	else if (!rc)
		rc = aq_request_parse(submit->snapshot,
				      strlen(submit->snapshot), conf, &req,
				      err);
	if (!rc && submit->is_isolated)
		rc = aq_request_isolate(req, err);
	if (rc)
		return rc;
	aq_str_add_mem(submit->canonical, req->canonical, req->canonical_len);
	memcpy(submit->digest, req->digest, sizeof(submit->digest));
	submit->is_prefetched = conf->prefetch;
	return aq_str_done(submit->canonical, "the request", err);
}

static int has_news(const struct aq_conf *conf, struct aq_refs *refs, bool *ret,
		    struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_refs_is_asked(refs, NULL, ret, err);

	if (rc || !*ret)
		return rc;
	rc = aq_store_open(conf, AQ_STORE_READ, &store, err);
	return rc ? rc : aq_store_has_news(store, refs, ret, err);
}

/* run_dir is gone with the boot; but not every epilog waits for the disk: only
 * that of a job by which something may have become obsolete, and one a minute.
 */
static int is_worth_a_flush(const struct aq_conf *conf, struct aq_refs *refs,
			    bool *ret, struct aq_err *err)
{
	uint64_t oldest = 0, now = (uint64_t)time(NULL);
	int rc = aq_refs_oldest_use(refs, &oldest, err);

	/* one in the future: a clock was set back */
	*ret = !rc && oldest && (oldest > now || now - oldest >= USES_SECONDS);
	return rc || *ret ? rc : has_news(conf, refs, ret, err);
}

static int keep_notes(const struct aq_conf *conf, struct aq_refs *refs,
		      struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	bool is_due = false;
	int rc = is_worth_a_flush(conf, refs, &is_due, err);

	if (!rc && is_due)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	if (!rc && is_due)
		rc = aq_store_take_notes(conf, store, refs, err);
	/* the next epilog finds them */
	return rc == AQ_BUSY || rc == AQ_MISS || rc == AQ_CORRUPT ? 0 : rc;
}

/* The first failure counts, and keeps nothing else from being done: a job has one
 * epilog, and a full disk is a reason to collect.
 */
static void note_failure(int *first, int rc, const struct aq_err *why,
			 struct aq_err *err)
{
	if (!rc || *first)
		return;
	*first = rc;
	(void)aq_fail(err, (enum aq_class)rc, "%s", why->text);
}

/* What the job's prolog and stages took, in 'tally', and this epilog until here. */
static int note_times(struct aq_refs *refs, const struct aq_job *job,
		      const struct aq_tally *tally, struct aq_err *err)
{
	struct aq_tally all = *tally;

	all.n[AQ_TALLY_EPILOGS] = 1;
	all.n[AQ_TALLY_EPILOG_US] = (uint64_t)(aq_now_us() - job->since_us);
	return aq_refs_add_tally(refs, NULL, (uint64_t)time(NULL), &all, err);
}

static int end_references(const struct aq_conf *conf, const struct aq_job *job,
			  struct aq_strv *uses, const struct aq_tally *tally,
			  struct aq_refs **ret, struct aq_err *err)
{
	static struct aq_err why;
	struct aq_refs *refs;
	int rc = aq_refs_open(conf, ret, err);

	if (rc)
		return rc;
	refs = *ret;
	note_failure(&rc, aq_refs_note_uses(refs, uses, (uint64_t)time(NULL),
					    &why), &why, err);
	note_failure(&rc, aq_refs_drop_job(refs, job->job, &why), &why, err);
	note_failure(&rc, aq_refs_sweep(refs, &why), &why, err);
	note_failure(&rc, keep_notes(conf, refs, &why), &why, err);
	note_failure(&rc, note_times(refs, job, tally, &why), &why, err);
	return rc;
}

/* In one domain. */
static int end_job(const struct aq_conf *conf, const struct aq_job *job,
		   struct aq_err *err)
{
	static struct aq_err why;
	cleanup_refs struct aq_refs *refs = NULL;
	cleanup_strv struct aq_strv uses = AQ_STRV_INIT(AQ_JOB_USES_MAX);
	bool has_workflow = aq_job_has_workflow(conf, job->job);
	struct aq_tally tally = { 0 };
	int end, rc = 0;

	note_failure(&rc, aq_job_uses(conf, job->job, &uses, &tally, &why),
		     &why, err);
	/* first: what is left without a mark the next one sweeps */
	note_failure(&rc, aq_job_unmark(conf, job->job, &why), &why, err);
	end = end_references(conf, job, &uses, &tally, &refs, &why);
	if (end == AQ_CORRUPT) { /* only opened, it looked sound */
		aq_refs_close(steal(&refs));
		end = aq_refs_heal(conf, &why);
		if (!end)
			end = end_references(conf, job, &uses, &tally, &refs, &why);
	}
	note_failure(&rc, end, &why, err);
	note_failure(&rc, aq_collect_start_if_due(conf, job->uid,
						  has_workflow ? refs : NULL,
						  &why), &why, err);
	return rc;
}

int aq_phase_epilog(const struct aq_job *job, struct aq_err *err)
{
	static struct aq_err why;
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(job->conf_path, job->node, &conf, err), end;

	if (rc)
		return rc;
	rc = end_job(conf, job, err);
	if (!aq_private_is_in_use(conf, job->uid))
		return rc;
	end = aq_private_enter(&conf, job->uid, &why);
	if (!end && aq_job_is_marked(conf, job->job))
		end = end_job(conf, job, &why);
	note_failure(&rc, end, &why, err);
	return rc;
}

/* The step's lease, unless the rim has it already, says what the request asks for;
 * and nothing is collected until *ret_lock is closed.
 */
static int take_reference(struct aq_stage *stage, const struct aq_conf *conf,
			  const char *digest, int *ret_lock, struct aq_err *err)
{
	int rc = stage->ret_lease_fd >= 0 ?
			 0 : aq_hit_take_lease(stage, conf, err);

	if (!rc)
		rc = stage->workflow.name[0] ?
			     aq_job_note_workflow(conf, stage->step.job, err) :
			     aq_job_mark(conf, stage->step.job, err);
	if (!rc && conf->site) /* which is where its epilog looks */
		rc = aq_job_mark(conf->site, stage->step.job, err);
	if (!rc)
		rc = aq_flock_refs(conf, AQ_FLOCK_SHARED, ret_lock, err);
	return rc ? rc : aq_lease_write(stage->ret_lease_fd, digest, "", err);
}

/* Who asks for it.  What cannot be noted is no reason to fail a task: the next
 * one notes it, and what is obsolete until then is only built again.
 */
static int note(const struct aq_conf *conf, const struct aq_stage *stage,
		const char *digest, bool is_plain, struct aq_err *err)
{
	const struct aq_workflow *w = &stage->workflow;
	bool is_of_workflow = w->name[0] && !w->is_removed && conf->max_workflows;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc;

	if (is_plain && !is_of_workflow)
		return 0;
	rc = aq_refs_open(conf, &refs, err);
	if (!rc && is_of_workflow)
		return aq_refs_ask(refs, w, stage->answer->key, digest, err);
	return rc ? rc : aq_refs_ask_plainly(refs, stage->answer->key, err);
}

/* Whether a failed look-up is a miss: the cache (busy, corrupt, full) is never
 * an error to the user, but worth a note to the administrator.
 */
static int as_miss(int rc, const struct aq_err *why, struct aq_err *err)
{
	if (rc == AQ_BUSY || rc == AQ_CORRUPT)
		(void)aq_fail(err, AQ_MISS, "taken for a miss: %s", why->text);
	else if (rc != AQ_OK && rc != AQ_MISS)
		return aq_fail(err, why->class, "%s", why->text);
	else
		return rc;
	return AQ_MISS;
}

/* The step's reference is taken; if this fails it holds all that serves the
 * request.
 */
static int look_up(struct aq_stage *stage, const struct aq_conf *conf,
		   const struct aq_request *req, struct aq_err *err)
{
	static struct aq_err why;
	struct aq_memo_state state;
	bool is_plain = false;
	const char *name;
	int rc;

	aq_memo_look(conf, &state);
	rc = as_miss(aq_look_up(conf, req, stage->answer, &is_plain, &why),
		     &why, err);
	if (rc)
		return rc;
	if (stage->is_refresh &&
	    !aq_job_has_refreshed(conf, stage->step.job, stage->answer->key))
		return AQ_MISS;
	name = aq_answer_env(stage->answer);
	(void)!aq_lease_write(stage->ret_lease_fd, req->digest, name, NULL);
	(void)!aq_job_note_use(conf, stage->step.job, name, stage->since_us,
			       NULL);
	if (note(conf, stage, req->digest, is_plain, &why) != 0)
		(void)aq_fail(err, AQ_OK, "who asks for it was not noted: %s",
			      why.text);
	if (is_plain)
		aq_memo_keep(conf, &state, req, stage->answer);
	return 0;
}

int aq_phase_stage(struct aq_stage *stage, struct aq_err *err)
{
	static struct aq_err why;
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_request struct aq_request *req = NULL;
	cleanup_close int lock = -1;
	int rc = aq_hit_load_conf(stage, &conf, err);

	if (!rc)
		rc = aq_request_parse(stage->canonical, stage->canonical_len,
				      conf, &req, err);
	if (rc)
		return rc;
	/* A reference that cannot be had (a full disk) is no reason to fail a
	 * task.  Nothing is collected while its lease is held without one; but
	 * what was being collected just now is none to hit: the builder waits
	 * for that, and looks.
	 */
	rc = take_reference(stage, conf, req->digest, &lock, &why);
	if (rc) {
		(void)aq_fail(err, AQ_SYS, "no reference was taken: %s",
			      why.text);
		rc = AQ_MISS;
	} else {
		rc = look_up(stage, conf, req, err);
	}
	if (rc == AQ_MISS) /* the builder's */
		aq_answer_begin(stage->answer);
	return rc;
}

static int forget(const struct aq_conf *conf, const struct aq_stage *stage,
		  struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_layout_prepare(conf, err);

	/* so that the job's epilog moves it on */
	if (!rc)
		rc = aq_job_note_workflow(conf, stage->step.job, err);
	if (!rc)
		rc = aq_refs_open(conf, &refs, err);
	return rc ? rc : aq_refs_ask(refs, &stage->workflow, "", "", err);
}

int aq_phase_forget(const struct aq_stage *stage, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(stage->conf_path, stage->node, &conf, err);

	if (!rc)
		rc = forget(conf, stage, err);
	if (rc || !aq_private_exists(conf, stage->workflow.uid))
		return rc;
	rc = aq_private_enter(&conf, stage->workflow.uid, err);
	return rc ? rc : forget(conf, stage, err);
}
