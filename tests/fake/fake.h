/* SPDX-License-Identifier: Apache-2.0 */
/* A Slurm that is played: its functions that the plugin calls, and its
 * processes.  Each hook runs in a process as Slurm would have it (srun, the
 * prolog's, slurmstepd with its tasks, the epilog's), so nothing passes between
 * them but what passes in Slurm.
 *
 * Every call that can fail (Slurm's functions and the system's, in seams.c) is
 * counted, and the one with number 'fail_at' fails, or those named 'fail_name'.
 */
#ifndef AQ_FAKE_H
#define AQ_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/rim.h"

#define FAKE_ENV_MAX (256 * 1024)
#define FAKE_TEXT_MAX (64 * 1024)
#define FAKE_TASKS_MAX 8

/* What the played processes share, as one mapping. */
struct fake {
	/* the script */
	const char *plugstack; /* plugstack.conf's argument */
	uint32_t job, step, n_tasks, uid;
	int fail_at; /* 0: nothing fails */
	const char *fail_name; /* NULL: none */
	bool has_hung_disk; /* what is to be executed hangs there */
	bool loses_request; /* the environment arrives without it */
	const char *workflow; /* what somebody made of RIM_WORKFLOW; or NULL */

	/* what happened */
	int calls;           /* that could have failed */
	char failed[64];     /* which one did */
	int n_bad_returns;   /* hooks that did not return 0 */
	int n_signals;       /* processes that died by a signal */
	pid_t hung;          /* who hangs at it */
	char env[FAKE_ENV_MAX]; /* of the step: NAME=VALUE, NUL, …, NUL */
	char digest[128];    /* SPANK_AQ_DIGEST */
	char prefetch[FAKE_TEXT_MAX]; /* SPANK_AQ_PREFETCH */
	struct {
		bool ran; /* the program was executed */
		int status;
		char env[FAKE_ENV_MAX];
		int n_fds; /* that the program would inherit */
	} task[FAKE_TASKS_MAX];
};
extern struct fake *fake;

/* Called in the hook's process before it and after it, if it is set. */
extern void (*fake_around_hook)(bool is_before);

/* Make 'fake' afresh. */
void fake_new(void);
void fake_free(void);
/* What the processes have written to their standard errors since fake_new(). */
const char *fake_stderr(void);

/* The variable's value in a block like fake->env, or NULL. */
const char *fake_env_get(const char *block, const char *name);

/* srun, sbatch or salloc: init, the callbacks, init_post_opt.  'values' ends
 * with NULL and holds what --aq-requirements' callback gets, or other options:
 * "--aq-refresh", "--aq-workflow=NAME".  Returns the exit status; with 0 fake->env
 * is what the step gets.
 */
int fake_submit(spank_context_t context, const char *const values[]);
void fake_prolog(void);
/* slurmstepd and its tasks, in Slurm's order. */
void fake_step(void);
void fake_epilog(void);

/* Whether this call is to fail; counts it. */
bool fake_fails(const char *name);
/* No call of this process fails any more. */
void fake_pause_self(void);

#endif
