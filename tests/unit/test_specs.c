/* SPDX-License-Identifier: Apache-2.0 */
/* common/vspec.c and common/matchspec.c: conda's specs in normal form. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/matchspec.h"
#include "common/vspec.h"

/* The normal form of 'text', which then is its own; or the error in 'err'. */
static char *normal(const char *text, struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	struct aq_str out = AQ_STR_INIT(8192);

	if (aq_matchspec_parse(text, &spec, err))
		return NULL;
	aq_matchspec_print(&spec, &out);
	return out.s;
}

struct equal {
	const char *text, *normal;
};

static void check_equal(const struct equal *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct aq_err err;
		cleanup_free char *once = normal(cases[i].text, &err);
		cleanup_free char *twice = NULL;

		if (!once)
			fail_msg("'%s': %s", cases[i].text, err.text);
		if (strcmp(once, cases[i].normal) != 0)
			fail_msg("'%s' is '%s', not '%s'", cases[i].text, once,
				 cases[i].normal);
		twice = normal(once, &err);
		assert_non_null(twice);
		assert_string_equal(twice, once);
	}
}

static void test_versions(void **state)
{
	static const struct equal cases[] = {
		{ "numpy", "numpy" },
		{ "numpy *", "numpy" },
		{ "numpy=*", "numpy" },
		{ "numpy>=*", "numpy" },
		{ "numpy=1.2", "numpy 1.2.*" },
		{ "numpy =1.2", "numpy 1.2.*" },
		{ "numpy = 1.2", "numpy 1.2.*" },
		{ "numpy=1.2.*", "numpy 1.2.*" },
		{ "numpy=1.2*", "numpy 1.2.*" },
		{ "numpy 1.2.*", "numpy 1.2.*" },
		{ "numpy==1.2.*", "numpy 1.2.*" },
		{ "numpy 1.2", "numpy ==1.2" },
		{ "numpy==1.2", "numpy ==1.2" },
		{ "numpy == 1.2", "numpy ==1.2" },
		{ "numpy==1.2.0", "numpy ==1.2.0" },
		{ "numpy >=1.2, <2", "numpy >=1.2,<2" },
		{ "numpy <2 , >= 1.2", "numpy >=1.2,<2" },
		{ "scipy   >=    1.5.0,  < 2.0.0", "scipy >=1.5.0,<2.0.0" },
		{ "numpy>=1.2.*", "numpy >=1.2" },
		{ "numpy<2.*", "numpy <2" },
		{ "numpy!=1.2.*,!=1.2", "numpy !=1.2,!=1.2.*" },
		{ "openmm ~=8.4.0", "openmm ~=8.4.0" },
		{ "numpy 2|1.2.*", "numpy 1.2.*|==2" },
		{ "numpy >1,<2|>3", "numpy >1,<2|>3" },
		{ "numpy (>1|==0.5),<2", "numpy <2,(==0.5|>1)" },
		{ "numpy ((>1,(<2)))", "numpy >1,<2" },
		{ "numpy >=3, ( <4 | !=3 ) py3", "numpy >=3,(<4|!=3) py3" },
		{ "numpy (<4|!=3)=py3", "numpy <4|!=3 py3" },
		{ "numpy >1|*", "numpy" },
		{ "numpy >1,*", "numpy >1" },
		{ "numpy>1,>1", "numpy >1" },
		{ "libkvikio==24.10.*,>=0.0.0a0",
		  "libkvikio 24.10.*,>=0.0.0a0" },
		{ "x264=1!161.3030", "x264 1!161.3030.*" },
		{ "r-ashr =2.2_63", "r-ashr 2.2_63.*" },
		{ "python > 3.11", "python >3.11" },
		{ "IPython", "ipython" },
		{ "numpy # why", "numpy" },
		{ "numpy ==5.3.conda", "numpy ==5.3.conda" },
	};

	(void)state;
	check_equal(cases, ARRAY_LEN(cases));
}

