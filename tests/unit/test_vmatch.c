/* SPDX-License-Identifier: Apache-2.0 */
/* common/vmatch.c, common/vmatch_item.c: whether a package is one that a spec
 * asks for.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/vmatch.h"

/* -- version specs ------------------------------------------------------- */

#define NO AQ_MATCH_NO
#define YES AQ_MATCH_YES
#define UNSURE AQ_MATCH_UNSURE

struct vcase {
	const char *spec, *version;
	enum aq_match match;
};

static void check_versions(const struct vcase *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum aq_match match =
			aq_vspec_matches(cases[i].spec, cases[i].version);

		if (match != cases[i].match)
			fail_msg("'%s' of '%s' gives %d", cases[i].version,
				 cases[i].spec, (int)match);
	}
}

static void test_conditions(void **state)
{
	static const struct vcase cases[] = {
		{ "*", "1.2", YES },
		{ "*", "no version", YES },
		{ "==1.2", "1.2", YES },
		{ "==1.2", "1.3", NO },
		{ "==1.2", "1.2.1", NO },
		{ "==1.2", "1.2rc1", NO },
		{ "==1.2", "1!1.2", NO },
		{ "==1!1.2", "1!1.2", YES },
		{ "==1.2", "1.2+x", NO },
		{ "==1.2+x", "1.2+x", YES },
		{ "==1.2", "1.2.0", UNSURE },
		{ "==1.2.0", "1.2", UNSURE },
		{ "==1.2RC1", "1.2rc1", UNSURE },
		{ "==1.2_1", "1.2.1", UNSURE },
		{ "==1.02", "1.2", UNSURE },
		{ "!=1.2", "1.2", NO },
		{ "!=1.2", "1.2.0", NO },
		{ "!=1.2", "1.2.1", YES },
		{ "!=1.2", "1!1.2", YES },
		{ ">=1.2", "1.2", YES },
		{ ">=1.2", "1.2.0", YES },
		{ ">=1.2", "1.10", YES },
		{ ">=1.2", "1.2rc1", NO },
		{ ">=1.2", "1.1.9", NO },
		{ ">=1.2", "1!0", YES },
		{ ">1.2", "1.2.0", NO },
		{ ">1.2", "1.2.post1", YES },
		{ ">1.2", "1.2.0.1", YES },
		{ "<=1.2", "1.2.0", YES },
		{ "<=1.2", "1.2.1", NO },
		{ "<=1.2", "1.2a", YES },
		{ "<1.2", "1.2.0", NO },
		{ "<1.2", "1.2dev", YES },
		{ "<1.2", "1.1.9", YES },
		{ "<2.0a0", "2.0dev", YES },
		{ "<2.0a0", "2.0a1", NO },
	};

	(void)state;
	check_versions(cases, ARRAY_LEN(cases));
}

