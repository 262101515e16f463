/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks in Slurm's order, from srun to the epilog. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake/jobs.h"

static void test_isolated_is_part_of_the_request(void **state)
{
	char digest[sizeof(fake->digest)];

	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	snprintf(digest, sizeof(digest), "%s", fake->digest);
	assert_int_equal(fake_submit(S_CTX_LOCAL,
				     FILES("--aq-isolated", "a.yaml")), 0);
	assert_non_null(strstr(fake_env_get(fake->env, RIM_REQUEST),
			       "\ninherit no\n"));
	assert_string_not_equal(fake->digest, digest);
	assert_calm();
}

static void test_flags_need_a_request(void **state)
{
	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("--aq-isolated")), 1);
	assert_said("--aq-isolated says nothing without --aq-requirements=FILE");
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR, FILES("--aq-refresh")),
			 1);
	assert_said("--aq-refresh says nothing without");
}

static void test_refresh_makes_a_hit_a_miss(void **state)
{
	(void)state;
	run_job("a.yaml");
	assert_int_equal(fake_submit(S_CTX_LOCAL,
				     FILES("a.yaml", "--aq-refresh")), 0);
	assert_string_equal(fake_env_get(fake->env, RIM_REFRESH), "1");
	fake_prolog();
	fake_step();
	fake_epilog();
	assert_calm();
	assert_true(fake->task[0].ran);
	assert_string_equal(task_env(0, "AQ_RESOLUTION"), "created");
	run_job("a.yaml");
	assert_string_equal(task_env(0, "AQ_RESOLUTION"), "reused");
	assert_node_is_clean();
}

static void test_built_then_reused(void **state)
{
	(void)state;
	run_job("a.yaml");
	assert_true(fake->task[0].ran);
	assert_string_equal(task_env(0, "AQ_RESOLUTION"), "created");
	assert_string_equal(task_env(0, "WHICH"), "a");
	assert_true(aq_starts_with(task_env(0, "PATH"), "/the/prefix/bin:"));
	assert_said("aq: n1: standing in\n");
	assert_node_is_clean();

	fake->job++;
	fake->n_tasks = 4;
	run_job("a.yaml");
	for (int i = 0; i < 4; i++) {
		assert_true(fake->task[i].ran);
		assert_string_equal(task_env(i, "AQ_RESOLUTION"), "reused");
		assert_string_equal(task_env(i, "WHICH"), "a");
	}
	assert_node_is_clean();
}

static void test_verbose_says_a_hit_once(void **state)
{
	const char *line = "aq: n1: reused 00112233445566778899-1 (created), found in ";
	const char *first;

	(void)state;
	run_job("a.yaml");
	fake->n_tasks = 4;
	run_job("a.yaml");
	assert_null(strstr(fake_stderr(), line));
	setenv("AQ_VERBOSE", "1", 1);
	run_job("a.yaml");
	unsetenv("AQ_VERBOSE");
	first = strstr(fake_stderr(), line);
	assert_non_null(first);
	assert_null(strstr(first + 1, line));
}

/* `aq build --nodes`, perhaps as root: no program runs in what somebody's request makes */
static void test_told_and_not_entered(void **state)
{
	FILE *said = tmpfile();
	char text[512] = "";
	int out = dup(STDOUT_FILENO);
	size_t n;

	(void)state;
	assert_non_null(said);
	assert_true(dup2(fileno(said), STDOUT_FILENO) >= 0);
	setenv(AQ_TELL, "1", 1);
	run_job("a.yaml");
	unsetenv(AQ_TELL);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	close(out);
	assert_false(fake->task[0].ran);
	assert_int_equal(fake->task[0].status, 0);
	rewind(said);
	n = fread(text, 1, sizeof(text) - 1, said);
	fclose(said);
	assert_true(n > 0);
	assert_true(aq_starts_with(text, "created\n/"));
	assert_non_null(strstr(text, "/lib/envs/00112233445566778899-1\n00112233445566778899"));
	assert_node_is_clean();
	/* and why there is none, as ever */
	setenv(AQ_TELL, "1", 1);
	run_job("impossible.yaml");
	unsetenv(AQ_TELL);
	assert_int_equal(fake->task[0].status, RIM_EXIT);
	assert_said("nothing provides 'impossible'");
	run_job("a.yaml");
	assert_true(fake->task[0].ran);
}

