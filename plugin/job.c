/* SPDX-License-Identifier: Apache-2.0 */
/* Prolog and epilog, as root.  A crash or time-out here drains the node: all
 * of it happens in a worker, and nothing comes back but a line for the log.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/build.h"
#include "common/clock.h"
#include "common/domain.h"
#include "common/job.h"
#include "common/memo.h"
#include "common/private.h"
#include "common/worker.h"
#include "plugin/rim.h"

static bool get_job(spank_t sp, const struct rim_args *args,
		    struct aq_job *ret, bool *ret_has_uid)
{
	uid_t uid = 0;

	*ret = (struct aq_job){ .conf_path = args->conf_path,
				.since_us = aq_now_us() };
	/* not known: as if it had asked for nothing of its own */
	*ret_has_uid = spank_get_item(sp, S_JOB_UID, &uid) == ESPANK_SUCCESS;
	ret->uid = uid;
	return spank_get_item(sp, S_JOB_ID, &ret->job) == ESPANK_SUCCESS;
}

struct prolog {
	struct aq_job job;
	const char *digest;
	const char *request; /* to be prefetched; NULL: none */
};

/* Whether a step would find it without a builder; or it is its user's alone, and
 * waits for a step of that user's.
 */
static bool is_known(const struct prolog *p, const struct aq_conf *conf,
		     struct aq_answer *answer)
{
	size_t len = strlen(p->request);
	char digest[AQ_LEASE_DIGEST_SIZE];

	return aq_domain_inputs(p->request, len) ||
	       aq_memo_is_private(conf, p->job.uid, p->request, len) ||
	       aq_memo_read(conf, p->request, len, false, answer, digest,
			    NULL) == 0;
}

/* Before the worker's deadline, in milliseconds: who is killed there leaves behind what
 * did not start, to begin whenever its disk is back.
 */
#define START_MARGIN_MS 500

static int start_ms(const struct prolog *p)
{
	int64_t took = (aq_now_us() - p->job.since_us) / 1000;
	int64_t left = AQ_WORKER_DEADLINE_MS - START_MARGIN_MS - took;

	return left > 0 ? (int)left : 1;
}

/* A builder that outlives us, and that the job's mark keeps alive: that it has begun is
 * all that is waited for.
 */
static int prefetch(const struct prolog *p, const struct aq_conf *conf,
		    struct aq_err *err)
{
	cleanup_close int request = -1, answer_fd = -1;
	struct aq_answer *answer;
	int rc;

	if (!conf->prefetch || !p->request)
		return 0;
	answer = rim_make_answer(&answer_fd); /* goes with this process */
	if (!answer)
		return aq_fail_errno(err, "cannot make room for an answer");
	if (is_known(p, conf, answer))
		return 0;
	rc = rim_pass_request(p->request, strlen(p->request), &request, err);
	return rc ? rc : aq_build_spawn(&(struct aq_build_start){
			.builder = AQ_BUILDER_PATH,
			.conf_path = p->job.conf_path,
			.node = getenv("SLURMD_NODENAME"),
			.prefetch = p->job.job,
			.uid = p->job.uid,
			.start_ms = start_ms(p),
			.answer_fd = answer_fd,
			.request_fd = request,
			.progress_fd = -1,
			.alive_fd = -1,
		}, err);
}

/* What the job asks for is held from here on; no library is needed.  In which
 * domain it is a digest does not tell.
 */
static int prolog(void *arg, struct aq_err *err)
{
	const struct prolog *p = arg;
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(p->job.conf_path, p->job.node, &conf, err);

	if (!rc)
		rc = aq_job_hold(conf, p->job.job, p->digest,
				 p->job.since_us, err);
	if (!rc && aq_private_exists(conf, p->job.uid)) {
		rc = aq_private_enter(&conf, p->job.uid, err);
		if (!rc)
			rc = aq_job_hold(conf, p->job.job, p->digest,
					 p->job.since_us, err);
	}
	/* last: it may fail, or take all the time that there is */
	return rc ? rc : prefetch(p, aq_conf_site(conf), err);
}

/* Most jobs never took a reference: one access(2) tells, and no library is
 * loaded for them.
 */
static int epilog(void *arg, struct aq_err *err)
{
	const struct aq_job *job = arg;
	cleanup_conf struct aq_conf *conf = NULL;
	struct rim_library library;
	int rc = aq_conf_load(job->conf_path, job->node, &conf, err);

	if (rc || !aq_job_is_marked(conf, job->job))
		return rc;
	rc = rim_library_load(&library, err);
	return rc ? rc : library.epilog(job, err);
}

static void run(const char *hook, const struct aq_job *job,
		int (*fn)(void *arg, struct aq_err *err), void *arg)
{
	static struct aq_err err;

	if (aq_worker_run(fn, arg, AQ_WORKER_DEADLINE_MS, -1, &err) != 0)
		slurm_error("aq: %s of job %u: %s", hook, job->job, err.text);
	slurm_debug("aq: %s of job %u took %lld us", hook, job->job,
		    (long long)(aq_now_us() - job->since_us));
}

void rim_job_prolog(spank_t sp, const struct rim_args *args)
{
	struct prolog p;
	bool has_uid;

	if (!get_job(sp, args, &p.job, &has_uid))
		return;
	/* SPANK_* is the user's to choose; spank_job_control_getenv() crashes
	 * in this context
	 */
	p.digest = getenv("SPANK_" RIM_DIGEST);
	p.request = has_uid ? getenv("SPANK_" RIM_PREFETCH) : NULL;
	if (p.request && strlen(p.request) > AQ_REQUEST_CANONICAL_MAX)
		p.request = NULL;
	if (p.digest && aq_is_hex(p.digest, AQ_SHA256_HEX_SIZE - 1))
		run("prolog", &p.job, prolog, &p);
}

void rim_job_epilog(spank_t sp, const struct rim_args *args)
{
	struct aq_job job;
	bool has_uid;

	if (!get_job(sp, args, &job, &has_uid))
		return;
	run("epilog", &job, epilog, &job);
}