static void test_prefixes(void **state)
{
	static const struct vcase cases[] = {
		{ "1.2.*", "1.2", YES },
		{ "1.2.*", "1.2.3", YES },
		{ "1.2.*", "1.2.0.5", YES },
		{ "1.2.*", "01.02", YES },
		{ "1.2.*", "1.2rc1", YES },
		{ "1.2.*", "1.2.post3", YES },
		{ "1.2.*", "1.2+x", YES },
		{ "1.2.*", "1.2_3", YES },
		{ "1.2.*", "1.20", NO },
		{ "1.2.*", "1.3", NO },
		{ "1.2.*", "1", NO },
		{ "1.2.*", "2.2", NO },
		{ "1.2.*", "1!1.2", NO },
		{ "1!1.*", "1!1.2", YES },
		{ "1!1.*", "1.2", NO },
		{ "1.2rc.*", "1.2rc1", YES },
		{ "1.2rc.*", "1.2RC.3", YES },
		{ "1.2rc.*", "1.2b1", NO },
		{ "1.2rc.*", "1.2", NO },
		{ "1.2rc1.*", "1.2rc10", NO },
		{ "1.2.dev.*", "1.2.dev3", YES },
		{ "1.2.dev.*", "1.2.a3", NO },
		{ "1.2.post.*", "1.2.post3", YES },
		{ "5.3.conda.*", "5.3.conda", YES },
		/* to conda a word may go on */
		{ "1.2r.*", "1.2rc1", UNSURE },
		/* to conda and newer rattlers the missing are 0 */
		{ "1.0.*", "1", UNSURE },
		{ "1.2.0.*", "1.2", UNSURE },
		{ "1.2.0.0.*", "1.2.0", UNSURE },
		{ "1.2.0.1.*", "1.2", NO },
		{ "1a0.*", "1a", UNSURE },
		/* older rattlers look no further than the a */
		{ "1.2.9.*", "1.2a.3", UNSURE },
		{ "1.2.9.*", "1.3a.3", NO },
		{ "1.2+x.*", "1.2+x", UNSURE },
		{ "!=1.2.*", "1.2", NO },
		{ "!=1.2.*", "1.2.3", NO },
		{ "!=1.2.*", "1.20", YES },
		{ "!=1.2r.*", "1.2rc", UNSURE },
		{ "!=1.0.*", "1", UNSURE },
		{ "~=1.2", "1.2", YES },
		{ "~=1.2", "1.9", YES },
		{ "~=1.2", "1.1", NO },
		{ "~=1.2", "2", NO },
		{ "~=1.2", "1!1.2", NO },
		{ "~=1!1.2", "1!1.3", YES },
		{ "~=1.2.3", "1.2.4", YES },
		{ "~=1.2.3", "1.2.3rc1", NO },
		{ "~=1.2.3", "1.3.0", NO },
		{ "~=1.2rc1", "1.2", YES },
		{ "~=1.0.0", "1", UNSURE },
		{ "~=1", "1", UNSURE },
		{ "~=1!1", "1!1", UNSURE },
		{ "~=1.2_3", "1.2_4", UNSURE },
		{ "~=1.2+x", "1.2+x", UNSURE },
	};

	(void)state;
	check_versions(cases, ARRAY_LEN(cases));
}

static void test_expressions(void **state)
{
	static const struct vcase cases[] = {
		{ ">=1.2,<2", "1.5", YES },
		{ ">=1.2,<2", "2", NO },
		{ ">=1.2,<2", "1.1", NO },
		{ "1.2.*|==2", "1.2.1", YES },
		{ "1.2.*|==2", "2", YES },
		{ "1.2.*|==2", "3", NO },
		{ ">1,<2|>3", "1.5", YES },
		{ ">1,<2|>3", "2.5", NO },
		{ ">1,<2|>3", "3.5", YES },
		{ "<2,(==0.5|>1)", "0.5", YES },
		{ "<2,(==0.5|>1)", "0.6", NO },
		{ "<2,(==0.5|>1)", "2.5", NO },
		{ "(==1|==2),(==2|==3)", "2", YES },
		{ "(==1|==2),(==2|==3)", "1", NO },
		{ "<9,(==5|>1,(<3|>6))", "7", YES },
		{ "<9,(==5|>1,(<3|>6))", "4", NO },
		/* what one part leaves open another may decide */
		{ "==1.2,<2", "1.2.0", UNSURE },
		{ "==1.2,>2", "1.2.0", NO },
		{ "==1.2|>2", "1.2.0", UNSURE },
		{ "==1.2|>1", "1.2.0", YES },
		{ "1.0.*,==2|==1", "1", YES },
		/* but not what a client refuses */
		{ "==1.2_-3|>1", "1.2", UNSURE },
		{ "==1.2_-3,>2", "1.2", UNSURE },
		{ "<2|~=1", "1", UNSURE },
	};

	(void)state;
	check_versions(cases, ARRAY_LEN(cases));
}

