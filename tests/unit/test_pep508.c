/* SPDX-License-Identifier: Apache-2.0 */
/* common/pep440.c, marker.c and pep508.c: pip's requirements. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/marker.h"
#include "common/pep508.h"

static char *normal(const char *text, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	struct aq_str out = AQ_STR_INIT(8192);

	if (aq_requirement_parse(text, &r, err))
		return NULL;
	aq_requirement_print(&r, &out);
	return out.s;
}

static void test_equal(void **state)
{
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{ "numpy", "numpy" },
		{ " NumPy ", "numpy" },
		{ "Scikit_Learn==1.0.2", "scikit-learn==1.0.2" },
		{ "ruamel..yaml__x", "ruamel-yaml-x" },
		{ "numpy == 1.2", "numpy==1.2" },
		{ "numpy==1.2.0", "numpy==1.2" },
		{ "numpy==1.2.0.*", "numpy==1.2.0.*" },
		{ "numpy~=1.2.0", "numpy~=1.2.0" },
		{ "numpy===1.2.0", "numpy===1.2.0" },
		{ "numpy>=1.2.0rc1", "numpy>=1.2rc1" },
		{ "numpy==0", "numpy==0" },
		{ "numpy==0.0", "numpy==0" },
		{ "numpy==v01.2-RC.1", "numpy==1.2rc1" },
		{ "numpy==1.0-alpha", "numpy==1a0" },
		{ "numpy==1.0.c3", "numpy==1rc3" },
		{ "numpy==1.0-1", "numpy==1.post1" },
		{ "numpy==1.0.rev2", "numpy==1.post2" },
		{ "numpy==1.0dev", "numpy==1.dev0" },
		{ "numpy==0!1.1", "numpy==1.1" },
		{ "numpy==2!1.1", "numpy==2!1.1" },
		{ "torch==2.0.0.dev20230226+CU117",
		  "torch==2.dev20230226+cu117" },
		{ "torch==2.0+a-01_b", "torch==2+a.1.b" },
		{ "torch==2.0+b8b470bc59", "torch==2+b8b470bc59" },
		{ "numpy<2,>=1.0 , !=1.5", "numpy>=1,<2,!=1.5" },
		{ "numpy>=1,>=1.0", "numpy>=1" },
		{ "numpy (>=1)", "numpy>=1" },
		{ "numpy>=1,", "numpy>=1" },
		{ "x[B, a_c ,b]", "x[a-c,b]" },
		{ "x[]", "x" },
		{ "x ; python_version<'3'", "x; python_version < \"3\"" },
		{ "PyQt5>=5.10,<5.14; platform_system == \"Darwin\"",
		  "pyqt5>=5.10,<5.14; platform_system == \"Darwin\"" },
		{ "x;os.name=='a'and(os_name=='b'or'c'==sys_platform)",
		  "x; (\"c\" == sys_platform or os_name == \"b\") and os_name "
		  "== \"a\"" },
		{ "x; extra == 'y\"z'", "x; extra == 'y\"z'" },
		{ "A_b@git+https://h/p.git@v1", "a-b @ git+https://h/p.git@v1" },
		{ "a @ git+https://git@h/p.git", "a @ git+https://h/p.git" },
		{ "x [z] @  git+file:///r#subdirectory=a/b ; os_name=='a@b'",
		  "x[z] @ git+file:///r#subdirectory=a/b ; os_name == \"a@b\"" },
		{ "x @ file:///w/x-1-py3-none-any.whl",
		  "x @ file:///w/x-1-py3-none-any.whl" },
		{ "x; 'a' not  in python_implementation",
		  "x; \"a\" not in platform_python_implementation" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err;
		cleanup_free char *once = normal(cases[i].text, &err);
		cleanup_free char *twice = NULL;

		if (!once)
			fail_msg("'%s': %s", cases[i].text, err.text);
		if (strcmp(once, cases[i].normal) != 0)
			fail_msg("'%s' is '%s', not '%s'", cases[i].text, once,
				 cases[i].normal);
		twice = normal(once, &err);
		assert_string_equal(twice, once);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "is empty" },
		{ "-e .", "looks like an option" },
		{ "x{{ y }}", "is a template" },
		{ "x==${Y}", "is a template" },
		{ "git+https://a.example/x.git", "is a URL or a repository" },
		{ "x @ https://a.example/x.whl", "is a URL, which" },
		{ "x @ git+ssh://a.example/x", "is a URL, which" },
		{ "git@a.example:x/y", "is a URL, which" },
		{ "x @ git+https://u:p@a.example/x", "has credentials" },
		{ "x @ git+https://git:p@a.example/x", "has credentials" },
		{ "x @ git+https://git@b@a.example/x", "has credentials" },
		{ "x @ git+https:///x", "is no repository's URL" },
		{ "x @ git+https://git@/x", "is no repository's URL" },
		{ "x @ git+https://a.example/x#egg=x", "behind '#'" },
		{ "x @ git+https://a.example/x#subdirectory=/x", "behind '#'" },
		{ "x @ git+https://a.example/x#subdirectory=a/../..", "behind '#'" },
		{ "x @ git+https://a.example/x@-u", "is no repository's URL" },
		{ "x @ git+https://a.example/x@", "is no repository's URL" },
		{ "x @ git+https://-o/x", "is no repository's URL" },
		{ "x @ git+https://a.example/`id`", "is no repository's URL" },
		{ "x @ git+https://a.example/x y", "behind its URL" },
		{ "x>=1 @ git+https://a.example/x", "white space" },
		{ "x @ file:///a/../x.whl", "characters in its path" },
		{ "x @ file:///a%20b.whl", "characters in its path" },
		{ "x @ file://host/a.whl", "is a URL, which" },
		{ "x @ file:///a.tar.gz", "is no wheel" },
		{ "x @ file:///croot/x_1/work", "write 'NAME==VERSION'" },
		{ "x@", "a URL is missing behind '@'" },
		{ "x @ file:///a.whl#sha256=00", "has no SHA-256" },
		{ "./x", "is a local path" },
		{ "../x", "is a local path" },
		{ "/x", "is a local path" },
		{ "~/x", "is a local path" },
		{ "sub/dir", "is a local path" },
		{ "x-1-py3-none-any.whl", "is a local path" },
		{ "x-1.tar.gz", "is a local path" },
		{ "_x", "has no valid name" },
		{ "x-", "has no valid name" },
		{ "x=1.2", "is a conda spec" },
		{ "x=1.2=py_0", "is a conda spec" },
		{ "x 1.2", "has no operator" },
		{ "x==", "missing behind the operator" },
		{ "x==1 2", "white space" },
		{ "x>=1,,<2", "has no operator" },
		{ "x>=1.*", "only '==' and '!='" },
		{ "x~=1", "two numbers" },
		{ "x>=1+a", "'+local'" },
		{ "x==1+", "is not one by PEP 440" },
		{ "x==2013b-foo", "is not one by PEP 440" },
		{ "x==*", "is not one by PEP 440" },
		{ "x===1,<2", "cannot stand beside" },
		{ "x[a b]", "extras that are not" },
		{ "x[a,]", "empty extra" },
		{ "x[a", "extras that are not" },
		{ "x (>=1", "unmatched parenthesis" },
		{ "x==1 --hash=sha256:00", "option behind it" },
		{ "x -f https://a.example", "option behind it" },
		{ "x;", "variable such as" },
		{ "x; python_versio<'3'", "variable such as" },
		{ "x; python_version<'3", "quote is missing" },
		{ "x; python_version '3'", "operator such as" },
		{ "x; 'a'=='b'", "two strings" },
		{ "x; (os_name=='a'", "')' is missing" },
		{ "x; os_name=='a' os_name", "the end is expected" },
		{ "x; os_name=='a\\'", "backslashes" },
		{ "x; os_name=='a\tb'", "tabs" },
		{ "x\n", "cannot have" },
		{ "x\xff", "cannot have" },
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

static void test_marker_depth(void **state)
{
	struct aq_str deep = AQ_STR_INIT(4096);
	cleanup_free char *ret = NULL;
	struct aq_err err;

	(void)state;
	for (int i = 0; i < 1000; i++)
		aq_str_add_char(&deep, '(');
	assert_int_equal(aq_marker_normalise(aq_str_get(&deep), &ret, &err),
			 AQ_USER);
	assert_non_null(strstr(err.text, "too many parentheses"));
	aq_str_free(&deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_marker_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
