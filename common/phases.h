/* SPDX-License-Identifier: Apache-2.0 */
/* What lies behind the plugin's rim: one function a phase, which knows no
 * Slurm.  libaq-VERSION.so exports these and nothing else; the rim loads it by
 * dlopen(3) only when a job uses the option, and in root hooks only inside a
 * worker (common/worker.h).
 */
#ifndef AQ_PHASES_H
#define AQ_PHASES_H

#include <stdint.h>

#include "common/answer.h"
#include "common/refs.h"
#include "common/request.h"
#include "common/workflow.h"

#define AQ_EXPORT __attribute__((visibility("default")))

/* The value of SLURM_AQ_REQUEST that says: only undo. */
#define AQ_REQUEST_NONE "none"

/* Submit, as the user: read and normalise the request file.  'canonical' gets
 * the bytes for SLURM_AQ_REQUEST, 'ret_digest' the digest, 'warnings' one text
 * each.  Fails as aq_request_read() does.
 */
struct aq_submit {
	const char *conf_path;
	const char *file;
	const char *snapshot; /* without a file: canonical bytes */
	bool is_isolated;     /* make it one that inherits from nothing */
	struct aq_str *canonical;
	struct aq_strv *warnings;
	char digest[AQ_SHA256_HEX_SIZE];
	bool is_prefetched; /* by aq.conf: prologs need the request */
};
typedef int aq_phase_submit_fn(struct aq_submit *submit, struct aq_err *err);
AQ_EXPORT aq_phase_submit_fn aq_phase_submit;

/* Epilog, root in a worker: drop the job's references. */
struct aq_job {
	const char *conf_path;
	const char *node; /* or NULL: as aq_conf_load() */
	uint32_t job;
	uint32_t uid;  /* whose job it was; 0: not known */
	int64_t since_us; /* aq_now_us() when the hook began */
};
typedef int aq_phase_job_fn(const struct aq_job *job, struct aq_err *err);
AQ_EXPORT aq_phase_job_fn aq_phase_epilog;

/* Stage, root in a worker: take the step's lease and reference, then look the
 * environment up and fill in the answer: AQ_OK, AQ_MISS (start a build), or
 * why not.  'canonical' is hostile.  With AQ_OK and AQ_MISS a text in 'err' is a
 * note for the administrator's log.
 */
struct aq_stage {
	const char *conf_path;
	const char *node;
	struct aq_step step;
	uint32_t uid; /* whose job it is */
	const char *canonical;
	size_t canonical_len;
	bool is_refresh; /* a hit is a miss, once a job */
	struct aq_workflow workflow; /* that the step belongs to */
	int64_t since_us; /* aq_now_us() when the hook began */
	struct aq_answer *answer;
	int ret_lease_fd; /* -1 if it could not be had */
	/* in which domain the request was found to be, once: its lease is there */
	enum { AQ_STAGE_UNKNOWN, AQ_STAGE_SHARED, AQ_STAGE_PRIVATE } domain;
};
typedef int aq_phase_stage_fn(struct aq_stage *stage, struct aq_err *err);
AQ_EXPORT aq_phase_stage_fn aq_phase_stage;

/* Stage of a step that only lets stage->workflow be forgotten, root in a worker:
 * note that.
 */
typedef int aq_phase_forget_fn(const struct aq_stage *stage,
			       struct aq_err *err);
AQ_EXPORT aq_phase_forget_fn aq_phase_forget;

#endif