static void test_odd(void **state)
{
	static const struct vcase cases[] = {
		/* versions that some client reads otherwise, or none */
		{ ">=1", "1.2_", UNSURE },
		{ ">=1", "1.2-", UNSURE },
		{ ">=1", "1.2devel", UNSURE },
		{ ">=1", "1.2.post2postgres", UNSURE },
		{ ">=1", "1.99999999999999999999", UNSURE },
		{ ">=1", "", UNSURE },
		{ ">=1", "1..2", UNSURE },
		{ "==1.2_", "1.2_", UNSURE },
		{ ">=1.0_", "1.2", UNSURE },
		{ "<1.2devel", "1.2", UNSURE },
		{ ">99999999999999999999", "1.2", UNSURE },
		/* no normal form */
		{ "", "1.2", UNSURE },
		{ "1.2", "1.2", UNSURE },
		{ "=1.2", "1.2", UNSURE },
		{ ".*", "1.2", UNSURE },
		{ "*.*", "1.2", UNSURE },
		{ "1.2*", "1.2", UNSURE },
		{ "1.*.2", "1.2", UNSURE },
		{ "^1.2$", "1.2", UNSURE },
		{ ">=1.*", "1.2", UNSURE },
		{ "==1.2.*", "1.2", UNSURE },
		{ "~=1.2.*", "1.2", UNSURE },
		{ ">=1 ", "1.2", UNSURE },
		{ ">=", "1.2", UNSURE },
		{ ">=1,", "1.2", UNSURE },
		{ ",>=1", "1.2", UNSURE },
		{ ">=1||<2", "1.2", UNSURE },
		{ "(>=1", "1.2", UNSURE },
		{ ">=1)", "1.2", UNSURE },
		{ "()", "1.2", UNSURE },
		{ ">=1(<2)", "1.2", UNSURE },
		{ "((((((((((>=1))))))))))", "1.2", UNSURE },
	};

	(void)state;
	check_versions(cases, ARRAY_LEN(cases));
}

/* -- match specs --------------------------------------------------------- */

static const struct aq_lock_item numpy = {
	.kind = AQ_LOCK_CONDA,
	.name = "numpy",
	.version = "1.26.4",
	.build = "py39h0123abc_2",
	.url = "https://a.example/c/linux-64/numpy-1.26.4-py39h0123abc_2.conda",
	.sha256 = "00112233445566778899aabbccddeeff"
		  "00112233445566778899aabbccddeeff",
};

static enum aq_match match(const char *text, const struct aq_lock_item *item)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	struct aq_err err;

	if (aq_matchspec_parse(text, &spec, &err))
		fail_msg("'%s': %s", text, err.text);
	return aq_matchspec_matches(&spec, item);
}

