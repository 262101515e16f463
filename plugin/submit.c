/* SPDX-License-Identifier: Apache-2.0 */
/* Submit, in srun, sbatch and salloc, as the user: the file is read once, here;
 * what the nodes get is a snapshot.  An error ends the command before anything
 * is queued.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/rim.h"

/* What the first component of a het job names. */
struct component {
	const char *value; /* or NULL */
	size_t n_seen;     /* values when it was last looked */
};

/* A submission: het components share it, so there is one a process. */
static struct {
	bool is_allocator; /* sbatch or salloc */
	char *carrier; /* what an outer job hands down, or NULL */
	struct aq_strv values; /* as the callback got them */
	bool is_isolated, is_refresh;
	char *workflow_carrier;
	struct aq_strv workflows; /* as 'values' */
	bool is_remove_inherited;
	size_t n_removes; /* times that --aq-workflow-remove called back */
	bool has_first;   /* component been through, with these */
	struct component first_file, first_workflow;
} submission = { .values = AQ_STRV_INIT(RIM_VALUES_MAX),
		 .workflows = AQ_STRV_INIT(RIM_VALUES_MAX) };

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

static char *copy_variable(const char *name)
{
	const char *value = getenv(name);

	return value ? strdup(value) : NULL;
}

void rim_submit_start(bool is_allocator)
{
	submission.is_allocator = is_allocator;
	if (is_allocator)
		forget_outer_job();
	submission.carrier = copy_variable(RIM_CARRIER);
	submission.workflow_carrier = copy_variable(RIM_CARRIER_WORKFLOW);
	submission.is_remove_inherited = getenv(RIM_CARRIER_WORKFLOW_REMOVE);
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

void rim_submit_workflow(const char *name)
{
	aq_strv_add(&submission.workflows, name ? name : "");
}

void rim_submit_workflow_remove(void)
{
	submission.n_removes++;
}

/* How many components the command line has: `srun A : B` has two, and for srun so has
 * `srun echo :`.
 */
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

static void export(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return;
	slurm_error("aq: out of memory");
	give_up();
}

static void export_request(spank_t sp, const char *request, const char *digest,
			   bool is_prefetched)
{
	export(RIM_REQUEST, request);
	/* not in srun inside an allocation: there is no job to control there */
	if (digest)
		(void)spank_job_control_setenv(sp, RIM_DIGEST, digest, 1);
	else
		(void)spank_job_control_unsetenv(sp, RIM_DIGEST);
	/* what is resolved afresh its first step asks for */
	if (digest && is_prefetched && !submission.is_refresh)
		(void)spank_job_control_setenv(sp, RIM_PREFETCH, request, 1);
	else
		(void)spank_job_control_unsetenv(sp, RIM_PREFETCH);
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
	export_request(sp, aq_str_get(&canonical), submit.digest,
		       submit.is_prefetched);
}

/* -- what there is to do -- */

/* What the options come down to. */
struct wish {
	struct rim_choice file, workflow;
	const char *snapshot; /* the job's request, or NULL */
	bool is_remove;
};

/* A file, or 'none', of the command's own; else the snapshot is the truth, not
 * the file as it is now.
 */
static bool has_file(const struct wish *w)
{
	return w->file.value && !(w->file.is_inherited && w->snapshot);
}

static bool is_none(const char *request)
{
	return strcmp(request, AQ_REQUEST_NONE) == 0;
}

static bool has_request(const struct wish *w)
{
	const char *request = has_file(w) ? w->file.value : w->snapshot;

	return request && !is_none(request);
}

static bool names_workflow(const struct wish *w)
{
	return w->workflow.value && !w->workflow.is_inherited;
}

static struct wish read_wish(void)
{
	size_t n = count_components();

	return (struct wish){
		.file = rim_choose(&submission.values, submission.carrier, n),
		.workflow = rim_choose(&submission.workflows,
				       submission.workflow_carrier, n),
		.snapshot = getenv(RIM_REQUEST),
		.is_remove = submission.n_removes >
			     (submission.is_remove_inherited ? n : 0),
	};
}

/* -- what is refused -- */

static void check_values(const char *option, const struct aq_strv *values,
			 const struct rim_choice *choice, const char *share)
{
	if (values->broken) {
		slurm_error("--%s: out of memory, or given more than %d times",
			    option, RIM_VALUES_MAX);
		give_up();
	}
	if (choice->differs) {
		slurm_error("--%s: '%s' and '%s': the components of a heterogeneous step share one %s: use two sruns",
			    option, choice->other, choice->value, share);
		give_up();
	}
}

static void refuse_alone(const char *option, const char *needs)
	__attribute__((noreturn));
static void refuse_alone(const char *option, const char *needs)
{
	slurm_error("--%s says nothing without --%s", option, needs);
	give_up();
}

static void check_flags(const struct wish *w)
{
	const char *needs = RIM_OPTION "=FILE";

	if (w->file.value || w->snapshot)
		return;
	if (submission.is_isolated)
		refuse_alone(RIM_OPTION_ISOLATED, needs);
	if (submission.is_refresh)
		refuse_alone(RIM_OPTION_REFRESH, needs);
}

static void check_workflow(const struct wish *w)
{
	const char *name = w->workflow.value;

	if (w->is_remove && !name)
		refuse_alone(RIM_OPTION_WORKFLOW_REMOVE,
			     RIM_OPTION_WORKFLOW "=NAME");
	if (names_workflow(w) && !aq_workflow_is_name(name)) {
		slurm_error("--" RIM_OPTION_WORKFLOW ": '%s' is no name of a workflow: write letters, digits, '.', '_' and '-', %d at most",
			    name, AQ_WORKFLOW_NAME_MAX);
		give_up();
	}
	if (w->is_remove && w->file.value && !w->file.is_inherited &&
	    !is_none(w->file.value)) {
		slurm_error("--" RIM_OPTION_WORKFLOW_REMOVE " runs in no environment: leave out --" RIM_OPTION);
		give_up();
	}
	if (names_workflow(w) && !w->is_remove && !has_request(w))
		refuse_alone(RIM_OPTION_WORKFLOW, RIM_OPTION "=FILE");
}

/* -- what is done -- */

static void export_workflow(const struct wish *w)
{
	struct aq_workflow workflow = { .submitted = aq_workflow_now(),
					.is_removed = w->is_remove };
	char text[AQ_WORKFLOW_TEXT_SIZE];

	/* an inherited name was checked, unless somebody made it up */
	if (!aq_copy_text(workflow.name, sizeof(workflow.name),
			  w->workflow.value))
		return;
	aq_workflow_print(&workflow, text);
	export(RIM_WORKFLOW, text);
}

/* Another request than the job's is no part of the workflow that the job belongs
 * to; the same once more is.
 */
static void leave_workflow(const char *jobs_request)
{
	const char *request = getenv(RIM_REQUEST);

	if (!jobs_request || !request || strcmp(jobs_request, request) != 0)
		unsetenv(RIM_WORKFLOW);
}

static void submit_file(spank_t sp, const struct rim_args *args,
			const struct wish *w)
{
	if (!*w->file.value) {
		slurm_error("--" RIM_OPTION ": name a file, or 'none'");
		give_up();
	}
	if (is_none(w->file.value))
		export_request(sp, AQ_REQUEST_NONE, NULL, false);
	else
		submit_request(sp, args, w->file.value, NULL);
}

/* Of the values that came since the last call each is the first component's. */
static void check_component(const char *option, const struct aq_strv *values,
			    struct component *first, const char *share)
{
	for (; first->n_seen < values->n; first->n_seen++) {
		if (first->value &&
		    strcmp(values->v[first->n_seen], first->value) == 0)
			continue;
		slurm_error("--%s: the components of a heterogeneous job share one %s: name it for the first component, and no other for the next",
			    option, share);
		give_up();
	}
}

/* sbatch comes here for each component, calling back before for what the component names
 * and for what the first one did, in that order (22.05 and 24.11, by running it).  What all
 * of them run with is what it has after the first: what a later one names would be lost.
 * In salloc, which runs the command itself, the last one counts, and srun shares it among
 * the components of a step.
 */
static void check_components(const struct wish *w)
{
	struct component *file = &submission.first_file;
	struct component *workflow = &submission.first_workflow;

	if (!submission.is_allocator ||
	    aq_starts_with(program_invocation_short_name, "salloc"))
		return;
	if (!submission.has_first) {
		submission.has_first = true;
		*file = (struct component){ w->file.value, submission.values.n };
		*workflow = (struct component){ w->workflow.value,
						submission.workflows.n };
		return;
	}
	check_component(RIM_OPTION, &submission.values, file, "environment");
	check_component(RIM_OPTION_WORKFLOW, &submission.workflows, workflow,
			"workflow");
}

static void submit(spank_t sp, const struct rim_args *args, const struct wish *w)
{
	cleanup_free char *jobs_request = copy_variable(RIM_REQUEST);

	check_values(RIM_OPTION, &submission.values, &w->file, "environment");
	check_values(RIM_OPTION_WORKFLOW, &submission.workflows, &w->workflow,
		     "workflow");
	check_flags(w);
	check_workflow(w);
	if (w->is_remove) {
		export_request(sp, AQ_REQUEST_NONE, NULL, false);
		export_workflow(w);
		return;
	}
	if (submission.is_refresh)
		export(RIM_REFRESH, "1");
	if (has_file(w))
		submit_file(sp, args, w);
	else if (submission.is_isolated && has_request(w))
		submit_request(sp, args, NULL, w->snapshot);
	if (names_workflow(w))
		export_workflow(w);
	else
		leave_workflow(jobs_request);
}

void rim_submit_finish(spank_t sp, const struct rim_args *args)
{
	const struct wish w = read_wish();

	submit(sp, args, &w);
	check_components(&w);
}