static void test_several_tasks_one_build(void **state)
{
	const char *first;

	(void)state;
	fake->n_tasks = 8;
	run_job("a.yaml");
	for (int i = 0; i < 8; i++) {
		assert_true(fake->task[i].ran);
		assert_string_equal(task_env(i, "AQ_RESOLUTION"), "created");
	}
	/* the first prints progress, the others do not */
	first = strstr(fake_stderr(), "standing in");
	assert_non_null(first);
	assert_null(strstr(first + 1, "standing in"));
}

static void test_errors_before_queueing(void **state)
{
	const spank_context_t contexts[] = { S_CTX_LOCAL, S_CTX_ALLOCATOR };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
		assert_int_equal(fake_submit(contexts[i], FILES("bad.yaml")), 1);
		assert_said("error: bad.yaml:1:1: ");
		assert_int_equal(fake_submit(contexts[i], FILES("")), 1);
		assert_said("name a file, or 'none'");
		assert_int_equal(fake_submit(contexts[i], FILES("absent")), 1);
		assert_said("error: absent");
	}
	assert_calm();
}

static void test_last_one_counts(void **state)
{
	(void)state;
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR,
				     FILES("bad.yaml", "a.yaml")), 0);
	assert_non_null(strstr(fake_env_get(fake->env, RIM_REQUEST), "WHICH=a"));
	assert_true(aq_is_hex(fake->digest, 64));
}

static void test_unused(void **state)
{
	int n_fds;

	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, NO_FILES), 0);
	assert_null(fake_env_get(fake->env, RIM_REQUEST));
	assert_string_equal(fake->digest, "");
	fake_prolog();
	fake_step();
	fake_epilog();
	assert_calm();
	assert_true(fake->task[0].ran);
	assert_memory_equal(fake->task[0].env, fake->env, 200);
	assert_false(node_has("run"));
	assert_false(node_has("lib"));
	assert_string_equal(fake_stderr(), "");
	/* with it the program inherits not one descriptor more */
	n_fds = fake->task[0].n_fds;
	run_job("a.yaml");
	assert_int_equal(fake->task[0].n_fds, n_fds);
	run_job("a.yaml");
	assert_int_equal(fake->task[0].n_fds, n_fds);
}

static void test_prolog_holds_what_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake_prolog(); /* the first since the boot */
	assert_true(node_references() == 1);
	assert_false(node_has("run/refs.db")); /* and no library was needed */
	fake_step();
	fake_epilog();
	assert_node_is_clean();
	fake->job++;
	fake_prolog();
	assert_true(node_references() == 1);
	assert_true(node_has("run/jobs/8.n1"));
	fake_step();
	assert_true(node_references() == 1); /* the step's is gone */
	fake_epilog();
	assert_calm();
	assert_node_is_clean();
}

static void test_reason_and_125(void **state)
{
	(void)state;
	fake->n_tasks = 3;
	run_job("impossible.yaml");
	for (int i = 0; i < 3; i++) {
		assert_false(fake->task[i].ran);
		assert_int_equal(fake->task[i].status, RIM_EXIT);
	}
	assert_said("aq: n1: nothing provides 'impossible'\n");
	assert_node_is_clean();
}

static void test_killed_builder(void **state)
{
	(void)state;
	fake->n_tasks = 2;
	run_job("killed.yaml");
	for (int i = 0; i < 2; i++) {
		assert_false(fake->task[i].ran);
		assert_int_equal(fake->task[i].status, RIM_EXIT);
	}
	assert_said("ended without a word");
	fake->job++;
	run_job("a.yaml");
	assert_true(fake->task[0].ran);
}

