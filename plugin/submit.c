/* SPDX-License-Identifier: Apache-2.0 */
/* Submit, in srun, sbatch and salloc, as the user: the file is read once, here;
 * what the nodes get is a snapshot.  An error ends the command before anything
 * is queued.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/rim.h"

/* A submission: het components share it, so there is one a process. */
static struct {
	char *carrier; /* what an outer job hands down, or NULL */
	struct aq_strv values; /* as the callback got them */
	bool is_isolated, is_refresh;
} submission = { .values = AQ_STRV_INIT(RIM_VALUES_MAX) };

/* What we print before ending: nothing of ours is worth a node, but a
 * submission with a wrong request is worth stopping.
 */
static void give_up(void) __attribute__((noreturn));
static void give_up(void)
{
	exit(1);
}

/* slurm_error() prints one line with the command's name before it. */
static void print_lines(const char *text)
{
	while (*text) {
		int len = (int)strcspn(text, "\n");

		slurm_error("%.*s", len, text);
		text += len;
		text += *text == '\n';
	}
}

/* A nested sbatch or salloc starts as the submitter would outside any job. */
static void forget_outer_job(void)
{
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	struct aq_err err = { 0 };

	for (size_t i = 0; rim_inherited[i]; i++)
		unsetenv(rim_inherited[i]);
	if (!getenv("AQ_UNDO"))
		return;
	if (aq_envops_plan(environ, NULL, 0, &set, &unset, &err) != 0) {
		slurm_error("aq: %s", err.text);
		return;
	}
	for (size_t i = 0; i < unset.n; i++)
		unsetenv(unset.v[i]);
	for (size_t i = 0; i < set.n; i++) {
		char *eq = strchr(set.v[i], '=');

		*eq = '\0';
		setenv(set.v[i], eq + 1, 1);
	}
}

void rim_submit_start(bool is_allocator)
{
	const char *carrier;

	if (is_allocator)
		forget_outer_job();
	carrier = getenv(RIM_CARRIER);
	if (carrier)
		submission.carrier = strdup(carrier);
}

/* Judged when all are known; here only so much is sure. */
void rim_submit_option(const char *value)
{
	aq_strv_add(&submission.values, value ? value : "");
}

void rim_submit_isolated(void)
{
	submission.is_isolated = true;
}

void rim_submit_refresh(void)
{
	submission.is_refresh = true;
}

/* How many components the command line has: `srun A : B` has two. */
static size_t count_components(void)
{
	char buf[4096], before[2] = { 0 };
	cleanup_close int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	size_t n = 1;
	ssize_t got;

	while (fd >= 0 && (got = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < got; i++) {
			n += !buf[i] && before[1] == ':' && !before[0];
			before[0] = before[1];
			before[1] = buf[i];
		}
	}
	return n;
}

static void export_request(spank_t sp, const char *request, const char *digest)
{
	if (setenv(RIM_REQUEST, request, 1) < 0) {
		slurm_error("aq: out of memory");
		give_up();
	}
	/* not in srun inside an allocation: there is no job to control there */
	if (digest)
		(void)spank_job_control_setenv(sp, RIM_DIGEST, digest, 1);
	else
		(void)spank_job_control_unsetenv(sp, RIM_DIGEST);
}

/* 'file', or what 'snapshot' has of one. */
static void submit_request(spank_t sp, const struct rim_args *args,
			   const char *file, const char *snapshot)
{
	cleanup_str struct aq_str canonical =
		AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(100);
	struct aq_submit submit = {
		.conf_path = args->conf_path,
		.file = file,
		.snapshot = snapshot,
		.is_isolated = submission.is_isolated,
		.canonical = &canonical,
		.warnings = &warnings,
	};
	struct rim_library library;
	struct aq_err err = { 0 };
	int rc = rim_library_load(&library, &err);

	if (!rc)
		rc = library.submit(&submit, &err);
	for (size_t i = 0; i < warnings.n; i++)
		slurm_info("%s", warnings.v[i]);
	if (rc) {
		print_lines(err.text);
		give_up();
	}
	export_request(sp, aq_str_get(&canonical), submit.digest);
}

/* No file of our own: what the job that we belong to has, if it has. */
static void submit_inherited(spank_t sp, const struct rim_args *args,
			     const char *snapshot)
{
	if (submission.is_isolated && snapshot &&
	    strcmp(snapshot, AQ_REQUEST_NONE) != 0)
		submit_request(sp, args, NULL, snapshot);
}

static void check_alone(const char *file, const char *snapshot)
{
	if (file || snapshot ||
	    (!submission.is_isolated && !submission.is_refresh))
		return;
	slurm_error("--%s says nothing without --" RIM_OPTION "=FILE",
		    submission.is_isolated ? RIM_OPTION_ISOLATED :
					     RIM_OPTION_REFRESH);
	give_up();
}

void rim_submit_finish(spank_t sp, const struct rim_args *args)
{
	const struct aq_strv *values = &submission.values;
	struct rim_choice choice = rim_choose(values, submission.carrier,
					      count_components());
	const char *file = choice.value, *snapshot = getenv(RIM_REQUEST);

	if (values->broken) {
		slurm_error("--" RIM_OPTION ": out of memory, or given more than %d times", RIM_VALUES_MAX);
		give_up();
	}
	if (choice.differs) {
		slurm_error("--" RIM_OPTION ": '%s' and '%s': the components of a heterogeneous step share one environment: use two sruns",
			    choice.other, choice.value);
		give_up();
	}
	check_alone(file, snapshot);
	if (submission.is_refresh && setenv(RIM_REFRESH, "1", 1) < 0) {
		slurm_error("aq: out of memory");
		give_up();
	}
	/* inherited: the snapshot is the truth, not the file as it is now */
	if (!file || (choice.is_inherited && snapshot)) {
		submit_inherited(sp, args, snapshot);
		return;
	}
	if (!*file) {
		slurm_error("--" RIM_OPTION ": name a file, or 'none'");
		give_up();
	}
	if (strcmp(file, AQ_REQUEST_NONE) == 0)
		export_request(sp, AQ_REQUEST_NONE, NULL);
	else
		submit_request(sp, args, file, NULL);
}
