/* SPDX-License-Identifier: Apache-2.0 */
/* Prolog and epilog, as root.  A crash or time-out here drains the node: all
 * of it happens in a worker, and nothing comes back but a line for the log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/worker.h"
#include "plugin/rim.h"

static bool get_job(spank_t sp, const struct rim_args *args,
		    struct aq_job *ret)
{
	*ret = (struct aq_job){ .conf_path = args->conf_path };
	return spank_get_item(sp, S_JOB_ID, &ret->job) == ESPANK_SUCCESS;
}

static int prolog(void *arg, struct aq_err *err)
{
	struct rim_library library;
	int rc = rim_library_load(&library, err);

	return rc ? rc : library.prolog(arg, err);
}

/* Most jobs never took a reference: one access(2) tells, and no library is
 * loaded for them.
 */
static int epilog(void *arg, struct aq_err *err)
{
	const struct aq_job *job = arg;
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_free char *mark = NULL;
	struct rim_library library;
	int rc = aq_conf_load(job->conf_path, job->node, &conf, err);

	if (rc)
		return rc;
	if (asprintf(&mark, "%s/jobs/%u.%s", conf->run_dir, job->job,
		     conf->node) < 0) {
		mark = NULL;
		return aq_fail(err, AQ_SYS, "out of memory");
	}
	if (access(mark, F_OK) != 0)
		return 0;
	rc = rim_library_load(&library, err);
	return rc ? rc : library.epilog(job, err);
}

static void run(const char *hook, int (*fn)(void *, struct aq_err *),
		struct aq_job *job)
{
	static struct aq_err err;
	int rc = aq_worker_run(fn, job, AQ_WORKER_DEADLINE_MS, -1, &err);

	if (rc && rc != AQ_MISS)
		slurm_error("aq: %s of job %u: %s", hook, job->job, err.text);
}

void rim_job_prolog(spank_t sp, const struct rim_args *args)
{
	struct aq_job job;

	if (!get_job(sp, args, &job))
		return;
	/* SPANK_* is the user's to choose; spank_job_control_getenv() crashes
	 * in this context
	 */
	job.digest = getenv("SPANK_" RIM_DIGEST);
	if (!job.digest || !aq_is_hex(job.digest, AQ_SHA256_HEX_SIZE - 1))
		return;
	run("prolog", prolog, &job);
}

void rim_job_epilog(spank_t sp, const struct rim_args *args)
{
	struct aq_job job;

	if (get_job(sp, args, &job))
		run("epilog", epilog, &job);
}
