/* SPDX-License-Identifier: Apache-2.0 */
/* What aq prints: JSON, sizes and times, text from elsewhere, progress. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/stats.h"
#include "cli/term.h"
#include "cli/units.h"

struct output {
	FILE *file;
	char *text;
	size_t len;
};

static FILE *begin(struct output *o)
{
	o->file = open_memstream(&o->text, &o->len);
	assert_non_null(o->file);
	return o->file;
}

static void expect(struct output *o, const char *text)
{
	fclose(o->file);
	assert_string_equal(o->text, text);
	free(o->text);
}

static void expect_json_text(const char *value, const char *json)
{
	struct output o;
	struct json j = { .out = begin(&o) };

	json_text(&j, NULL, value);
	expect(&o, json);
}

static void json_escapes_what_must_be(void **state)
{
	(void)state;
	expect_json_text("", "\"\"");
	expect_json_text(NULL, "null");
	expect_json_text("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
	expect_json_text("\n\t\x01\x1b\x7f", "\"\\u000a\\u0009\\u0001\\u001b\\u007f\"");
	expect_json_text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d",
			 "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d\"");
	/* C1: U+009B is a terminal's CSI */
	expect_json_text("\xc2\x9b\xc2\xa0", "\"\\u009b\xc2\xa0\"");
}

static void json_stays_utf8(void **state)
{
	(void)state;
	expect_json_text("\xff" "a", "\"\\ufffda\"");
	expect_json_text("\xc0\xaf", "\"\\ufffd\\ufffd\"");	   /* overlong */
	expect_json_text("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
	expect_json_text("\xe2\x82", "\"\\ufffd\\ufffd\"");	   /* cut */
}

static void json_nests(void **state)
{
	cleanup_strv struct aq_strv list = AQ_STRV_INIT(9);
	struct output o;
	struct json j;

	(void)state;
	aq_strv_add(&list, "x");
	aq_strv_add(&list, "y");
	json_begin(&j, begin(&o));
	json_list(&j, "list", &list);
	json_open(&j, "none", '[');
	json_close(&j, ']');
	json_open(&j, "all", '{');
	json_bool(&j, "yes", true);
	json_number(&j, "n", UINT64_MAX);
	json_close(&j, '}');
	json_end(&j);
	expect(&o, "{\n"
		   "  \"schema\": 1,\n"
		   "  \"list\": [\n"
		   "    \"x\",\n"
		   "    \"y\"\n"
		   "  ],\n"
		   "  \"none\": [],\n"
		   "  \"all\": {\n"
		   "    \"yes\": true,\n"
		   "    \"n\": 18446744073709551615\n"
		   "  }\n"
		   "}\n");
}

static void sizes_are_read_by_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },		    { 999, "999 B" },
		{ 1000, "1.0 kB" },	    { 9949, "9.9 kB" },
		{ 9950, "10 kB" },	    { 999499, "999 kB" },
		{ 999500, "1.0 MB" },	    { 540000000, "540 MB" },
		{ 1500000000000, "1.5 TB" }, { UINT64_MAX, "18446744 TB" },
	};
	char buf[UNITS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(units_bytes(cases[i].bytes, buf),
				    cases[i].text);
}

static void times_are_read_by_people(void **state)
{
	char buf[UNITS_SIZE];

	(void)state;
	assert_string_equal(units_ms(0, buf), "0.0 s");
	assert_string_equal(units_ms(12345, buf), "12.3 s");
	assert_string_equal(units_ms(59949, buf), "59.9 s");
	assert_string_equal(units_ms(59950, buf), "1 min 0 s");
	assert_string_equal(units_ms(245000, buf), "4 min 5 s");
	assert_string_equal(units_ms(3599499, buf), "59 min 59 s");
	assert_string_equal(units_ms(3599500, buf), "1 h 0 min");
	assert_string_equal(units_ms(108720000, buf), "30 h 12 min");
	assert_string_equal(units_ago(0, 5, buf), "never");
	assert_string_equal(units_ago(100, 159, buf), "now");
	assert_string_equal(units_ago(100, 160, buf), "1 min ago");
	assert_string_equal(units_ago(100, 100 + 7199, buf), "1 hour ago");
	assert_string_equal(units_ago(100, 100 + 3 * 86400, buf), "3 days ago");
	/* a clock was set back */
	assert_string_equal(units_ago(500, 100, buf), "now");
}

