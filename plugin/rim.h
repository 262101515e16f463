/* SPDX-License-Identifier: Apache-2.0 */
/* The rim: what Slurm maps into every process of every job.  Thin; nothing
 * here needs sqlite3, libyaml or libcrypto.
 *
 *   hooks.c    which hook does what, in which process, as whom
 *   choose.c   which of several --aq-requirements counts
 *   submit.c   srun, sbatch, salloc, as the user
 *   job.c      prolog and epilog, as root
 *   stage.c    slurmstepd, as root: reference, look-up, release
 *   lease.c    the lease's descriptor, from a stage's worker to slurmstepd
 *   task.c     the forked task, root and then the user: wait, apply
 *   behind.c   what plugstack.conf says; the library behind the rim
 */
#ifndef AQ_RIM_H
#define AQ_RIM_H

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/spank.h>

#include "common/answer.h"
#include "common/phases.h"

#define RIM_OPTION "aq-requirements"
#define RIM_OPTION_ISOLATED "aq-isolated"
#define RIM_OPTION_REFRESH "aq-refresh"
#define RIM_OPTION_WORKFLOW "aq-workflow"
#define RIM_OPTION_WORKFLOW_REMOVE "aq-workflow-remove"
/* What a step inherits: the request, as it was at submission. */
#define RIM_REQUEST "SLURM_AQ_REQUEST"
/* Set: resolve afresh, once a job and node. */
#define RIM_REFRESH "SLURM_AQ_REFRESH"
/* The workflow that the request is of (common/workflow.h). */
#define RIM_WORKFLOW "SLURM_AQ_WORKFLOW"
/* Slurm's carriers of our options into steps and nested submissions. */
#define RIM_CARRIER_OF(option) "SLURM_SPANK__SLURM_SPANK_OPTION_spank_aq_" option
#define RIM_CARRIER RIM_CARRIER_OF("aq_requirements")
#define RIM_CARRIER_WORKFLOW RIM_CARRIER_OF("aq_workflow")
#define RIM_CARRIER_WORKFLOW_REMOVE RIM_CARRIER_OF("aq_workflow_remove")
/* By job control into prolog and epilog, where it is called SPANK_AQ_DIGEST. */
#define RIM_DIGEST "AQ_DIGEST"
#define RIM_DIGEST_CARRIER "SLURM_SPANK_AQ_DIGEST"
/* The same of the whole request, where aq.conf has prefetch = yes. */
#define RIM_PREFETCH "AQ_PREFETCH"
#define RIM_PREFETCH_CARRIER "SLURM_SPANK_AQ_PREFETCH"
/* What a job's steps and nested submissions find in their environment because
 * of us, up to NULL.
 */
extern const char *const rim_inherited[];
/* A task whose environment cannot be had exits with this (as env(1) and
 * container runtimes do when they fail themselves).
 */
#define RIM_EXIT 125

/* -- behind.c -- */
/* What plugstack.conf's line says. */
struct rim_args {
	const char *conf_path; /* config=FILE, or NULL: the default */
};
/* Read the line's arguments; unknown ones are reported and ignored.  The text
 * belongs to Slurm and stays for the process's life.
 */
void rim_args_read(int ac, char **av, struct rim_args *ret);

struct rim_library {
	aq_phase_submit_fn *submit;
	aq_phase_job_fn *epilog;
	aq_phase_stage_fn *stage;
	aq_phase_forget_fn *forget;
};
/* Load it, once a process.  AQ_SYS: not there or not ours. */
AQ_CHECK int rim_library_load(struct rim_library *ret, struct aq_err *err);

/* -- stage.c -- */
/* The block of memory that an answer comes in, and its descriptor; or NULL. */
struct aq_answer *rim_make_answer(int *ret_fd);
/* A descriptor that a builder reads 'text' from.  AQ_SYS. */
AQ_CHECK int rim_pass_request(const char *text, size_t len, int *ret_fd,
			      struct aq_err *err);

