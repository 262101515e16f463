/* SPDX-License-Identifier: Apache-2.0 */
/* Submit, in srun, sbatch and salloc, as the user: the file is read once, here;
 * what the nodes get is a snapshot.  An error ends the command before anything
 * is queued.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/rim.h"

/* A submission: het components share it, so there is one a process. */
static struct {
	bool has_carrier; /* an outer job's option will come first */
	unsigned int n;   /* values seen */
	char *inherited;
	char *given;
	bool differs; /* two given values that are not the same */
} submission;

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

	unsetenv(RIM_CARRIER);
	unsetenv(RIM_REQUEST);
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

void rim_submit_start(spank_t sp, bool is_allocator)
{
	(void)sp;
	if (is_allocator)
		forget_outer_job();
	submission.has_carrier = getenv(RIM_CARRIER) != NULL;
}

int rim_submit_option(const char *value)
{
	char **to = &submission.given;

	if (!value || !*value) {
		slurm_error("--" RIM_OPTION ": name a file, or 'none'");
		return -1;
	}
	if (submission.n++ == 0 && submission.has_carrier)
		to = &submission.inherited;
	else if (*to && strcmp(*to, value) != 0)
		submission.differs = true;
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -1;
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

static void submit_file(spank_t sp, const struct rim_args *args,
			const char *file)
{
	cleanup_str struct aq_str canonical =
		AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(100);
	struct aq_submit submit = {
		.conf_path = args->conf_path,
		.file = file,
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

void rim_submit_finish(spank_t sp, const struct rim_args *args)
{
	const char *file = submission.given;

	if (submission.differs) {
		slurm_error("--" RIM_OPTION ": the components of a heterogeneous step share one environment: use two sruns");
		give_up();
	}
	if (!file && submission.inherited && !getenv(RIM_REQUEST))
		file = submission.inherited; /* the snapshot is gone */
	if (!file)
		return;
	if (strcmp(file, AQ_REQUEST_NONE) == 0)
		export_request(sp, AQ_REQUEST_NONE, NULL);
	else
		submit_file(sp, args, file);
}
