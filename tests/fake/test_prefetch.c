/* SPDX-License-Identifier: Apache-2.0 */
/* A prolog that is to start a build, and cannot. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/fake/jobs.h"

static void allow_prefetch(void)
{
	FILE *conf = fopen("aq.conf", "a");

	assert_non_null(conf);
	assert_true(fputs("prefetch = yes\n", conf) >= 0);
	assert_int_equal(fclose(conf), 0);
	fake->uid = 1; /* an account that there is */
}

/* A prolog without room for an answer, whose call number 'n' fails, too; 0: no other. */
static void cannot_start(int n)
{
	fake->calls = 0;
	fake->fail_at = n;
	fake->fail_name = "memfd_create";
	fake_prolog();
	fake->fail_at = 0;
	fake->fail_name = NULL;
}

/* A prolog that cannot start it has held all the same what the job asks for. */
static void what_cannot_be_started_is_held_all_the_same(void **state)
{
	(void)state;
	allow_prefetch();
	assert_int_equal(mkdir("lib", 0755), 0);
	assert_int_equal(mkdir("lib/private", 0711), 0);
	assert_int_equal(mkdir("lib/private/1", 0750), 0);
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	assert_true(fake->prefetch[0]);
	cannot_start(0);
	for (int n = fake->calls; n >= 0; n--) {
		fake_epilog();
		cannot_start(n);
	}
	assert_said("cannot make room for an answer");
	assert_true(node_has("run/jobs/7.n1"));
	assert_true(node_has("run/private/1/jobs/7.n1"));
	assert_calm();
}

/* The disk that aq-builder lies on: the prolog says so before its worker is killed for
 * it, and nobody is left who would begin whenever that disk is back.
 */
static void what_hangs_is_ended_and_said(void **state)
{
	int status;

	(void)state;
	allow_prefetch();
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake->has_hung_disk = true;
	fake_prolog();
	assert_said("did not start within");
	assert_true(node_has("run/jobs/7.n1"));
	assert_true(fake->hung > 0);
	assert_int_equal(waitpid(fake->hung, &status, 0), fake->hung);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	assert_calm();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_cannot_be_started_is_held_all_the_same),
		TEST(what_hangs_is_ended_and_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
