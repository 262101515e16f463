/* SPDX-License-Identifier: Apache-2.0 */
/* common/toml.c: what TOML 1.0 means, and what it refuses. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/str.h"
#include "common/toml.h"

/* A table or list as text: {a="x",b=[1,{c="y"}]} */
static void write_node(const struct aq_toml *n, struct aq_str *out)
{
	bool is_table = n->kind == AQ_TOML_TABLE;

	if (n->kind == AQ_TOML_STRING) {
		aq_str_add_fmt(out, "\"%s\"", n->text);
		return;
	}
	if (n->kind == AQ_TOML_OTHER) {
		aq_str_add(out, n->text);
		return;
	}
	aq_str_add(out, is_table ? "{" : "[");
	for (const struct aq_toml *c = n->child; c; c = c->next) {
		if (is_table)
			aq_str_add_fmt(out, "%s=", c->key);
		write_node(c, out);
		if (c->next)
			aq_str_add(out, ",");
	}
	aq_str_add(out, is_table ? "}" : "]");
}

static void expect(const char *text, const char *want)
{
	cleanup_str struct aq_str got = AQ_STR_INIT(4096);
	cleanup_toml struct aq_toml *root = NULL;
	struct aq_toml_place where;
	struct aq_err err;

	if (aq_toml_parse(text, &root, &where, &err))
		fail_msg("%s: %zu:%zu: %s", text, where.line, where.column,
			 err.text);
	write_node(root, &got);
	assert_string_equal(aq_str_get(&got), want);
}

static void expect_refused(const char *text, const char *want)
{
	cleanup_str struct aq_str got = AQ_STR_INIT(4096);
	cleanup_toml struct aq_toml *root = NULL;
	struct aq_toml_place where = { 0 };
	struct aq_err err;

	if (!aq_toml_parse(text, &root, &where, &err))
		fail_msg("accepted: %s", text);
	assert_int_equal(err.class, AQ_USER);
	assert_null(root);
	aq_str_add_fmt(&got, "%zu:%zu: ", where.line, where.column);
	aq_str_add(&got, err.text + strlen("not valid TOML: "));
	assert_string_equal(aq_str_get(&got), want);
}

static void values_are_what_they_say(void **state)
{
	(void)state;
	expect("", "{}");
	expect(" # only this\n\n", "{}");
	expect("a = 'b' # c\n\"x y\"=\"z\"\n'k'.\"l\" . m= ''",
	       "{a=\"b\",x y=\"z\",k={l={m=\"\"}}}");
	expect("a = [ 'x', # c ]\n\n\t\"y\" ,\n]\nb=[]\nc=[[1],[],]",
	       "{a=[\"x\",\"y\"],b=[],c=[[1],[]]}");
	expect("a = {b = 1, c.d = 'x'}\ne={ }", "{a={b=1,c={d=\"x\"}},e={}}");
	expect("a = -1_0\nb = 1979-05-27 07:32:00Z # x\nc=+inf\nd = true\n"
	       "e=0xDEAD\nf=5e-3",
	       "{a=-1_0,b=1979-05-27 07:32:00Z,c=+inf,d=true,e=0xDEAD,f=5e-3}");
}

static void strings_are_decoded(void **state)
{
	(void)state;
	expect("a = \"\\t\\\"\\\\\\u00e9\\U0001F600\\u20AC\"",
	       "{a=\"\t\"\\\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac\"}");
	expect("a = 'C:\\x\"'", "{a=\"C:\\x\"\"}");
	expect("a = \"\"\"\nx\n  y\"\"\"", "{a=\"x\n  y\"}");
	expect("a = \"\"\"x \\ \n\n   y\"\"\"", "{a=\"x y\"}");
	expect("a = '''\nx\\\n'''", "{a=\"x\\\n\"}");
	expect("a = \"\"\"\"x\"\"\"\"\"", "{a=\"\"x\"\"\"}");
	expect("a = ''''x'''''", "{a=\"'x''\"}");
	expect("a = \"\"\"x\"y\"\"z\"\"\"", "{a=\"x\"y\"\"z\"}");
	expect_refused("a = \"x\nb\"", "1:5: a string has no end");
	expect_refused("a = '''x''", "1:5: a string has no end");
	expect_refused("a = \"\\q\"", "1:6: an escape that there is not: write "
				      "'\\\\' for a backslash, or the text in "
				      "single quotes");
	expect_refused("a = \"\\u12\"", "1:8: an escape lacks digits");
	expect_refused("a = \"\\ud800\"", "1:8: an escape is no character");
	/* no text of ours can hold it */
	expect_refused("a = \"\\u0000\"", "1:8: an escape is no character");
	expect_refused("a = 1 # \x01", "1:9: control characters are not allowed");
	expect_refused("\n\xc3\xa9 = \x7f", "2:5: control characters are not "
					    "allowed");
}

