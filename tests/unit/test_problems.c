/* SPDX-License-Identifier: Apache-2.0 */
/* common/problems.c: several errors told together, none cut in half. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/problems.h"
#include "common/request.h"

static void test_none(void **state)
{
	cleanup_problems struct aq_problems p = { 0 };

	(void)state;
	assert_int_equal(aq_problems_done(&p, NULL), 0);
}

static void test_places(void **state)
{
	cleanup_problems struct aq_problems p = { 0 };
	struct aq_err err, inner;

	(void)state;
	aq_problem(&p, (struct aq_place){ "a\x1b.yaml", 3, 4 }, "x '%d'", 5);
	aq_fail(&inner, AQ_USER, "y");
	aq_problem_err(&p, (struct aq_place){ "b", 1, 1 }, &inner);
	assert_int_equal(aq_problems_done(&p, &err), AQ_USER);
	assert_string_equal(err.text, "a\\x1b.yaml:3:4: x '5'\nb:1:1: y");
	aq_fail(&inner, AQ_SYS, "z");
	aq_problem_err(&p, (struct aq_place){ "b", 2, 1 }, &inner);
	assert_int_equal(aq_problems_done(&p, &err), AQ_SYS);
}

/* More, and longer, than an error has room for: whole lines and a count. */
static void test_too_much(void **state)
{
	cleanup_problems struct aq_problems p = { 0 };
	char path[1000];
	struct aq_err err;
	size_t lines = 1;

	(void)state;
	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i < 20; i++)
		aq_problem(&p, (struct aq_place){ path, i + 1, 1 }, "wrong");
	assert_int_equal(p.lines.n, AQ_REQUEST_ERRORS_MAX);
	assert_int_equal(aq_problems_done(&p, &err), AQ_USER);
	for (const char *c = err.text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 5);
	assert_non_null(strstr(err.text, ":4:1: wrong\nand 16 more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
