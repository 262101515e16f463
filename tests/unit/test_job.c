/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: what a job as a whole holds, and what is noted of it. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/job.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/steps.h"

struct seen {
	int n;
	char digest[AQ_SHA256_HEX_SIZE]; /* of job 10 on n1 */
};

static int see(uint32_t id, const char *node, const char *digest, void *arg,
	       struct aq_err *err)
{
	struct seen *s = arg;

	(void)err;
	s->n++;
	if (id == 10 && strcmp(node, "n1") == 0)
		snprintf(s->digest, sizeof(s->digest), "%s", digest);
	return 0;
}

static struct seen look(const struct aq_conf *conf)
{
	struct seen s = { 0 };

	assert_int_equal(aq_job_each(conf, see, &s, NULL), 0);
	return s;
}

static int add_digest(const char *env, const char *digest, void *arg,
		      struct aq_err *err)
{
	(void)err;
	assert_string_equal(env, "");
	aq_strv_add(arg, digest);
	return 0;
}

static void a_job_holds_what_its_prolog_says(void **state)
{
	static const char others[] =
		"holds 01234567-89ab-cdef-0123-456789abcdef " DIGEST_A "\n"
		"holds\nholds " DIGEST_A "\n\n" DIGEST_A;
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	cleanup_strv struct aq_strv held = AQ_STRV_INIT(8);
	struct aq_conf n2 = *conf;
	char path[256];

	n2.node = (char[]){ "n2" };
	assert_int_equal(aq_job_hold(conf, 10, "none", 0, NULL), AQ_USER);
	assert_int_equal(look(conf).n, 0);
	assert_int_equal(aq_job_hold(conf, 10, DIGEST_A, 0, NULL), 0);
	assert_int_equal(aq_job_note_refresh(conf, 10, DIGEST_B, NULL), 0);
	assert_string_equal(look(conf).digest, DIGEST_A);
	assert_true(aq_job_has_refreshed(conf, 10, DIGEST_B));
	assert_false(aq_job_has_refreshed(conf, 10, DIGEST_A));
	/* requeued, and asking for something else */
	assert_int_equal(aq_job_hold(conf, 10, DIGEST_B, 0, NULL), 0);
	assert_string_equal(look(conf).digest, DIGEST_B);
	assert_int_equal(aq_job_hold(&n2, 10, DIGEST_A, 0, NULL), 0);
	assert_int_equal(aq_job_mark(&n2, 11, NULL), 0);
	assert_int_equal(look(conf).n, 3);
	assert_int_equal(aq_refs_each_held(refs, add_digest, &held, NULL), 0);
	assert_int_equal(held.n, 2);
	/* another boot's, and what is none of ours */
	aq_job_mark_name(conf, 10, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	scribble(path, 0, others, strlen(others));
	assert_string_equal(look(conf).digest, "");
}

static void marks_that_are_none_are_passed_over(void **state)
{
	static const char *const names[] = { "10", ".n1", "x.n1", "-1.n1",
					     "4294967296.n1", "10n1" };
	const struct aq_conf *conf = *state;
	cleanup_free char *jobs = path_below(conf->run_dir, "jobs");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = path_below(jobs, names[i]);

		scribble(path, 0, "", 0);
	}
	assert_int_equal(look(conf).n, 0);
}

static void jobs_are_marked_by_node(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_conf n2 = *conf;
	char path[256], path2[256];

	n2.node = (char[]){ "n2" };
	aq_job_mark_name(conf, 10, path, sizeof(path));
	aq_job_mark_name(&n2, 10, path2, sizeof(path2));
	assert_int_equal(aq_job_mark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_mark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_mark(&n2, 10, NULL), 0);
	assert_int_equal(aq_job_unmark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_unmark(conf, 10, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(access(path2, F_OK), 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_holds_what_its_prolog_says),
		TEST(marks_that_are_none_are_passed_over),
		TEST(jobs_are_marked_by_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
