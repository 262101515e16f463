/* SPDX-License-Identifier: Apache-2.0 */
/* A program's words, however they arrive. */
#include "tests/unit/unit.h"

#include <string.h>

#include "builder/held.h"
#include "common/redact.h"

#define TEXT_MAX (8 * HELD_MAX)

static void collect(void *arg, const char *text, size_t len)
{
	aq_str_add_mem(arg, text, len);
}

static void feed(const char *text, size_t len, size_t step,
		 const struct aq_strv *secrets, struct aq_str *out)
{
	static struct held h; /* too big for some stacks */

	h = (struct held){ .secrets = secrets, .say = collect, .arg = out };
	for (size_t at = 0; at < len; at += step)
		held_add(&h, text + at, len - at < step ? len - at : step);
	held_end(&h);
	assert_int_equal(h.len, 0);
}

static void no_secret_is_cut_in_two(void **state)
{
	static const char text[] =
		"progress: 1 %\r\nGET https://anna:hush-hush@h/t/tok/x?sig=hush\n"
		"\nAuthorization: Basic hush\nhush-hush hush-hush";
	cleanup_strv struct aq_strv secrets = AQ_STRV_INIT(4);
	cleanup_str struct aq_str want = AQ_STR_INIT(TEXT_MAX);

	(void)state;
	aq_strv_add(&secrets, "hush-hush");
	aq_redact(&want, text, strlen(text), &secrets);
	assert_null(strstr(want.s, "hush"));
	for (size_t step = 1; step <= strlen(text); step++) {
		cleanup_str struct aq_str out = AQ_STR_INIT(TEXT_MAX);

		feed(text, strlen(text), step, &secrets, &out);
		assert_string_equal(aq_str_get(&out), want.s);
	}
}

/* A line that is longer than what is held is cut between words. */
static void a_long_line_is_whole_but_for_its_secrets(void **state)
{
	cleanup_strv struct aq_strv secrets = AQ_STRV_INIT(4);
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_MAX);
	cleanup_str struct aq_str want = AQ_STR_INIT(TEXT_MAX);
	cleanup_str struct aq_str out = AQ_STR_INIT(TEXT_MAX);

	(void)state;
	aq_strv_add(&secrets, "hush-hush");
	while (text.len < 3 * HELD_MAX) {
		aq_str_add(&text, "word hush-hush ");
		aq_str_add(&want, "word *** ");
	}
	feed(text.s, text.len, 1000, &secrets, &out);
	assert_string_equal(aq_str_get(&out), want.s);
}

static void a_word_without_end_is_not_passed_on(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_MAX);
	cleanup_str struct aq_str out = AQ_STR_INIT(TEXT_MAX);

	(void)state;
	while (text.len < 2 * HELD_MAX)
		aq_str_add(&text, "x");
	aq_str_add(&text, "\nnext\n");
	feed(text.s, text.len, 4096, NULL, &out);
	assert_string_equal(aq_str_get(&out), "?\n?\n\nnext\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_secret_is_cut_in_two),
		cmocka_unit_test(a_long_line_is_whole_but_for_its_secrets),
		cmocka_unit_test(a_word_without_end_is_not_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
