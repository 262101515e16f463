/* SPDX-License-Identifier: Apache-2.0 */
/* common/err.c: what an error says, and to whom nobody listens. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "common/err.h"

static void every_class_has_a_name(void **state)
{
	static const char *const names[] = { "ok",   "miss",   "busy",	 "user",
					     "system", "corrupt", "unknown" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(aq_class_name((enum aq_class)i), names[i]);
}

static void context_comes_before_what_is_there(void **state)
{
	struct aq_err err;

	(void)state;
	assert_int_equal(aq_fail(&err, AQ_MISS, "no '%s'", "x"), AQ_MISS);
	assert_int_equal(aq_fail_prefix(&err, "line %d", 3), AQ_MISS);
	assert_string_equal(err.text, "line 3: no 'x'");
	errno = ENOENT;
	assert_int_equal(aq_fail_errno(&err, "cannot"), AQ_SYS);
	assert_string_equal(err.text, "cannot: No such file or directory");
	assert_int_equal(err.errnum, ENOENT);
	aq_err_clear(&err);
	assert_int_equal(err.class, AQ_OK);
	assert_string_equal(err.text, "");
}

/* The class is the policy, with or without a text. */
static void nobody_need_listen(void **state)
{
	(void)state;
	errno = EIO;
	assert_int_equal(aq_fail(NULL, AQ_USER, "x"), AQ_USER);
	assert_int_equal(aq_fail_errno(NULL, "x"), AQ_SYS);
	assert_int_equal(aq_fail_prefix(NULL, "x"), AQ_SYS);
	aq_err_clear(NULL);
	assert_int_equal(errno, EIO);
}

static void what_is_too_long_is_cut(void **state)
{
	char text[2 * AQ_ERR_TEXT_MAX];
	struct aq_err err;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(aq_fail(&err, AQ_SYS, "%s", text), AQ_SYS);
	assert_int_equal(strlen(err.text), AQ_ERR_TEXT_MAX - 1);
	assert_int_equal(aq_fail_prefix(&err, "%s", text), AQ_SYS);
	assert_int_equal(strlen(err.text), AQ_ERR_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_class_has_a_name),
		cmocka_unit_test(context_comes_before_what_is_there),
		cmocka_unit_test(nobody_need_listen),
		cmocka_unit_test(what_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