static void test_builds_and_keys(void **state)
{
	static const struct equal cases[] = {
		{ "numpy=1.2=py39_0", "numpy ==1.2 py39_0" },
		{ "numpy 1.2 py39_0", "numpy ==1.2 py39_0" },
		{ "numpy =1.2 py39_0", "numpy ==1.2 py39_0" },
		{ "numpy = 1.2 = py39_0", "numpy ==1.2 py39_0" },
		{ "numpy==1.2=py39_0", "numpy ==1.2 py39_0" },
		{ "numpy=1.2.*=py39_0", "numpy 1.2.* py39_0" },
		{ "numpy 1.2 *", "numpy ==1.2" },
		{ "numpy * py39*", "numpy * py39*" },
		{ "jaxlib==*=*cuda**", "jaxlib * *cuda*" },
		{ "jaxlib>=0.4.31=cuda12*", "jaxlib >=0.4.31 cuda12*" },
		{ "libarchive>=3.8 lgpl_*", "libarchive >=3.8 lgpl_*" },
		{ "blas=*=openblas", "blas * openblas" },
		{ "pytorch=2.0=py3.10_cuda11.8_cudnn8.7.0_0",
		  "pytorch ==2.0 py3.10_cuda11.8_cudnn8.7.0_0" },
		{ "numpy[version='>=1.2,<2']", "numpy >=1.2,<2" },
		{ "numpy[version=\"=1.2\", build=py*]", "numpy 1.2.* py*" },
		{ "numpy[build=py*,version=1.2]", "numpy ==1.2 py*" },
		{ "numpy[build_number='>=3']", "numpy[build_number=\">=3\"]" },
		{ "numpy 1.2[build_number==03]",
		  "numpy ==1.2[build_number=\"3\"]" },
		{ "numpy[md5=0123456789ABCDEF0123456789abcdef]",
		  "numpy[md5=0123456789abcdef0123456789abcdef]" },
		{ "conda-forge::numpy", "conda-forge::numpy" },
		{ "conda-forge/::numpy 1.2", "conda-forge::numpy ==1.2" },
		{ "numpy[channel=conda-forge]", "conda-forge::numpy" },
		{ "conda-forge/linux-64::numpy",
		  "conda-forge/linux-64::numpy" },
		{ "numpy[channel=conda-forge,subdir=linux-64]",
		  "conda-forge/linux-64::numpy" },
		{ "numpy[subdir=noarch]", "numpy[subdir=noarch]" },
		{ "https://a.example/b/::urllib3 <2",
		  "https://a.example/b::urllib3 <2" },
	};

	(void)state;
	check_equal(cases, ARRAY_LEN(cases));
}

#define MD5 "0123456789abcdef0123456789abcdef"

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "is empty" },
		{ "   ", "is empty" },
		{ "# nothing", "is empty" },
		{ "-e .", "looks like an option" },
		{ "--override-channels", "looks like an option" },
		{ "numpy{{ v }}", "is a template" },
		{ "python>={PYTHON_VERSION}", "is a template" },
		{ "python='3.10'", "quotes" },
		{ "numpy; python_version<'3'", "environment marker" },
		{ "numpy; sys_platform", "environment marker" },
		{ "./numpy.conda", "is a file or URL" },
		{ "numpy-1.2-0.conda", "is a file or URL" },
		{ "Numpy-1.2-0.Tar.bz2 *", "is a file or URL" },
		{ "https://a.example/numpy-1-0.conda", "is a file or URL" },
		{ "*", "'*' in its name" },
		{ "num*", "'*' in its name" },
		{ "::numpy", "no channel" },
		{ "numpy[gpu]", "extras belong" },
		{ "numpy[", "unmatched bracket" },
		{ "numpy]", "unmatched bracket" },
		{ "numpy[a=b][c=d]", "unsupported key" },
		{ "numpy[version='1]", "unmatched quote" },
		{ "numpy[version=]", "empty value" },
		{ "numpy[license=MIT]", "unsupported key" },
		{ "numpy 1[version=2]", "version twice" },
		{ "numpy[build=a,build=b]", "twice" },
		{ "numpy[build_number=1,build_number=2]", "twice" },
		{ "numpy[md5=" MD5 ",md5=" MD5 "]", "twice" },
		{ "numpy[sha256=" MD5 MD5 ",sha256=" MD5 MD5 "]", "twice" },
		{ "x::numpy[channel=y]", "twice" },
		{ "numpy[subdir=noarch,subdir=noarch]", "twice" },
		{ "numpy[md5=12]", "that is not one" },
		{ "numpy[build_number=x]", "not a number" },
		{ "numpy[subdir=amiga]", "unknown subdir" },
		{ "numpy@1.2", "cannot have" },
		{ "numpy >1 <2 >3", "put a comma" },
		{ "numpy 1.2 py_0 x", "white space inside" },
		{ "numpy==", "missing behind the operator" },
		{ "numpy>=1.2,", "missing at the end" },
		{ "numpy>=1.2,,<2", "missing before" },
		{ "numpy (>1", "')' is missing" },
		{ "numpy >1)", "parenthesis" },
		{ "numpy 1..2", "is not a version" },
		{ "numpy 1!2!3", "is not a version" },
		{ "numpy>1.2.*", "read differently" },
		{ "numpy<=1.2.*", "read differently" },
		{ "numpy~=1.2.*", "behind '~='" },
		{ "numpy 1.*.2", "'*' inside" },
		{ "numpy ^1.2$", "regular expressions" },
		{ "numpy===1.2", "is not a version" },
		{ "numpy 1=2=3", "is not a version" },
		{ "numpy 1.2 py-0", "build string cannot have" },
		{ "numpy\nscipy", "cannot have" },
		{ "num\x01py", "cannot have" },
		{ "numpy\xc3\xa4", "cannot have" },
		{ "numpy ((((((((((1))))))))))", "too many parentheses" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err = { 0 };
		cleanup_free char *text = normal(cases[i].text, &err);

		if (text)
			fail_msg("'%s' is '%s'", cases[i].text, text);
		if (!strstr(err.text, cases[i].why))
			fail_msg("'%s': %s", cases[i].text, err.text);
		assert_int_equal(err.class, AQ_USER);
	}
}