/* `none` in a job: what the submitter had, to the byte. */
static void test_none_undoes(void **state)
{
	static char before[FAKE_ENV_MAX], step[FAKE_ENV_MAX];

	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, NO_FILES), 0);
	memcpy(before, fake->env, sizeof(before));
	run_job("a.yaml");
	/* the step's environment becomes that of a nested submission */
	memcpy(step, fake->task[0].env, sizeof(step));
	for (char *p = step; *p; p += strlen(p) + 1)
		putenv(p);
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("none")), 0);
	assert_string_equal(fake_env_get(fake->env, RIM_REQUEST), "none");
	assert_string_equal(fake->digest, "");
	fake_step();
	assert_true(fake->task[0].ran);
	assert_null(task_env(0, "WHICH"));
	assert_null(task_env(0, "AQ_UNDO"));
	assert_null(task_env(0, RIM_REQUEST));
	assert_string_equal(task_env(0, "PATH"), fake_env_get(before, "PATH"));

	/* sbatch from inside a job starts clean */
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR, NO_FILES), 0);
	for (const char *p = before; *p; p += strlen(p) + 1) {
		const char *eq = strchr(p, '=');
		char name[256];

		snprintf(name, sizeof(name), "%.*s", (int)(eq - p), p);
		assert_string_equal(fake_env_get(fake->env, name), eq + 1);
	}
	assert_null(fake_env_get(fake->env, "WHICH"));
	assert_null(fake_env_get(fake->env, "AQ_UNDO"));
	assert_null(fake_env_get(fake->env, RIM_REQUEST));
	assert_calm();
	for (const char *p = fake->task[0].env; *p; p += strlen(p) + 1) {
		char name[256];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "="), p);
		if (!fake_env_get(before, name))
			fail_msg("left: %s", p);
	}
	unsetenv("WHICH");
	unsetenv("AQ_UNDO");
	unsetenv("AQ_RESOLUTION");
	unsetenv("AQ_ENV_PREFIX");
	unsetenv("AQ_ENV_KEY");
	unsetenv("AQ_LOCK");
	unsetenv(RIM_REQUEST);
	setenv("PATH", fake_env_get(before, "PATH"), 1);
}

static void test_snapshot_not_file(void **state)
{
	(void)state;
	setenv(RIM_CARRIER, "gone.yaml", 1);
	setenv(RIM_REQUEST, "the snapshot", 1);
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("gone.yaml")), 0);
	assert_string_equal(fake_env_get(fake->env, RIM_REQUEST), "the snapshot");
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("gone.yaml", "a.yaml")), 0);
	assert_non_null(strstr(fake_env_get(fake->env, RIM_REQUEST), "WHICH=a"));
	/* sbatch and salloc start clean */
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR, NO_FILES), 0);
	assert_null(fake_env_get(fake->env, RIM_REQUEST));
	assert_null(fake_env_get(fake->env, RIM_CARRIER));
	unsetenv(RIM_CARRIER);
	unsetenv(RIM_REQUEST);
	assert_calm();
}

static void test_lost_request(void **state)
{
	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake->loses_request = true;
	fake_step();
	assert_calm();
	assert_int_equal(fake->task[0].status, RIM_EXIT);
	assert_said("did not reach this node");
}

/* SLURM_AQ_REQUEST and SPANK_AQ_DIGEST are the user's to choose. */
static void test_hostile(void **state)
{
	static char text[AQ_REQUEST_CANONICAL_MAX + 1000];
	const char *const digests[] = { "x", "../../../etc/passwd",
					"'; drop table refs; --" };

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 3; i++) {
		setenv(RIM_REQUEST, i == 0 ? text : i == 1 ? "" : "aq-request 1\n\x01", 1);
		assert_int_equal(fake_submit(S_CTX_LOCAL, NO_FILES), 0);
		fake_step();
		assert_false(fake->task[0].ran);
		assert_int_equal(fake->task[0].status, RIM_EXIT);
		assert_said("aq: n1: ");
	}
	unsetenv(RIM_REQUEST);
	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		snprintf(fake->digest, sizeof(fake->digest), "%s", digests[i]);
		fake_prolog();
		fake_epilog();
	}
	assert_calm();
	assert_true(node_references() == 0);
}

