/* SPDX-License-Identifier: Apache-2.0 */
/* builder/keys.c: the keys that were built for a user lately. */
#include "tests/unit/unit.h"

#include "builder/keys.h"

#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbb"
#define C "cccccccccccccccc"
#define HOUR 3600

static void lines_are_counted(void **state)
{
	static const struct {
		const char *text;
		uint64_t now;
		size_t n;
		uint64_t oldest;
		bool has_ours;
		const char *kept;
	} cases[] = {
		{ "", 10, 0, 0, false, "" },
		{ "5 " B "\n7 " C "\n", 10, 2, 5, false, "5 " B "\n7 " C "\n" },
		/* by when they were, not by where they stand */
		{ "7 " B "\n5 " C "\n", 10, 2, 5, false, "7 " B "\n5 " C "\n" },
		/* ours is none of the others */
		{ "5 " A "\n7 " C "\n", 10, 1, 7, true, "7 " C "\n" },
		/* an hour, and not a second longer */
		{ "5 " B "\n7 " C "\n", HOUR + 4, 2, 5, false, "5 " B "\n7 " C "\n" },
		{ "5 " B "\n7 " C "\n", HOUR + 5, 1, 7, false, "7 " C "\n" },
		{ "5 " A "\n", HOUR + 5, 0, 0, false, "" },
		/* what is damaged ends it; what is to come was not */
		{ "5 " B "\n7", 10, 1, 5, false, "5 " B "\n" },
		{ "5 " B "\n7 x\n8 " C "\n", 10, 1, 5, false, "5 " B "\n" },
		{ "5 " B "\n7 " C C "\n", 10, 1, 5, false, "5 " B "\n" },
		{ "5 " B "\n11 " C "\n", 10, 1, 5, false, "5 " B "\n" },
		{ "\n", 10, 0, 0, false, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_str struct aq_str kept = AQ_STR_INIT(1000);
		struct keys k = keys_read(cases[i].text, A "0123", cases[i].now,
					  HOUR, &kept);

		assert_int_equal(k.n, cases[i].n);
		assert_int_equal(k.oldest, cases[i].oldest);
		assert_int_equal(k.has_ours, cases[i].has_ours);
		assert_string_equal(aq_str_get(&kept), cases[i].kept);
	}
}

static void what_is_added_is_read(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(1000);
	struct keys k;

	(void)state;
	keys_add(&text, A "0123456789", 7);
	assert_string_equal(aq_str_get(&text), "7 " A "\n");
	k = keys_read(aq_str_get(&text), A "012", 8, HOUR, NULL);
	assert_true(k.has_ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_counted),
		cmocka_unit_test(what_is_added_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
