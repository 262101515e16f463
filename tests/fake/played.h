/* SPDX-License-Identifier: Apache-2.0 */
/* The process that is being played: seen by fake.c and slurm.c only. */
#ifndef AQ_PLAYED_H
#define AQ_PLAYED_H

#include <slurm/spank.h>

#define PLAYED_ENV_MAX 1000 /* variables */
#define PLAYED_OPTIONS_MAX 8

struct played {
	const char *name; /* before what it prints, as with Slurm's commands */
	spank_context_t context;
	int task; /* local id, or -1: no task's hook */
	struct spank_option *option; /* --aq-requirements */
	struct spank_option *others[PLAYED_OPTIONS_MAX];
	size_t n_others;
	char *env[PLAYED_ENV_MAX + 1]; /* the task's: S_JOB_ENV */
};
extern struct played played;

const char *played_env_get(const char *name);
void played_env_set(const char *name, const char *value);
void played_env_unset(const char *name);

#endif