static void test_extern_step(void **state)
{
	(void)state;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake->step = SLURM_EXTERN_CONT;
	fake->n_tasks = 0;
	fake_step();
	assert_calm();
	assert_false(node_has("lib"));
}

/* With a sanitizer a fork takes twenty times as long, and other tests see to
 * completeness.
 */
#ifdef __SANITIZE_ADDRESS__
#define FAULT_STEP 7
#else
#define FAULT_STEP 1
#endif

/* One job with call number 'fail_at' failing, of all hooks or of slurmstepd's
 * only.  Whatever it is: Slurm sees no failure of a hook, and the program runs
 * in its environment or not at all, and then it is said why.
 */
static void one_fault(const char *what, int fail_at, bool is_all_hooks)
{
	bool is_queued;

	fake->calls = 0;
	fake->fail_at = is_all_hooks ? fail_at : 0;
	is_queued = fake_submit(S_CTX_LOCAL,
				FILES("a.yaml", "--aq-workflow=w")) == 0;
	if (is_queued && is_all_hooks)
		fake_prolog();
	if (is_queued && !is_all_hooks) {
		fake->calls = 0;
		fake->fail_at = fail_at;
	}
	if (is_queued)
		fake_step();
	if (is_queued && is_all_hooks)
		fake_epilog();
	fake->fail_at = 0;
	if (fake->n_bad_returns || fake->n_signals)
		fail_msg("%s, call %d (%s): %d hooks failed, %d died", what,
			 fail_at, fake->failed, fake->n_bad_returns,
			 fake->n_signals);
	if (is_queued && fake->task[0].ran &&
	    (!task_env(0, "WHICH") || !task_env(0, "AQ_UNDO")))
		fail_msg("%s, call %d (%s): the program ran without its environment",
			 what, fail_at, fake->failed);
	if (is_queued && !fake->task[0].ran &&
	    (fake->task[0].status != RIM_EXIT ||
	     !strstr(fake_stderr(), "aq: ")))
		fail_msg("%s, call %d (%s): exit %d", what, fail_at,
			 fake->failed, fake->task[0].status);
	if (!is_queued && !strstr(fake_stderr(), "error: "))
		fail_msg("%s, call %d (%s): refused without a word", what,
			 fail_at, fake->failed);
}

static void test_faults(bool is_miss)
{
	const char *plugstack = fake->plugstack;
	int n = 0;

	if (!is_miss)
		run_job("a.yaml");
	do {
		fake_new();
		fake->plugstack = plugstack;
		if (is_miss)
			node_forget();
		n += FAULT_STEP;
		one_fault(is_miss ? "miss" : "hit", n, is_miss);
	} while (fake->failed[0]);
	/* the last pass was clean */
	print_message("# %s: of %d calls every %d. failed once\n",
		      is_miss ? "miss" : "hit", fake->calls, FAULT_STEP);
	assert_true(n > 20);
	assert_true(fake->task[0].ran);
	assert_string_equal(task_env(0, "AQ_RESOLUTION"),
			    is_miss ? "created" : "reused");
}

static void test_faults_miss(void **state)
{
	(void)state;
	test_faults(true);
}

static void test_faults_hit(void **state)
{
	(void)state;
	test_faults(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_built_then_reused),
		TEST(test_isolated_is_part_of_the_request),
		TEST(test_flags_need_a_request),
		TEST(test_refresh_makes_a_hit_a_miss),
		TEST(test_verbose_says_a_hit_once),
		TEST(test_told_and_not_entered),
		TEST(test_several_tasks_one_build),
		TEST(test_errors_before_queueing),
		TEST(test_last_one_counts),
		TEST(test_unused),
		TEST(test_prolog_holds_what_is_asked_for),
		TEST(test_reason_and_125),
		TEST(test_killed_builder),
		TEST(test_none_undoes),
		TEST(test_snapshot_not_file),
		TEST(test_lost_request),
		TEST(test_hostile),
		TEST(test_extern_step),
		TEST(test_faults_miss),
		TEST(test_faults_hit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
