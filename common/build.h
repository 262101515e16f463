/* SPDX-License-Identifier: Apache-2.0 */
/* How a build is started: by the stage hook, the prolog (prefetch), `aq build`
 * and `aq run` alike, all by executing aq-builder with these descriptors.
 *
 *   aq-builder --config FILE [--node NAME] [--personal] [--prefetch JOB]
 *              [--base PYTHON] [--refresh JOB] [--again NAME] [--explain]
 *              [--fetch DIR]
 *              [--step JOB.STEP.HET] [--nodes N] [--uid N] [--private]
 *              [--workflow UID/WORKFLOW]   (common/workflow.h)
 *
 * One aq-builder serves one step (or one command).  It waits for its turn (the
 * key's lock), looks again, builds if the environment is still missing, fills
 * the answer, ends.  It ends early when nobody waits any more: the alive
 * pipe's end of file says that its own step is gone, and a shared lock
 * `wait-KEY`, which every aq-builder holds while it waits for the key, says
 * whether another step's still does.  When it is killed its answer is never
 * marked done, and the waiters see the progress pipe's end of file.
 */
#ifndef AQ_BUILD_H
#define AQ_BUILD_H

#include "common/answer.h"
#include "common/err.h"
#include "common/workflow.h"

#define AQ_BUILDER_PATH AQ_PKGLIBEXECDIR "/aq-builder"

enum aq_builder_fd {
	AQ_BUILDER_FD_ANSWER = 3,  /* memfd of sizeof(struct aq_answer) */
	AQ_BUILDER_FD_REQUEST = 4, /* readable: the canonical request */
	AQ_BUILDER_FD_PROGRESS = 5, /* pipe, write end, non-blocking: lines of
				     * text for the user; lost when full */
	AQ_BUILDER_FD_ALIVE = 6,   /* pipe, read end; absent with --prefetch */
};

struct aq_build_start {
	const char *builder;   /* path of aq-builder */
	const char *conf_path; /* aq.conf */
	const char *node;      /* or NULL */
	bool is_personal;      /* somebody without root, in their own cache */
	uint32_t prefetch;     /* of that job, until its epilog; 0: none */
	bool is_private;       /* whatever the request says: of 'uid' alone */
	bool is_explain;       /* resolve only, and say what would be built */
	const char *fetch;     /* only put lock and packages there; or NULL */
	bool is_refresh;       /* resolve afresh, once for 'job' (0: always) */
	uint32_t job;
	/* that waits: the builder takes its reference anew, since the stage may
	 * not have been able to; NULL: none
	 */
	const struct aq_step *step;
	uint32_t nodes;        /* of the step, told by one of them; or 0 */
	uint32_t uid;          /* whose job asks; 0: nobody's but root's */
	/* that asks for it; NULL, or without a name: none */
	const struct aq_workflow *workflow;
	const char *as_base;   /* what is built becomes this base; or NULL */
	const char *again;     /* make what this manifest is of; or NULL */
	int start_ms;          /* that it may take to start; 0: AQ_BUILD_START_MS */
	int answer_fd, request_fd, progress_fd, alive_fd;
};

/* Until it has been executed: a busy node's disk takes seconds, and a task that cannot
 * be ended in UnkillableStepTimeout (60 s) drains its node.
 */
#define AQ_BUILD_START_MS 10000

/* Start aq-builder as a grandchild (reparented to init: no zombie for
 * slurmstepd, no SIGCHLD) in its own session, with exactly the descriptors
 * above, /dev/null for the standard ones, an empty signal mask, default
 * dispositions, umask 077, directory /, and a constructed environment.
 * Async-signal-safe between fork and exec.  Any process; who calls it decides
 * as whom it runs.  Waits start->start_ms at most: AQ_SYS, and what did not start
 * by then is killed.
 */
AQ_CHECK int aq_build_spawn(const struct aq_build_start *start,
			    struct aq_err *err);

#endif
