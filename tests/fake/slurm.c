/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's functions, as the plugin calls them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake.h"
#include "tests/fake/played.h"

struct played played;

/* Like Slurm's own: what a hook must not do in its context is refused. */
static bool is_remote(void) { return played.context == S_CTX_REMOTE; }

static bool is_local(void)
{
	return played.context == S_CTX_LOCAL ||
	       played.context == S_CTX_ALLOCATOR;
}

static void print(const char *kind, const char *fmt, va_list ap)
{
	dprintf(STDERR_FILENO, "%s: %s", played.name, kind);
	vdprintf(STDERR_FILENO, fmt, ap);
	dprintf(STDERR_FILENO, "\n");
}

void slurm_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print("error: ", fmt, ap);
	va_end(ap);
}

void slurm_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print("", fmt, ap);
	va_end(ap);
}

/* At Slurm's own level nobody reads it. */
void slurm_debug(const char *fmt, ...)
{
	(void)fmt;
}

spank_context_t spank_context(void) { return played.context; }

spank_err_t spank_option_register(spank_t sp, struct spank_option *option)
{
	(void)sp;
	if (fake_fails("spank_option_register"))
		return ESPANK_BAD_ARG;
	if (strcmp(option->name, RIM_OPTION) == 0)
		played.option = option;
	else if (played.n_others < PLAYED_OPTIONS_MAX)
		played.others[played.n_others++] = option;
	return ESPANK_SUCCESS;
}

spank_err_t spank_getenv(spank_t sp, const char *name, char *buf, int len)
{
	const char *value;

	(void)sp;
	if (!is_remote() || fake_fails("spank_getenv"))
		return ESPANK_NOT_REMOTE;
	value = played_env_get(name);
	if (!value)
		return ESPANK_ENV_NOEXIST;
	return snprintf(buf, (size_t)len, "%s", value) >= len ? ESPANK_NOSPACE
							      : ESPANK_SUCCESS;
}

spank_err_t spank_setenv(spank_t sp, const char *name, const char *value,
			 int overwrite)
{
	(void)sp;
	(void)overwrite;
	if (!is_remote() || fake_fails("spank_setenv"))
		return ESPANK_NOT_REMOTE;
	played_env_set(name, value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t sp, const char *name)
{
	(void)sp;
	if (!is_remote() || fake_fails("spank_unsetenv"))
		return ESPANK_NOT_REMOTE;
	played_env_unset(name);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_setenv(spank_t sp, const char *name,
				     const char *value, int overwrite)
{
	(void)sp;
	(void)overwrite;
	if (!is_local() || fake_fails("spank_job_control_setenv"))
		return ESPANK_NOT_LOCAL;
	if (strcmp(name, RIM_DIGEST) == 0)
		snprintf(fake->digest, sizeof(fake->digest), "%s", value);
	if (strcmp(name, RIM_PREFETCH) == 0)
		snprintf(fake->prefetch, sizeof(fake->prefetch), "%s", value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_job_control_unsetenv(spank_t sp, const char *name)
{
	(void)sp;
	if (!is_local() || fake_fails("spank_job_control_unsetenv"))
		return ESPANK_NOT_LOCAL;
	if (strcmp(name, RIM_DIGEST) == 0)
		fake->digest[0] = '\0';
	if (strcmp(name, RIM_PREFETCH) == 0)
		fake->prefetch[0] = '\0';
	return ESPANK_SUCCESS;
}

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
	bool is_job = item == S_JOB_ID || item == S_JOB_UID;
	spank_err_t rc = ESPANK_SUCCESS;
	va_list ap;

	(void)sp;
	/* only these are there outside slurmstepd */
	if ((!is_remote() && !is_job) || fake_fails("spank_get_item"))
		return ESPANK_NOT_REMOTE;
	va_start(ap, item);
	switch ((int)item) {
	case S_JOB_ID:
		*va_arg(ap, uint32_t *) = fake->job;
		break;
	case S_JOB_UID:
		*va_arg(ap, uid_t *) = fake->uid;
		break;
	case S_JOB_STEPID:
		*va_arg(ap, uint32_t *) = fake->step;
		break;
	case S_JOB_LOCAL_TASK_COUNT:
		*va_arg(ap, uint32_t *) = fake->n_tasks;
		break;
	case S_JOB_ENV:
		*va_arg(ap, char ***) = played.env;
		break;
	case S_TASK_ID:
		if (played.task < 0)
			rc = ESPANK_NOT_TASK;
		else
			*va_arg(ap, int *) = played.task;
		break;
	default:
		rc = ESPANK_BAD_ARG;
	}
	va_end(ap);
	return rc;
}