static void test_long(void **state)
{
	char text[AQ_SPEC_MAX + 16];
	struct aq_err err;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_null(normal(text, &err)); /* over AQ_SPEC_MAX */
	text[AQ_SPEC_MAX - 1] = '\0';
	assert_null(normal(text, &err)); /* over AQ_PACKAGE_NAME_MAX */
	text[AQ_PACKAGE_NAME_MAX] = '\0';
	free(normal(text, &err));

	/* a normal form that grows too long to be read again */
	memcpy(text, "a 1", 3);
	for (size_t i = 3; i + 5 < AQ_SPEC_MAX; i += 5)
		snprintf(text + i, 6, "|%04zu", i);
	assert_null(normal(text, &err));
	assert_int_equal(err.class, AQ_USER);
	assert_non_null(strstr(err.text, "in normal form"));
}

static void test_and(void **state)
{
	cleanup_free char *both = NULL;
	struct aq_err err;

	(void)state;
	assert_int_equal(aq_vspec_and("3.9.*", "*", &both, &err), 0);
	assert_string_equal(both, "3.9.*");
	free(both);
	both = NULL;
	assert_int_equal(aq_vspec_and(">1|==0.1", "<2", &both, &err), 0);
	assert_string_equal(both, "<2,(==0.1|>1)");
}

static void test_contradictions(void **state)
{
	(void)state;
	assert_true(aq_vspec_contradicts_itself("3.10.*,3.9.*"));
	assert_true(aq_vspec_contradicts_itself("3.1.*,3.10.*"));
	assert_true(aq_vspec_contradicts_itself("3.10.*,==3.9.1"));
	assert_true(aq_vspec_contradicts_itself("3.9.*,>=3.10"));
	assert_true(aq_vspec_contradicts_itself("3.9.*,~=3.10"));
	assert_true(aq_vspec_contradicts_itself("==3.12.1,<3.11"));
	assert_false(aq_vspec_contradicts_itself("==3.12.1,<3.12"));
	assert_true(aq_vspec_contradicts_itself("3.10.*,!=3.9.1,<=3.9"));
	assert_true(aq_vspec_contradicts_itself(">=3.10,<3.9"));
	assert_false(aq_vspec_contradicts_itself(">=3.9,<3.10"));
	assert_false(aq_vspec_contradicts_itself("3.9.*,>=3.9.4,<3.10"));
	assert_false(aq_vspec_contradicts_itself("3.9.*,<3.9"));
	assert_false(aq_vspec_contradicts_itself("3.9rc1.*,3.10.*"));
	assert_false(
		aq_vspec_contradicts_itself("==3.99999999999999999999,==3.1"));
	assert_false(aq_vspec_contradicts_itself("3.9.*,3.9.7.*"));
	assert_false(aq_vspec_contradicts_itself("3.9.*,==3.9.7"));
	assert_false(aq_vspec_contradicts_itself("==3.9,==3.9.0"));
	assert_false(aq_vspec_contradicts_itself("3.9.*,>=3.8,!=3.9.1"));
	assert_false(aq_vspec_contradicts_itself("3.9.*|3.10.*"));
	assert_false(aq_vspec_contradicts_itself("*"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_builds_and_keys),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_and),
		cmocka_unit_test(test_contradictions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