static void text_from_elsewhere_is_harmless(void **state)
{
	struct output o;

	(void)state;
	term_print(begin(&o), "ok \xc3\xa4\n\033[2J\r\x07\x7f\xc2\x9b\xff\t|");
	expect(&o, "ok \xc3\xa4\n\\x1b[2J\\x0d\\x07\\x7f\\xc2\\x9b\\xff |");
}

static void no_colour_where_no_terminal_is(void **state)
{
	FILE *f = tmpfile();
	char buf[16] = "";

	(void)state;
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_non_null(f);
	term_print_in(f, TERM_RED, "x\033");
	rewind(f);
	assert_non_null(fgets(buf, sizeof(buf), f));
	assert_string_equal(buf, "x\\x1b");
	fclose(f);
}

/* What progress prints when standard error is a file. */
static void progress_in_a_pipe_is_lines(void **state)
{
	static const char text[] = "one\ntw";
	struct term_progress p;
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	char buf[64] = "";
	size_t n;

	(void)state;
	assert_non_null(f);
	fflush(stderr);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	term_progress_begin(&p);
	term_progress_add(&p, text, sizeof(text) - 1);
	p.start_ms -= 5000;
	term_progress_tick(&p);
	term_progress_add(&p, "o\0\n\n\033[m", 7);
	term_progress_end(&p);
	fflush(stderr);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	assert_string_equal(buf, "aq: one\naq: two\naq: \\x1b[m\n");
	fclose(f);
}

static const char *find_line(const char *text, const char *begin)
{
	const char *at = strstr(text, begin);

	if (!at)
		fail_msg("no line '%s' in: %s", begin, text);
	return at ? at + strlen(begin) : "";
}

static void prometheus_gets_base_units_and_escaped_labels(void **state)
{
	const struct aq_conf conf = {
		.node = (char[]){ "n\n1" },
		.cache_dir = (char[]){ "/a\"b\\c/\xc3\xa4\xff" },
	};
	struct stats s = { .conf = &conf, .version = "1.2" };
	struct output o;

	(void)state;
	s.tally.n[AQ_TALLY_BUILD_MS] = 61007;
	s.tally.n[AQ_TALLY_INHERIT_BYTES] = UINT64_MAX;
	s.tally.n[AQ_TALLY_ENDED] = 3;
	prometheus_write(begin(&o), &s);
	fclose(o.file);
	assert_true(aq_starts_with(find_line(o.text, "\naq_info"),
		"{version=\"1.2\",node=\"n\\n1\",cache_dir=\"/a\\\"b\\\\c/\xc3\xa4\xef\xbf\xbd\"} 1\n"));
	assert_true(aq_starts_with(find_line(o.text, "\naq_build_seconds_total"),
				   " 61.007\n"));
	assert_true(aq_starts_with(find_line(o.text, "\naq_saved_bytes_total{by=\"inheritance\"}"),
				   " 18446744073709551615\n"));
	assert_true(aq_starts_with(find_line(o.text, "\naq_lookups_total{outcome=\"ended\"}"),
				   " 3\n"));
	/* what is not known is not said */
	assert_null(strstr(o.text, "aq_free_bytes"));
	assert_null(strstr(o.text, "aq_last_collection"));
	assert_int_equal(o.text[o.len - 1], '\n');
	free(o.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_escapes_what_must_be),
		cmocka_unit_test(json_stays_utf8),
		cmocka_unit_test(json_nests),
		cmocka_unit_test(sizes_are_read_by_people),
		cmocka_unit_test(times_are_read_by_people),
		cmocka_unit_test(text_from_elsewhere_is_harmless),
		cmocka_unit_test(no_colour_where_no_terminal_is),
		cmocka_unit_test(progress_in_a_pipe_is_lines),
		cmocka_unit_test(prometheus_gets_base_units_and_escaped_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
