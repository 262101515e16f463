/* SPDX-License-Identifier: Apache-2.0 */
/* --aq-workflow and --aq-workflow-remove, from srun to the epilog. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fake/jobs.h"

/* The submission 'values' is refused, and it is said why. */
static void assert_refused(const char *const values[], const char *why)
{
	assert_int_equal(fake_submit(S_CTX_LOCAL, values), 1);
	assert_said(why);
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR, values), 1);
	assert_calm();
}

static void test_workflows_are_checked_at_submission(void **state)
{
	(void)state;
	assert_refused(FILES("a.yaml", "--aq-workflow="),
		       "'' is no name of a workflow: write letters");
	assert_refused(FILES("--aq-workflow=a/b", "a.yaml"),
		       "'a/b' is no name of a workflow");
	assert_refused(FILES("--aq-workflow=w"),
		       "--aq-workflow says nothing without --aq-requirements=FILE");
	assert_refused(FILES("--aq-workflow=w", "none"),
		       "--aq-workflow says nothing without");
	assert_refused(FILES("--aq-workflow-remove"),
		       "--aq-workflow-remove says nothing without --aq-workflow=NAME");
	assert_refused(FILES("a.yaml", "--aq-workflow-remove"),
		       "--aq-workflow-remove says nothing without");
	assert_refused(FILES("a.yaml", "--aq-workflow=w", "--aq-workflow-remove"),
		       "runs in no environment: leave out --aq-requirements");
	assert_refused(FILES("--aq-workflow=a b", "--aq-workflow-remove"),
		       "'a b' is no name of a workflow");
}

/* What nodes get of the workflow; the caller frees it. */
static char *carried(void)
{
	const char *text = fake_env_get(fake->env, RIM_WORKFLOW);

	return text ? strdup(text) : NULL;
}

/* In the job that was just submitted: the step 'values'. */
static void submit_in_job(spank_context_t context, const char *const values[])
{
	char *request = strdup(fake_env_get(fake->env, RIM_REQUEST));
	char *workflow = carried();

	setenv(RIM_REQUEST, request, 1);
	setenv(RIM_CARRIER, "a.yaml", 1);
	setenv(RIM_WORKFLOW, workflow, 1);
	setenv(RIM_CARRIER_WORKFLOW, "w", 1);
	assert_int_equal(fake_submit(context, values), 0);
	unsetenv(RIM_REQUEST);
	unsetenv(RIM_CARRIER);
	unsetenv(RIM_WORKFLOW);
	unsetenv(RIM_CARRIER_WORKFLOW);
	free(request);
	free(workflow);
}

static void test_steps_are_of_their_jobs_workflow(void **state)
{
	char *job, *step;

	(void)state;
	node_write("b.yaml", "channels: [conda-forge]\ndependencies: [zlib]\n");
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR,
				     FILES("a.yaml", "--aq-workflow=v",
					   "--aq-workflow=w")), 0);
	job = carried();
	assert_true(job && aq_starts_with(job, "w "));
	/* as it was submitted, and with the same request once more */
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w"));
	assert_string_equal(fake_env_get(fake->env, RIM_WORKFLOW), job);
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w", "a.yaml"));
	assert_string_equal(fake_env_get(fake->env, RIM_WORKFLOW), job);
	/* named again it is submitted again */
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w",
					 "--aq-workflow=w"));
	step = carried();
	assert_true(aq_starts_with(step, "w "));
	assert_string_not_equal(step, job);
	free(step);
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w",
					 "--aq-workflow=x"));
	assert_true(aq_starts_with(fake_env_get(fake->env, RIM_WORKFLOW), "x "));
	free(job);
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR,
				     FILES("a.yaml", "--aq-workflow=w")), 0);
	/* another request is not the job's workflow's */
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w", "b.yaml"));
	assert_null(fake_env_get(fake->env, RIM_WORKFLOW));
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR,
				     FILES("a.yaml", "--aq-workflow=w")), 0);
	submit_in_job(S_CTX_LOCAL, FILES("a.yaml", "--aq-workflow=w", "none"));
	assert_null(fake_env_get(fake->env, RIM_WORKFLOW));
	/* a nested job starts clean */
	assert_int_equal(fake_submit(S_CTX_ALLOCATOR,
				     FILES("a.yaml", "--aq-workflow=w")), 0);
	submit_in_job(S_CTX_ALLOCATOR, FILES("a.yaml"));
	assert_null(fake_env_get(fake->env, RIM_WORKFLOW));
	assert_calm();
}

static void test_workflows_come_and_go(void **state)
{
	(void)state;
	run_job("a.yaml");
	assert_string_equal(node_workflows(), "");
	assert_int_equal(fake_submit(S_CTX_LOCAL,
				     FILES("a.yaml", "--aq-workflow=w")), 0);
	run_submitted();
	assert_true(fake->task[0].ran);
	assert_string_equal(node_workflows(), "1001/w");
	assert_true(node_has("run-public/workflows/1001"));
	fake->uid = 1002; /* another user's is another one */
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("--aq-workflow=w",
							"--aq-workflow-remove")),
			 0);
	assert_string_equal(fake_env_get(fake->env, RIM_REQUEST), "none");
	run_submitted();
	assert_true(fake->task[0].ran);
	assert_null(task_env(0, RIM_WORKFLOW));
	assert_null(task_env(0, "AQ_UNDO"));
	assert_string_equal(node_workflows(), "1001/w");
	fake->uid = 1001;
	run_submitted();
	assert_string_equal(node_workflows(), "");
	assert_false(node_has("run-public/workflows/1001"));
	assert_node_is_clean();
	/* if it cannot be noted the user is told */
	node_forget();
	node_write("run", "no directory");
	fake_step();
	assert_calm();
	assert_int_equal(fake->task[0].status, RIM_EXIT);
	assert_said("the workflow was not removed on this node");
}

static void test_hostile_workflows(void **state)
{
	static const char *const texts[] = {
		"", "w", "w x", "w 1 x", "../../x 1", "w -1", "w 1 removed",
		"w 99999999999999999999999999999999999999999999", "'; drop 1",
	};
	static char longest[100000];

	(void)state;
	run_job("a.yaml");
	memset(longest, 'w', sizeof(longest) - 1);
	for (size_t i = 0; i <= ARRAY_LEN(texts); i++) {
		assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
		fake->workflow = i < ARRAY_LEN(texts) ? texts[i] : longest;
		run_submitted();
		fake->workflow = NULL;
		assert_true(fake->task[0].ran);
		assert_string_equal(node_workflows(), "");
	}
	/* to be in the future is no advantage */
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake->workflow = "w 9223372036854775807";
	run_submitted();
	fake->workflow = NULL;
	assert_string_equal(node_workflows(), "1001/w");
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("--aq-workflow=w",
							"--aq-workflow-remove")),
			 0);
	run_submitted();
	assert_string_equal(node_workflows(), "");
	assert_node_is_clean();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_workflows_are_checked_at_submission),
		TEST(test_steps_are_of_their_jobs_workflow),
		TEST(test_workflows_come_and_go),
		TEST(test_hostile_workflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
