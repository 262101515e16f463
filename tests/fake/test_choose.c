/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several --aq-requirements counts. */
#include "tests/unit/unit.h"

#include <string.h>

#include "plugin/rim.h"

struct row {
	const char *what;
	const char *values[6]; /* as the callback gets them */
	const char *carrier;
	size_t n_components;
	const char *value; /* expected */
	bool is_inherited, differs;
};

static const struct row rows[] = {
	{ "nothing", { NULL }, NULL, 1, NULL, true, false },
	{ "given", { "a" }, NULL, 1, "a", false, false },
	{ "the last one counts", { "a", "b" }, NULL, 1, "b", false, false },
	{ "inherited", { "a" }, "a", 1, "a", true, false },
	{ "another than the job's", { "a", "b" }, "a", 1, "b", false, false },
	{ "the job's own file again", { "a", "a" }, "a", 1, "a", false, false },
	{ "none in a job", { "a", "none" }, "a", 1, "none", false, false },
	{ "components, one value", { "a" }, NULL, 2, "a", false, false },
	{ "components, the same twice", { "a", "a" }, NULL, 2, "a", false, false },
	{ "components, two values", { "a", "b" }, NULL, 2, "b", false, true },
	{ "components, two of three", { "a", "b", "b" }, NULL, 3, "b", false, true },
	{ "components inherit", { "a", "a" }, "a", 2, "a", true, false },
	{ "the first names another", { "a", "b", "a" }, "a", 2, "b", false, false },
	{ "the second names another", { "a", "a", "b" }, "a", 2, "b", false, false },
	{ "two others in a job", { "a", "b", "a", "c" }, "a", 2, "c", false, true },
	{ "the job's own and another", { "a", "a", "a", "b" }, "a", 2, "b", false, true },
	{ "no callback for the carrier", { NULL }, "a", 1, NULL, true, false },
};

static void test_choices(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		cleanup_strv struct aq_strv values = AQ_STRV_INIT(10);
		struct rim_choice choice;

		for (size_t j = 0; r->values[j]; j++)
			aq_strv_add(&values, r->values[j]);
		choice = rim_choose(&values, r->carrier, r->n_components);
		if (!choice.value != !r->value ||
		    (r->value && strcmp(choice.value, r->value) != 0) ||
		    choice.is_inherited != r->is_inherited ||
		    choice.differs != r->differs)
			fail_msg("%s: got '%s', inherited %d, differs %d",
				 r->what, choice.value ? choice.value : "-",
				 choice.is_inherited, choice.differs);
		if (choice.differs)
			assert_string_not_equal(choice.value, choice.other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_choices) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