static void tables_are_put_together(void **state)
{
	(void)state;
	expect("[a]\nb=1\n[c.d]\ne=2\n[c]\nf=3", "{a={b=1},c={d={e=2},f=3}}");
	expect("[[a]]\nb=1\n[a.c]\nd=2\n[[a]]\n[[a.e]]\nf=3\n",
	       "{a=[{b=1,c={d=2}},{e=[{f=3}]}]}");
	expect("a.b=1\na.c=2\n[d]\ne.f=1\n[d.e.g]\nh=2",
	       "{a={b=1,c=2},d={e={f=1,g={h=2}}}}");
	expect("[ \"a\" . b ] # x\nc=1", "{a={b={c=1}}}");
}

/* What tools read differently, if they read it at all. */
static void what_has_two_meanings_is_refused(void **state)
{
	static const char twice[] = " stands there twice: keep one";
	static const char table[] =
		" is a table that stands there twice: write one";
	static const char taken[] = " was given a value above: nothing can be "
				    "added to it here";
	static const struct {
		const char *text, *where, *why;
	} cases[] = {
		{ "a=1\na=2", "2:1: 'a'", twice },
		{ "a=1\n\"a\"=2", "2:1: 'a'", twice },
		{ "a={b=1,b=2}", "1:8: 'b'", twice },
		{ "[a]\n[a]", "2:2: 'a'", table },
		{ "a.b=1\n[a]", "2:2: 'a'", table },
		{ "a=1\n[a]", "2:2: 'a'", taken },
		{ "a=1\n[a.b]", "2:2: 'a'", taken },
		{ "a=1\na.b=2", "2:1: 'a'", taken },
		{ "a={b=1}\na.c=2", "2:1: 'a'", taken },
		{ "a={b.c=1}\n[a.b.d]", "2:2: 'a'", taken },
		{ "a=[]\n[[a]]", "2:3: 'a'", taken },
		{ "[[a]]\n[a]", "2:2: 'a'", taken },
		{ "[a]\n[[a]]", "2:3: 'a'", taken },
		{ "[a.b]\n[a]\nb.c=1", "3:1: 'b'", taken },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[128];

		snprintf(want, sizeof(want), "%s%s", cases[i].where,
			 cases[i].why);
		expect_refused(cases[i].text, want);
	}
}

static void wrong_syntax_is_told_where(void **state)
{
	static const char *const cases[][2] = {
		{ "a = b", "1:5: text needs quotes around it" },
		{ "a = 1\nb = truex", "2:5: text needs quotes around it" },
		{ "a =\n", "1:4: a value is expected here" },
		{ "a = @", "1:5: a value is expected here" },
		{ "a", "1:2: 'a' needs a value: write '=' behind it" },
		{ "= 1", "1:1: a key is expected here: letters, digits, '_' and "
			 "'-', or quotes around it" },
		{ "a = 1 b = 2", "1:7: the line's end is expected here" },
		{ "a = [1 2]", "1:8: a list goes on with ',' or ends with ']'" },
		{ "a = [1,\n\n2", "3:2: a list goes on with ',' or ends with ']'" },
		{ "a = [1,\n\n", "1:5: a list has no end" },
		{ "a = {b=1,}", "1:10: a table in a line has no ',' at its end" },
		{ "a = {b=1\n}", "1:9: a table in a line goes on with ',' or "
				 "ends with '}'" },
		{ "[a", "1:3: ']' is missing" },
		{ "[[a]", "1:4: ']]' is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_refused(cases[i][0], cases[i][1]);
}

static void there_are_limits(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(100000);

	(void)state;
	aq_str_add(&text, "a=");
	for (int i = 0; i < AQ_TOML_DEPTH_MAX; i++)
		aq_str_add(&text, "[");
	expect_refused(aq_str_get(&text), "1:18: a list has no end");
	aq_str_add(&text, "[");
	expect_refused(aq_str_get(&text), "1:19: lists and tables are too deep "
					  "inside each other");
	aq_str_truncate(&text, 0);
	for (int i = 0; i < AQ_TOML_DEPTH_MAX; i++)
		aq_str_add(&text, "a.");
	aq_str_add(&text, "a=1");
	expect_refused(aq_str_get(&text), "1:32: a key has too many parts");
	aq_str_truncate(&text, 0);
	aq_str_add(&text, "a=[");
	for (int i = 0; i <= AQ_TOML_ITEMS_MAX; i++)
		aq_str_add(&text, "1,");
	expect_refused(aq_str_get(&text),
		       "1:2052: too many items in one list or table");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_what_they_say),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(tables_are_put_together),
		cmocka_unit_test(what_has_two_meanings_is_refused),
		cmocka_unit_test(wrong_syntax_is_told_where),
		cmocka_unit_test(there_are_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
