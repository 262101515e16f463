/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/str.h"

static void appends_grow(void **state)
{
	cleanup_str struct aq_str s = AQ_STR_INIT(100000);

	(void)state;
	assert_string_equal(aq_str_get(&s), "");
	for (int i = 0; i < 1000; i++)
		aq_str_add_fmt(&s, "%d,", i % 10);
	assert_int_equal(s.len, 2000);
	aq_str_truncate(&s, 4);
	aq_str_add_char(&s, 'x');
	assert_string_equal(aq_str_get(&s), "0,1,x");
	assert_int_equal(aq_str_done(&s, "text", NULL), 0);
}

static void cap_breaks_once_and_keeps_the_text(void **state)
{
	cleanup_str struct aq_str s = AQ_STR_INIT(4);
	struct aq_err err = { 0 };

	(void)state;
	aq_str_add(&s, "abcd");
	aq_str_add(&s, "e");
	aq_str_truncate(&s, 2);
	aq_str_add(&s, "f");
	assert_string_equal(aq_str_get(&s), "ab");
	assert_int_equal(aq_str_done(&s, "the text", &err), AQ_SYS);
	assert_string_equal(err.text, "the text is over its limit of 4");
}

static void lists_sort_and_drop_equals(void **state)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(20);
	const char *in[] = { "b", "a", "b", "c", "a" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		aq_strv_add(&v, in[i]);
	aq_strv_sort_unique(&v);
	assert_int_equal(v.n, 3);
	assert_string_equal(v.v[0], "a");
	assert_string_equal(v.v[2], "c");
	assert_null(v.v[3]);
	assert_true(aq_strv_has(&v, "b"));
	assert_false(aq_strv_has(&v, "d"));
}

static void list_cap(void **state)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(2);

	(void)state;
	aq_strv_add(&v, "a");
	aq_strv_add_fmt(&v, "%s", "b");
	aq_strv_add(&v, "c");
	assert_int_equal(v.n, 2);
	assert_int_equal(aq_strv_done(&v, "list", NULL), AQ_SYS);
}

static void numbers(void **state)
{
	uint64_t n = 7;

	(void)state;
	assert_true(aq_parse_u64("18446744073709551615", UINT64_MAX, &n));
	assert_int_equal(n, UINT64_MAX);
	n = 7;
	assert_false(aq_parse_u64("18446744073709551616", UINT64_MAX, &n));
	assert_false(aq_parse_u64("", UINT64_MAX, &n));
	assert_false(aq_parse_u64("-1", UINT64_MAX, &n));
	assert_false(aq_parse_u64(" 1", UINT64_MAX, &n));
	assert_false(aq_parse_u64("1x", UINT64_MAX, &n));
	assert_false(aq_parse_u64("11", 10, &n));
	assert_int_equal(n, 7);
}

static void what_is_in_a_directory(void **state)
{
	(void)state;
	assert_string_equal(aq_path_in("/a/b", "/a/b"), "");
	assert_string_equal(aq_path_in("/a/b", "/a/b//"), "");
	assert_string_equal(aq_path_in("/a/b/c", "/a/b"), "/c");
	assert_string_equal(aq_path_in("a/b/c", "a/"), "/b/c");
	assert_null(aq_path_in("/a/bc", "/a/b"));
	assert_null(aq_path_in("/a", "/a/b"));
	assert_null(aq_path_in("/a", ""));
	assert_string_equal(aq_path_in("/a/b", "/"), "/a/b");
	assert_string_equal(aq_path_in("/", "/"), "");
	assert_null(aq_path_in("a", "/"));
}

static void small_predicates(void **state)
{
	char buf[4] = "zzz";

	(void)state;
	assert_true(aq_is_hex("00af", 4));
	assert_false(aq_is_hex("00AF", 4));
	assert_false(aq_is_hex("00af0", 4));
	assert_false(aq_is_hex("00a", 4));
	assert_true(aq_starts_with("prefix", "pre"));
	assert_true(aq_ends_with("a.conda", ".conda"));
	assert_false(aq_ends_with("conda", ".conda"));
	assert_true(aq_copy_text(buf, sizeof(buf), "abc"));
	assert_false(aq_copy_text(buf, sizeof(buf), "abcd"));
	assert_string_equal(buf, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_grow),
		cmocka_unit_test(cap_breaks_once_and_keeps_the_text),
		cmocka_unit_test(lists_sort_and_drop_equals),
		cmocka_unit_test(list_cap),
		cmocka_unit_test(numbers),
		cmocka_unit_test(what_is_in_a_directory),
		cmocka_unit_test(small_predicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
