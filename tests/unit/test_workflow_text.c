/* SPDX-License-Identifier: Apache-2.0 */
/* Workflows as the variable that nodes get. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/workflow.h"

static void what_is_printed_is_read(void **state)
{
	struct aq_workflow w = { .name = "my-flow_1.x", .submitted = 12 }, r;
	char text[AQ_WORKFLOW_TEXT_SIZE];

	(void)state;
	aq_workflow_print(&w, text);
	assert_string_equal(text, "my-flow_1.x 12");
	assert_true(aq_workflow_parse(text, 100, &r));
	assert_string_equal(r.name, w.name);
	assert_int_equal(r.submitted, 12);
	assert_false(r.is_removed);
	w.is_removed = true;
	aq_workflow_print(&w, text);
	assert_true(aq_workflow_parse(text, 100, &r));
	assert_true(r.is_removed);
	/* the longest there is */
	memset(w.name, 'x', AQ_WORKFLOW_NAME_MAX);
	w.submitted = INT64_MAX;
	aq_workflow_print(&w, text);
	assert_true(aq_workflow_parse(text, UINT64_MAX, &r));
	assert_memory_equal(&r, &w, sizeof(w));
}

static void the_future_is_now(void **state)
{
	struct aq_workflow r;

	(void)state;
	assert_true(aq_workflow_parse("w 1000", 100, &r));
	assert_int_equal(r.submitted, 100);
	assert_true(aq_workflow_parse("w 100", 100, &r));
	assert_int_equal(r.submitted, 100);
}

static void anything_else_is_refused(void **state)
{
	static const char *const texts[] = {
		"", " ", "w", "w ", " 1", "w  1", "w 1 ", "w -1", "w +1", "w 01",
		"w 0x1", "w 1 removed ", "w 1 Removed", "w 1  removed",
		"w 1 2", "w removed", "removed", " removed", "w/x 1", "w\n 1",
		"w;drop 1", "w' 1", "\xc3\xa9 1", "w\t1", "w 1\n", "* 1",
		"w 9223372036854775808", "w 99999999999999999999",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 1",
	};
	char longest[1000];
	struct aq_workflow r = { .uid = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (aq_workflow_parse(texts[i], UINT64_MAX, &r))
			fail_msg("'%s' was taken", texts[i]);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(aq_workflow_parse(longest, UINT64_MAX, &r));
	assert_int_equal(r.uid, 7);
	assert_false(aq_workflow_is_name(""));
	assert_false(aq_workflow_is_name("a b"));
	assert_true(aq_workflow_is_name("A-b_9."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_is_read),
		cmocka_unit_test(the_future_is_now),
		cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