/* -- choose.c -- */
/* What --aq-requirements, or --aq-workflow, comes down to. */
struct rim_choice {
	const char *value; /* NULL: not given */
	bool is_inherited; /* from the job that this step belongs to */
	bool differs;      /* two components do not agree: 'other' */
	const char *other;
};
/* Choose among 'values', in the order of the option's callbacks.  'carrier' is
 * what an outer job hands down (NULL: nothing).  On a command line of one
 * component the last value counts, as with Slurm's own options; several
 * components must agree.  Pure; the result points into 'values'.
 */
struct rim_choice rim_choose(const struct aq_strv *values, const char *carrier,
			     size_t n_components);

/* -- submit.c: srun, sbatch, salloc, as the user -- */
/* Times that the option may be named on one command line. */
#define RIM_VALUES_MAX 1000
/* Before options are processed: what an outer job asked for. */
void rim_submit_start(bool is_allocator);
/* One --aq-requirements=VALUE, inherited or given; NULL: no value. */
void rim_submit_option(const char *value);
/* --aq-isolated, --aq-refresh */
void rim_submit_isolated(void);
void rim_submit_refresh(void);
/* --aq-workflow=NAME, inherited or given; NULL: no value. */
void rim_submit_workflow(const char *name);
/* --aq-workflow-remove, inherited or given. */
void rim_submit_workflow_remove(void);
/* All options are known.  Ends the process with 1 on an error. */
void rim_submit_finish(spank_t sp, const struct rim_args *args);

/* -- job.c: prolog and epilog, as root; nothing comes back -- */
void rim_job_prolog(spank_t sp, const struct rim_args *args);
void rim_job_epilog(spank_t sp, const struct rim_args *args);

/* -- stage.c: slurmstepd, as root -- */
/* What a step of this process wants, and what is known of it. */
struct rim_step {
	enum {
		RIM_NOTHING, /* the job does not use the option */
		RIM_UNDO,    /* --aq-requirements=none, --aq-workflow-remove */
		RIM_HIT,
		RIM_MISS,
		RIM_FAILED, /* 'why', or in the answer */
	} state;
	const char *why;
	struct rim_args args;
	struct aq_stage stage;
	struct aq_answer *answer; /* shared with tasks and builder */
	int answer_fd;
	uint64_t look_up_us; /* that looking it up took */
	bool had_worker; /* for that */
	int lease_fd;
	bool is_lease_in_memory; /* where no disk can hang */
	int request_fd;
	int progress[2]; /* read by tasks, written by the builder */
	int alive[2];    /* read by the builder, held open by tasks */
};
/* A step of which nothing is known, and that holds nothing. */
#define RIM_STEP_INIT                                                          \
	{                                                                      \
		.answer_fd = -1, .lease_fd = -1, .request_fd = -1,             \
		.progress = { -1, -1 }, .alive = { -1, -1 }                    \
	}
/* The option's callback, if Slurm calls it, before rim_stage(). */
void rim_stage_option(const char *value);
/* Take the step's reference and look up, or let its workflow be forgotten. */
void rim_stage(spank_t sp, const struct rim_args *args, struct rim_step *step);
/* After the last task was forked: close what only they may hold. */
void rim_stage_forked(spank_t sp, struct rim_step *step);
void rim_release(struct rim_step *step);
/* For SlurmdDebug=debug: what 'hook', which began at 'since_us' (aq_now_us()), took,
 * and 'how', or "".
 */
void rim_say_took(const struct rim_step *step, const char *hook,
		  int64_t since_us, const char *how);

/* -- lease.c -- */
/* Of the worker: by a socket, and whether it is in memory, where no disk can hang.  If it
 * cannot be sent it ends with the worker.
 */
void rim_lease_send(int socket, int fd);
/* What was sent, the caller's, or -1; never waits. */
int rim_lease_receive(int socket, bool *ret_is_in_memory);

/* -- task.c: the forked task -- */
/* As root: the first local task starts the build. */
void rim_task_start_build(spank_t sp, struct rim_step *step);
/* As the user: wait, apply; ends the process with RIM_EXIT on failure. */
void rim_task_enter(spank_t sp, struct rim_step *step);

#endif
