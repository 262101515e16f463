/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "common/needles.h"

#define MANY 20000
#define TEXT_SIZE (1024 * 1024)

static bool is_found(const struct aq_needles *n, const char *name)
{
	for (size_t i = 0; i < n->names->n; i++)
		if (strcmp(n->names->v[i], name) == 0)
			return n->found[i];
	return false;
}

static void finds_what_is_there_and_nothing_else(void **state)
{
	static const char text[] = "\x92\0abcdefg\xff" "xyzz";
	static const struct {
		const char *name;
		bool found;
	} names[] = {
		{ "abcd", true }, { "abcdefg", true }, { "bcde", true },
		{ "xyzz", true }, { "abcdefgh", false }, { "abcx", false },
		{ "abce", false }, { "xyzzy", false }, { "abc", false },
		{ "", false },
	};
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(20);
	cleanup_needles struct aq_needles n = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		aq_strv_add(&v, names[i].name);
	assert_int_equal(aq_needles_make(&v, &n, NULL), 0);
	assert_false(aq_needles_find(&n, "", 0));
	assert_false(aq_needles_find(&n, "abc", 3));
	assert_true(aq_needles_find(&n, text, sizeof(text) - 1));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(is_found(&n, names[i].name), names[i].found);
}

static void names_that_are_no_file_s_are_found_nowhere(void **state)
{
	char longest[AQ_NEEDLE_MAX + 2];
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(2);
	cleanup_needles struct aq_needles n = { 0 };

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	aq_strv_add(&v, longest);
	assert_int_equal(aq_needles_make(&v, &n, NULL), 0);
	assert_false(aq_needles_find(&n, longest, strlen(longest)));
	aq_strv_add(&v, "a");
	aq_strv_add(&v, "one more than there may be");
	aq_needles_free(&n);
	assert_int_equal(aq_needles_make(&v, &n, NULL), AQ_SYS);
}

/* Each name by each byte would be some minutes. */
static void many_names_cost_no_more_than_few(void **state)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(MANY);
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_SIZE);
	cleanup_needles struct aq_needles n = { 0 };

	(void)state;
	for (int i = 0; i < MANY; i++)
		aq_strv_add_fmt(&v, "%08x%056d", i * 2654435761U, i);
	while (!text.broken)
		aq_str_add_fmt(&text, "%zu,", text.len);
	assert_int_equal(aq_needles_make(&v, &n, NULL), 0);
	assert_false(aq_needles_find(&n, aq_str_get(&text), text.len));
	for (int i = 0; i < MANY; i++)
		assert_true(aq_needles_find(&n, v.v[i], strlen(v.v[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_there_and_nothing_else),
		cmocka_unit_test(names_that_are_no_file_s_are_found_nowhere),
		cmocka_unit_test(many_names_cost_no_more_than_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