static void test_items(void **state)
{
	static const struct {
		const char *spec;
		enum aq_match match;
	} cases[] = {
		{ "numpy", YES },
		{ "NumPy", YES },
		{ "numpy-base", NO },
		{ "nump", NO },
		{ "numpy >=1.26,<2", YES },
		{ "numpy >=2", NO },
		{ "numpy 1.26.4.0", UNSURE },
		{ "numpy 1.26.4 py39h0123abc_2", YES },
		{ "numpy 1.26.4 py39h0123abc_1", NO },
		{ "numpy 1.26.4 py39h0123ABC_2", UNSURE },
		{ "numpy * py39*", YES },
		{ "numpy * PY39*", UNSURE },
		{ "numpy * *_2", YES },
		{ "numpy * *h01*bc*_2", YES },
		{ "numpy * *2*2*2*", NO },
		{ "numpy * *py39h0123abc_2*", YES },
		{ "numpy * py310*", NO },
		{ "numpy * *py39", NO },
		{ "numpy >2 *_2", NO },
		{ "numpy[build_number=2]", YES },
		{ "numpy[build_number=3]", NO },
		{ "numpy[build_number='>=2']", YES },
		{ "numpy[build_number='>2']", NO },
		{ "numpy[build_number='>1']", YES },
		{ "numpy[build_number='<=2']", YES },
		{ "numpy[build_number='<=1']", NO },
		{ "numpy[build_number='<3']", YES },
		{ "numpy[build_number='<2']", NO },
		{ "numpy[build_number='!=2']", NO },
		{ "numpy[build_number='!=20']", YES },
		{ "numpy[sha256=00112233445566778899AABBCCDDEEFF"
		  "00112233445566778899aabbccddeeff]",
		  YES },
		{ "numpy[sha256=00112233445566778899aabbccddeeff"
		  "00112233445566778899aabbccddeef0]",
		  NO },
		{ "numpy[md5=00112233445566778899aabbccddeeff]", UNSURE },
		{ "numpy >2[md5=00112233445566778899aabbccddeeff]", NO },
		{ "numpy[subdir=linux-64]", YES },
		{ "numpy[subdir=noarch]", NO },
		{ "c::numpy", UNSURE },
		{ "c/linux-64::numpy", UNSURE },
		{ "c/noarch::numpy", NO },
		{ "c::numpy >2", NO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (match(cases[i].spec, &numpy) != cases[i].match)
			fail_msg("'%s' gives %d", cases[i].spec,
				 (int)match(cases[i].spec, &numpy));
}

/* Only conda-build's own ending says what the number is. */
static void test_build_numbers(void **state)
{
	static const struct {
		const char *build;
		enum aq_match match;
	} cases[] = {
		{ "h0123abc_2", YES },
		{ "h0123abc_02", YES },
		{ "h0123abc_3", NO },
		{ "cuda118py310h0123abc_3", NO },
		{ "2", UNSURE },
		{ "py39_2", UNSURE },
		{ "h0123ab_2", UNSURE },
		{ "h0123abcd_2", UNSURE },
		{ "h0123ABC_2", UNSURE },
		{ "h0123abg_2", UNSURE },
		{ "x0123abc_2", UNSURE },
		{ "0123abc_2", UNSURE },
		{ "h0123abc_", UNSURE },
		{ "h0123abc_x", UNSURE },
		{ "h0123abc_2_cpython", UNSURE },
		{ "h0123abc_99999999999", UNSURE },
		{ "_2", UNSURE },
		{ "", UNSURE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_lock_item item = numpy;
		char build[64];

		snprintf(build, sizeof(build), "%s", cases[i].build);
		item.build = build;
		if (match("numpy[build_number=2]", &item) != cases[i].match)
			fail_msg("build '%s' does not give %d", build,
				 (int)cases[i].match);
	}
}

static void test_subdirs(void **state)
{
	static const struct {
		const char *url;
		enum aq_match match;
	} cases[] = {
		{ "https://a.example/linux-64/a.conda", YES },
		{ "file:///c/linux-64/a.conda", YES },
		{ "https://a.example/linux-64/noarch/a.conda", NO },
		{ "https://a.example/linux-64x/a.conda", UNSURE },
		{ "https://a.example/linux-64/x/a.conda", UNSURE },
		{ "https://a.example/a.conda", UNSURE },
		{ "https://a.example/linux-64/a.conda?x=/noarch/a", UNSURE },
		{ "https://a.example/0123456789012345678901234567890123/a",
		  UNSURE },
		{ "linux-64/a.conda", YES },
		{ "a.conda", UNSURE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_lock_item item = numpy;
		char url[128];

		snprintf(url, sizeof(url), "%s", cases[i].url);
		item.url = url;
		if (match("numpy[subdir=linux-64]", &item) != cases[i].match)
			fail_msg("'%s' does not give %d", url,
				 (int)cases[i].match);
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		enum aq_match match;
	} cases[] = {
		{ "*", YES },	  { "num*", YES },    { "*py", YES },
		{ "n*m*y", YES }, { "*numpy*", YES }, { "**", YES },
		{ "n*x", NO },	  { "*p", NO },	      { "umpy", NO },
		{ "numpyy", NO }, { "", NO },
	};
	struct aq_lock_item wheel = numpy;

	(void)state;
	wheel.kind = AQ_LOCK_WHEEL;
	wheel.build = NULL;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[16], any[] = "*";
		struct aq_matchspec spec = { .name = name, .version = any };

		snprintf(name, sizeof(name), "%s", cases[i].name);
		if (aq_matchspec_matches(&spec, &numpy) != cases[i].match)
			fail_msg("name '%s' does not give %d", name,
				 (int)cases[i].match);
		assert_int_equal(aq_matchspec_matches(&spec, &wheel), NO);
	}
	assert_int_equal(match("numpy * py*", &wheel), NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_build_numbers),
		cmocka_unit_test(test_subdirs),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
