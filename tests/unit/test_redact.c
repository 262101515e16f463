/* SPDX-License-Identifier: Apache-2.0 */
/* What clients print, without what nobody may read. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/redact.h"

static const struct {
	const char *text, *want;
} cases[] = {
	/* a URL's user information, wherever clients print one */
	{ "https://u:p@h/c", "https://***@h/c" },
	{ "https://token@h/c", "https://***@h/c" },
	{ "for url (http://u:p%40q@h:80/c)", "for url (http://***@h:80/c)" },
	{ "https://u:p@q@h/", "https://***@h/" },
	{ "\"url\": \"https://u:p@h/x\",", "\"url\": \"https://***@h/x\"," },
	{ "<a href='https://u:p@h/x'>", "<a href='https://***@h/x'>" },
	{ "git+https://u:p@h/x", "git+https://***@h/x" },
	{ "a://u:p@h b://v:q@i", "a://***@h b://***@i" },
	{ "--channel=https://u:p@h", "--channel=https://***@h" },
	{ "http_proxy=http://u:p@h:3128\n", "http_proxy=http://***@h:3128\n" },
	/* an at sign elsewhere is none */
	{ "https://h/a@b", "https://h/a@b" },
	{ "https://h?mail=a@b", "https://h?mail=a@b" },
	{ "ask root@host", "ask root@host" },
	{ "https://h and root@host", "https://h and root@host" },
	{ "'https://h' root@host", "'https://h' root@host" },
	/* conda's tokens */
	{ "https://h/t/ab-1/c", "https://h/t/***/c" },
	{ "https://h/t/ab", "https://h/t/***" },
	{ "(https://h/t/ab)", "(https://h/t/***)" },
	{ "https://h/t/", "https://h/t/" },
	{ "https://u:p@h/t/ab/c", "https://***@h/t/***/c" },
	{ "cannot read /t/ab", "cannot read /t/ab" },
	/* queries */
	{ "https://h/x?token=ab&y=1", "https://h/x?token=***&y=1" },
	{ "https://h/x?y=1&X-Amz-Signature=ab", "https://h/x?y=1&X-Amz-Signature=***" },
	{ "https://h/x?sig=ab)", "https://h/x?sig=***)" },
	{ "https://h/x?tokens=ab", "https://h/x?tokens=ab" },
	{ "https://h/x?token", "https://h/x?token" },
	{ "what? token=ab", "what? token=ab" },
	/* headers */
	{ "> Authorization: Basic YWI6Y2Q=\nnext", "> Authorization: ***\nnext" },
	{ "proxy-authorization: Bearer ab cd", "proxy-authorization: ***" },
	{ "{'Authorization': 'Bearer ab', 'x': 1}", "{'Authorization': '***', 'x': 1}" },
	{ "{\"authorization\":\"ab\"}", "{\"authorization\":\"***\"}" },
	{ "the Authorization header is missing", "the Authorization header is missing" },
	/* nothing */
	{ "", "" },
	{ "://", "://" },
	{ "://@", "://@" },
	{ "no solution found", "no solution found" },
};

static void what_nobody_may_read_is_replaced(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_str struct aq_str once = AQ_STR_INIT(4096);
		cleanup_str struct aq_str twice = AQ_STR_INIT(4096);

		aq_redact(&once, cases[i].text, strlen(cases[i].text), NULL);
		assert_string_equal(aq_str_get(&once), cases[i].want);
		aq_redact(&twice, aq_str_get(&once), once.len, NULL);
		assert_string_equal(aq_str_get(&twice), cases[i].want);
	}
}

static void known_secrets_are_replaced_anywhere(void **state)
{
	cleanup_strv struct aq_strv secrets = AQ_STRV_INIT(8);
	cleanup_str struct aq_str out = AQ_STR_INIT(4096);
	static const char text[] = "a hush-hush\0hush-hush b hush-hus Y2Q=";

	(void)state;
	aq_strv_add(&secrets, "hush-hush");
	aq_strv_add(&secrets, "Y2Q=");
	aq_redact(&out, text, sizeof(text) - 1, &secrets);
	assert_int_equal(out.len, strlen("a ***") + 1 + strlen("*** b hush-hus ***"));
	assert_string_equal(out.s, "a ***");
	assert_string_equal(out.s + 6, "*** b hush-hus ***");
}

static void in_place_it_is_cut_to_what_fits(void **state)
{
	char text[16] = "a://b@c/1234567";

	(void)state;
	aq_redact_in_place(text, sizeof(text), NULL);
	assert_string_equal(text, "a://***@c/12345");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_may_read_is_replaced),
		cmocka_unit_test(known_secrets_are_replaced_anywhere),
		cmocka_unit_test(in_place_it_is_cut_to_what_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
