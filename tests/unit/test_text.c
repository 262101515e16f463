/* SPDX-License-Identifier: Apache-2.0 */
/* common/text: what others wrote, where it reaches people. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"

static void only_printable_text_is_left(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "plain, 1 < 2\n", "plain, 1 < 2\n" },
		{ "grün 日本 🐍\n", "grün 日本 🐍\n" },
		{ "a\tb\rc", "a b c" },
		{ "\a\b\v\f\x7f", "?????" },
		{ "\033[31mred\033[0m", "red" },
		{ "\033[38;2;1;2;3mred", "red" },
		{ "\033[2J\033[1;1Hx", "??x" },
		{ "\033]0;title\ax", "?x" },
		{ "\033]8;;http://x\033\\link", "?link" },
		{ "\033Pq\033\\x", "?x" }, { "\033cx", "?x" },
		{ "\033(0x", "?x" }, { "\033", "?" }, { "\033[", "?" },
		{ "\033[31", "?" }, { "\033]0;no end\nnext", "?\nnext" },
		{ "\033\033[2Jx", "??x" }, { "\033\nx", "?\nx" },
		{ "a\xc2\x9b" "2Jb", "a?2Jb" },       /* C1's CSI */
		{ "a\x9b" "b", "a?b" },               /* and as a byte */
		{ "a\xe2\x80\xae" "b", "a?b" },       /* U+202E */
		{ "a\xe2\x81\xa6" "b", "a?b" },       /* U+2066 */
		{ "a\xe2\x80\x8f" "b", "a?b" },       /* U+200F */
		{ "a\xd8\x9c" "b", "a?b" },           /* U+061C */
		{ "a\xe2\x80\xa8" "b", "a?b" },       /* U+2028 */
		{ "\xff\xfe\xc3", "???" }, { "\xed\xa0\x80", "???" },
		{ "\xe2\x80", "??" }, { "\xf0\x9f\x90", "???" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s", cases[i][0]);
		aq_text_make_printable_text(text);
		assert_string_equal(text, cases[i][1]);
		assert_true(!*text || !aq_text_has_controls(cases[i][1]) ||
			    strchr(text, '\n'));
	}
}

static void a_nul_is_no_end(void **state)
{
	char text[] = "a\0b\033[1mc";
	size_t n = aq_text_make_printable(text, sizeof(text) - 1);

	(void)state;
	assert_int_equal(n, 4);
	assert_memory_equal(text, "a?bc", 4);
}

/* Whatever the bytes: shorter, whole, and the same once more. */
static void any_bytes_become_text(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char text[24], once[sizeof(text) + 1];
		size_t n, len = (size_t)(i % (int)sizeof(text));

		for (size_t k = 0; k < len; k++) {
			seed = seed * 1103515245 + 12345;
			text[k] = (seed >> 16) % 4 ? (char)(seed >> 20) :
				"\033[m]\xe2\x80\xae"[(seed >> 24) % 7];
		}
		n = aq_text_make_printable(text, len);
		assert_true(n <= len);
		memcpy(once, text, n);
		once[n] = '\0';
		for (size_t k = 0; k < n; k++)
			if (once[k] == '\n')
				once[k] = ' ';
		assert_true(aq_text_is_clean(once));
		assert_int_equal(aq_text_make_printable(text, n), n);
	}
}

static void messages_show_what_they_quote(void **state)
{
	char shown[AQ_SHOW_SIZE];

	(void)state;
	assert_string_equal(aq_show("a\u00a0>=1\u200b\ufeff\u00e9", shown),
			    "a\\xc2\\xa0>=1\\xe2\\x80\\x8b\\xef\\xbb\\xbf\u00e9");
	assert_string_equal(aq_show("a\xe2\x80\xae" "b\033", shown),
			    "a\\xe2\\x80\\xaeb\\x1b");
	assert_false(aq_text_is_clean("a\xe2\x80\xae"));
	assert_false(aq_text_is_clean("\xff"));
	assert_false(aq_text_has_controls("\xff grün"));
	assert_true(aq_text_has_controls("\xff\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_printable_text_is_left),
		cmocka_unit_test(a_nul_is_no_end),
		cmocka_unit_test(any_bytes_become_text),
		cmocka_unit_test(messages_show_what_they_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
