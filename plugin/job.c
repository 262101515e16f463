/* SPDX-License-Identifier: Apache-2.0 */
/* Prolog and epilog, as root.  A crash or time-out here drains the node: all
 * of it happens in a worker, and nothing comes back but a line for the log.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/job.h"
#include "common/worker.h"
#include "plugin/rim.h"

static bool get_job(spank_t sp, const struct rim_args *args,
		    struct aq_job *ret)
{
	*ret = (struct aq_job){ .conf_path = args->conf_path };
	return spank_get_item(sp, S_JOB_ID, &ret->job) == ESPANK_SUCCESS;
}

struct prolog {
	struct aq_job job;
	const char *digest;
};

/* What the job asks for is held from here on; no library is needed. */
static int prolog(void *arg, struct aq_err *err)
{
	const struct prolog *p = arg;
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(p->job.conf_path, p->job.node, &conf, err);

	return rc ? rc : aq_job_hold(conf, p->job.job, p->digest, err);
}

/* Most jobs never took a reference: one access(2) tells, and no library is
 * loaded for them.
 */
static int epilog(void *arg, struct aq_err *err)
{
	const struct aq_job *job = arg;
	cleanup_conf struct aq_conf *conf = NULL;
	struct rim_library library;
	char mark[1024];
	int rc = aq_conf_load(job->conf_path, job->node, &conf, err);

	if (rc)
		return rc;
	aq_job_mark_name(conf, job->job, mark, sizeof(mark));
	if (access(mark, F_OK) != 0)
		return 0;
	rc = rim_library_load(&library, err);
	return rc ? rc : library.epilog(job, err);
}

static void run(const char *hook, uint32_t job,
		int (*fn)(void *arg, struct aq_err *err), void *arg)
{
	static struct aq_err err;

	if (aq_worker_run(fn, arg, AQ_WORKER_DEADLINE_MS, -1, &err) != 0)
		slurm_error("aq: %s of job %u: %s", hook, job, err.text);
}

void rim_job_prolog(spank_t sp, const struct rim_args *args)
{
	struct prolog p;

	if (!get_job(sp, args, &p.job))
		return;
	/* SPANK_* is the user's to choose; spank_job_control_getenv() crashes
	 * in this context
	 */
	p.digest = getenv("SPANK_" RIM_DIGEST);
	if (p.digest && aq_is_hex(p.digest, AQ_SHA256_HEX_SIZE - 1))
		run("prolog", p.job.job, prolog, &p);
}

void rim_job_epilog(spank_t sp, const struct rim_args *args)
{
	struct aq_job job;

	uid_t uid = 0;

	if (!get_job(sp, args, &job))
		return;
	/* not known: then only the other limits are looked at */
	(void)spank_get_item(sp, S_JOB_UID, &uid);
	job.uid = uid;
	run("epilog", job.job, epilog, &job);
}
