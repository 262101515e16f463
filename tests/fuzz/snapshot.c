/* SPDX-License-Identifier: Apache-2.0 */
/* A step as it arrives on a node, with all that a user chooses: pieces with byte
 * 0xff between them are the option's value, SLURM_AQ_REQUEST, SLURM_AQ_WORKFLOW
 * and, in a prolog, SPANK_AQ_DIGEST.  The hooks of the rim run as in slurmstepd,
 * but for their workers, which run in this process.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/requests.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "common/worker.h"
#include "plugin/rim.h"

const char fuzz_name[] = "snapshot";

#define MARK ((char)0xff)
#define JOB 7
#define UID 1000

enum { OPTION, REQUEST, WORKFLOW, DIGEST, N_VALUES };
static char *values[N_VALUES]; /* "": not set */

static bool was_forgotten;

/* -- Slurm -- */

void slurm_debug(const char *fmt, ...) { (void)fmt; }

void slurm_error(const char *fmt, ...)
{
	char text[AQ_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	fuzz_check(vsnprintf(text, sizeof(text), fmt, ap) >= 0);
	va_end(ap);
	fuzz_check_text(aq_text_is_clean(text), text);
}

spank_err_t spank_getenv(spank_t sp, const char *name, char *buf, int len)
{
	const char *value = strcmp(name, RIM_REQUEST) == 0  ? values[REQUEST] :
			    strcmp(name, RIM_WORKFLOW) == 0 ? values[WORKFLOW] :
							      "";

	(void)sp;
	if (!*value)
		return ESPANK_ENV_NOEXIST;
	return snprintf(buf, (size_t)len, "%s", value) >= len ? ESPANK_NOSPACE :
								ESPANK_SUCCESS;
}

spank_err_t spank_get_item(spank_t sp, spank_item_t item, ...)
{
	spank_err_t rc = ESPANK_SUCCESS;
	va_list ap;

	(void)sp;
	va_start(ap, item);
	if (item == S_JOB_ID)
		*va_arg(ap, uint32_t *) = JOB;
	else if (item == S_JOB_STEPID)
		*va_arg(ap, uint32_t *) = 0;
	else if (item == S_JOB_UID)
		*va_arg(ap, uid_t *) = UID;
	else
		rc = ESPANK_BAD_ARG;
	va_end(ap);
	return rc;
}

/* -- workers, and what they find behind the rim -- */

int __wrap_aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
			 int deadline_ms, int keep_fd, struct aq_err *err);
int __wrap_aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
			 int deadline_ms, int keep_fd, struct aq_err *err)
{
	(void)deadline_ms;
	(void)keep_fd;
	aq_err_clear(err);
	return fn(arg, err);
}

static void check_workflow(const struct aq_workflow *w)
{
	char text[AQ_WORKFLOW_TEXT_SIZE];

	if (!*w->name)
		return;
	fuzz_check(aq_workflow_is_name(w->name) && w->uid == UID);
	aq_workflow_print(w, text);
	/* a time in the future became now */
	fuzz_check(strncmp(text, values[WORKFLOW], strlen(w->name) + 1) == 0);
}

/* As the library's, without a cache. */
static int look_up(struct aq_stage *stage, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;

	fuzz_check(stage->canonical_len == strlen(values[REQUEST]) &&
		   strcmp(stage->canonical, values[REQUEST]) == 0);
	check_workflow(&stage->workflow);
	req = fuzz_request_parse(stage->canonical, stage->canonical_len);
	if (!req)
		return aq_fail(err, AQ_USER, "is damaged");
	fuzz_request_check(req);
	return AQ_MISS;
}

static int forget(const struct aq_stage *stage, struct aq_err *err)
{
	(void)err;
	check_workflow(&stage->workflow);
	fuzz_check(stage->workflow.is_removed);
	was_forgotten = true;
	return 0;
}

int rim_library_load(struct rim_library *ret, struct aq_err *err)
{
	(void)err;
	*ret = (struct rim_library){ .stage = look_up, .forget = forget };
	return 0;
}

/* -- a step -- */

static const char *conf_path(void)
{
	static char path[4096];
	FILE *f;

	if (*path)
		return path;
	snprintf(path, sizeof(path), "%s/aq.conf", fuzz_dir());
	f = fopen(path, "we");
	fuzz_check(f);
	fprintf(f, "cache_dir = %s/cache\nrun_dir = %s/run\n", fuzz_dir(),
		fuzz_dir());
	fclose(f);
	chmod(path, 0600);
	return path;
}

static void check_answer(const struct rim_step *step)
{
	switch (step->state) {
	case RIM_NOTHING:
	case RIM_UNDO:
		fuzz_check(!step->answer);
		break;
	case RIM_HIT:
		fuzz_check(aq_answer_is_sound(step->answer));
		break;
	case RIM_MISS:
		fuzz_check(step->request_fd >= 0 && step->alive[0] >= 0);
		break;
	case RIM_FAILED:
		fuzz_check(step->why || (aq_answer_is_sound(step->answer) &&
					 *step->answer->text));
		break;
	}
}

static void take_step(void)
{
	const struct rim_args args = { .conf_path = conf_path() };
	struct rim_step step = RIM_STEP_INIT;

	was_forgotten = false;
	rim_stage_option(values[OPTION]);
	rim_stage(NULL, &args, &step);
	check_answer(&step);
	fuzz_check(!was_forgotten || step.state == RIM_UNDO);
	rim_release(&step);
	aq_close_fd(&step.answer_fd);
	if (step.answer)
		munmap(step.answer, sizeof(*step.answer));
}

static void take_job(void)
{
	const struct rim_args args = { .conf_path = conf_path() };

	if (*values[DIGEST])
		setenv("SPANK_" RIM_DIGEST, values[DIGEST], 1);
	else
		unsetenv("SPANK_" RIM_DIGEST);
	rim_job_prolog(NULL, &args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);

	for (size_t i = 0; i < N_VALUES; i++)
		values[i] = fuzz_piece(&in, MARK, NULL);
	take_step();
	take_job();
	for (size_t i = 0; i < N_VALUES; i++)
		free(values[i]);
	return 0;
}
