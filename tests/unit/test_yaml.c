/* SPDX-License-Identifier: Apache-2.0 */
/* common/yaml.c and common/text.c: people's files as they are. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/text.h"
#include "common/yaml.h"

static int parse(const char *text, struct aq_yaml **ret,
		 struct aq_yaml_place *place, struct aq_err *err)
{
	return aq_yaml_parse(text, strlen(text), ret, place, err);
}

static void test_tree(void **state)
{
	cleanup_yaml struct aq_yaml *root = NULL;
	struct aq_yaml_place place;
	struct aq_yaml *n;
	struct aq_err err;

	(void)state;
	assert_int_equal(parse("# x\r\nname: '1'\r\ndeps:\r\n  - a=1.10\r\n"
			       "  - pip: [ b ]\r\n  - ~\r\n",
			       &root, &place, &err),
			 0);
	assert_int_equal(root->kind, AQ_YAML_MAP);
	n = root->child;
	assert_string_equal(n->key, "name");
	assert_string_equal(n->text, "1");
	assert_false(n->plain);
	assert_int_equal(n->key_line, 2);
	assert_int_equal(n->key_column, 1);
	assert_int_equal(n->column, 7);
	n = n->next->child;
	assert_string_equal(n->text, "a=1.10");
	assert_true(n->plain);
	assert_int_equal(n->line, 4);
	assert_int_equal(n->column, 5);
	n = n->next;
	assert_int_equal(n->kind, AQ_YAML_MAP);
	assert_string_equal(n->child->key, "pip");
	assert_string_equal(n->child->child->text, "b");
	assert_true(aq_yaml_is_null(n->next));
	assert_null(n->next->next);
}

static void test_nothing(void **state)
{
	struct aq_yaml *root = NULL;
	struct aq_yaml_place place;
	struct aq_err err;

	(void)state;
	assert_int_equal(parse("", &root, &place, &err), 0);
	assert_null(root);
	assert_int_equal(parse("# only a comment\n", &root, &place, &err), 0);
	assert_null(root);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
		size_t line, column;
	} cases[] = {
		{ "a: &x 1\nb: *x\n", "aliases", 2, 4 },
		{ "a: !!str 1\n", "tags", 1, 4 },
		{ "a: !x [1]\n", "tags", 1, 4 },
		{ "a: {<<: {b: 1}}\n", "merge keys", 1, 5 },
		{ "a: 1\nb: 2\na: 3\n", "duplicate key 'a', first in line 1", 3,
		  1 },
		{ "a: 1\n---\nb: 2\n", "second document", 2, 1 },
		{ "? [a]\n: b\n", "a key must be a word", 1, 3 },
		{ "[[[[[[[[[[[[[[[[[[[[", "nested too deep", 1, 17 },
		{ "a:\n\t- b\n", "a tab cannot indent", 2, 1 },
		{ "a: @b\n", "put quotes", 1, 4 },
		{ "a: [b\n", "not valid YAML", 2, 1 },
		{ "a: \"\\0\"\n", "control characters", 1, 4 },
		{ "a: \x01\n", "control characters", 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_yaml *root = NULL;
		struct aq_yaml_place place;
		struct aq_err err;

		assert_int_equal(parse(cases[i].text, &root, &place, &err),
				 AQ_USER);
		assert_null(root);
		if (!strstr(err.text, cases[i].why) ||
		    place.line != cases[i].line ||
		    place.column != cases[i].column)
			fail_msg("'%s': %zu:%zu: %s", cases[i].text, place.line,
				 place.column, err.text);
	}
}

/* Every file cut anywhere and with any byte changed: an answer, no crash. */
static void test_damaged(void **state)
{
	static const char text[] = "a: [b, {c: 'd'}]\n\"e\": |\n  f\n# g\n"
				   "h: - i\n? j\n: k\n";
	struct aq_yaml_place place;
	struct aq_err err;

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		for (int byte = 0; byte < 256; byte++) {
			cleanup_yaml struct aq_yaml *root = NULL;
			char copy[sizeof(text)];

			memcpy(copy, text, sizeof(text));
			copy[cut] = (char)byte;
			if (aq_yaml_parse(copy, byte ? sizeof(text) - 1 : cut,
					  &root, &place, &err))
				assert_null(root);
		}
	}
}

static void decode(const char *mem, size_t len, const char *want)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(1024);
	struct aq_err err;
	int rc = aq_text_decode(mem, len, &out, &err);

	if (!want) {
		assert_int_equal(rc, AQ_USER);
		return;
	}
	assert_int_equal(rc, 0);
	assert_string_equal(aq_str_get(&out), want);
}

#define DECODE(mem, want) decode(mem, sizeof(mem) - 1, want)

static void test_decode(void **state)
{
	(void)state;
	DECODE("", "");
	DECODE("a\xc3\xa4", "a\xc3\xa4");
	DECODE("\xef\xbb\xbf"
	       "a",
	       "a");
	DECODE("\xff\xfe"
	       "a\0\n\0",
	       "a\n");
	DECODE("\xfe\xff"
	       "\0a\x20\xac",
	       "a\xe2\x82\xac");
	DECODE("\xff\xfe\x3d\xd8\x00\xde", "\xf0\x9f\x98\x80");
	DECODE("\xff\xfe\x3d\xd8", NULL); /* half a pair */
	DECODE("\xff\xfe\x3d\xd8"
	       "a\0",
	       NULL);			  /* and a letter behind */
	DECODE("\xff\xfe\x00\xde", NULL); /* the other half */
	DECODE("\xff\xfe"
	       "a\0b",
	       NULL);			     /* half a character */
	DECODE("\xff\xfe\0\0a\0\0\0", NULL); /* UTF-32 */
	DECODE("a\0b", NULL);
	DECODE("\xc0\x80", NULL);	  /* overlong */
	DECODE("\xed\xa0\x80", NULL);	  /* a surrogate */
	DECODE("\xf4\x90\x80\x80", NULL); /* over U+10FFFF */
	DECODE("\xe2\x82", NULL);
	DECODE("caf\xe9", NULL); /* Latin-1 */
}

static void test_clean_and_show(void **state)
{
	char show[AQ_SHOW_SIZE], text[400];

	(void)state;
	assert_true(aq_text_is_clean("a \xc3\xa4 \xf0\x9f\x98\x80"));
	assert_false(aq_text_is_clean("a\n"));
	assert_false(aq_text_is_clean("\x7f"));
	assert_false(aq_text_is_clean("\xc2\x85"));
	assert_false(aq_text_is_clean("\xe2\x80\xa8"));
	assert_false(aq_text_is_clean("\xff"));
	assert_string_equal(aq_show("a\x1b[0m\xff", show), "a\\x1b[0m\\xff");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(strlen(aq_show(text, show)),
			 AQ_SHOW_MAX + strlen("…"));
	memset(text, '\x01', sizeof(text) - 1);
	assert_true(strlen(aq_show(text, show)) < AQ_SHOW_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_clean_and_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
