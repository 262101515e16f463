/* SPDX-License-Identifier: Apache-2.0 */
/* common/request.c: from a file to a request. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/unit/reading.h"

static void test_design_example(void **state)
{
	(void)state;
	expect("name: ignored\n"
	       "python_version: \"3.9\"\n"
	       "requirements: [scikit-learn==1.6]\n"
	       "channels: [conda-forge]\n"
	       "dependencies: [python=3.9, \"numpy>=2\", "
	       "{pip: [aqueduct-ml]}]\n"
	       "variables: {OMP_NUM_THREADS: \"4\"}\n",
	       "aq-request 1\n"
	       "python 3.9.*\n"
	       "channel conda-forge\n"
	       "conda numpy >=2\n"
	       "pip aqueduct-ml\n"
	       "pip scikit-learn==1.6\n"
	       "variable OMP_NUM_THREADS=4\n");
}

static void test_unknown_key(void **state)
{
	(void)state;
	expect_refused("name: x\ndependancies:\n- numpy\n",
		       "%:2:1: unknown key 'dependancies', did you mean "
		       "'dependencies'?");
}

static void test_equal_spellings(void **state)
{
	static const char want[] = "aq-request 1\npython 3.9.*\n";

	(void)state;
	expect("python_version: 3.9\n", want);
	expect("python_version: '3.9'\n", want);
	expect("python_version: \"=3.9\"\n", want);
	expect("python_version: 3.9.*\n", want);
	expect("python_version: ==3.9.*\n", want);
	expect("dependencies: [python=3.9]\n", want);
	expect("dependencies:\n- Python 3.9.*\n- python = 3.9\n", want);
	expect("python_version: 3.9\ndependencies: [python, python=3.9]\n",
	       want);
	expect("name: x\nprefix: /y\nchannels:\ndependencies:\n"
	       "- python[version='3.9.*']  # why\nvariables: {}\n"
	       "requirements: []\n",
	       want);
	expect("python_version: '>=3.9, <3.12'\n",
	       "aq-request 1\npython >=3.9,<3.12\n");
	expect("python_version: 3.10\n", "aq-request 1\npython 3.10.*\n");
	expect("dependencies: [python=3.9.*, 'python >=3.9.2']\n",
	       "aq-request 1\npython 3.9.*,>=3.9.2\n");
	expect("dependencies: [python 3.9]\n", "aq-request 1\npython ==3.9\n");
}

static void test_python(void **state)
{
	(void)state;
	expect("dependencies: [numpy]\n", "aq-request 1\nconda numpy\n");
	expect("requirements: [numpy]\n",
	       "aq-request 1\npython 3.12.*\npip numpy\n");
	expect("dependencies: [python, {pip: [numpy]}]\n",
	       "aq-request 1\npython *\npip numpy\n");
	expect("dependencies: [pip, {pip: [numpy]}]\n",
	       "aq-request 1\npython 3.12.*\nconda pip\npip numpy\n");
	expect("dependencies: [python=3.8.3=hcff3b4d_0]\n",
	       "aq-request 1\npython ==3.8.3\n"
	       "conda python ==3.8.3 hcff3b4d_0\n");
	expect_refused("python_version: '3.9'\ndependencies: [python=3.10]\n",
		       "%:2:16: python '3.10.*' contradicts '3.9.*' said "
		       "before: keep one of them");
	expect_refused("dependencies: [python=3.9, 'python>=3.10']\n",
		       "%:1:28: python '>=3.10' contradicts '3.9.*' said "
		       "before: keep one of them");
	expect_refused("dependencies: ['python=3.9,>=3.10']\n",
		       "%:1:16: python '3.9.*,>=3.10' contradicts itself: no "
		       "version is both");
	expect_refused("python_version: 3.9 x\n",
		       "%:1:17: python version '3.9 x' is not one: write for "
		       "example '3.12'");
	expect_refused("dependencies: [python=pypy]\n",
		       "%:1:16: python version 'pypy.*' is not one: write for "
		       "example '3.12'");
	expect_refused("python_version: pypy3.9\n",
		       "%:1:17: python version 'pypy3.9' is not one: write for "
		       "example '3.12'");
	expect_refused("python_version: ^3.9\n",
		       "%:1:17: python version '^3.9' is not one: write for "
		       "example '>=3.9,<4'");
}

static void test_channels(void **state)
{
	(void)state;
	expect("channels:\n- bioconda\n- nodefaults\n- conda-forge\n"
	       "- https://mirror.example/bioconda\n- conda-forge/\n"
	       "dependencies: [a]\n",
	       "aq-request 1\nchannel bioconda\nchannel conda-forge\n"
	       "conda a\n");
	expect("channels: [defaults, bioconda]\ndependencies: [a]\n",
	       "aq-request 1\nchannel bioconda\nconda a\n");
	expect("dependencies: ['https://mirror.example/pytorch::pytorch=2']\n",
	       "aq-request 1\nconda pytorch::pytorch 2.*\n");
	expect_refused("channels: [defaults]\ndependencies: [a]\n",
		       "%:1:12: channel 'defaults' is not in the "
		       "administrator's map: name another, for example "
		       "'conda-forge'");
	expect_refused("channels: [conda-forg, ./x]\ndependencies: [x::a]\n",
		       "%:1:12: channel 'conda-forg' is not in the "
		       "administrator's map: did you mean 'conda-forge'?\n"
		       "%:1:24: channel './x' is not in the administrator's "
		       "map: name one of conda-forge, bioconda, pytorch, or "
		       "ask for it to be added\n"
		       "%:2:16: channel 'x' is not in the administrator's "
		       "map: name one of conda-forge, bioconda, pytorch, or "
		       "ask for it to be added");
	expect_refused("dependencies: ['defaults::a']\n",
		       "%:1:16: channel 'defaults' is not in the administrator's "
		       "map: name one of conda-forge, bioconda, pytorch, or "
		       "ask for it to be added");
	expect_refused("channels: ['https://u:secret@a.example/x']\n"
		       "dependencies: [a]\n",
		       "%:1:12: a channel with credentials is not in the "
		       "administrator's map: name one of conda-forge, "
		       "bioconda, pytorch");
}

static void test_other_tools(void **state)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err;
	char want[512];

	(void)state;
	req = read_text("category: main\nchannels: [defaults, bioconda]\n"
			"platforms: [linux-64]\n"
			"dependencies:\n- sel(linux): a\n- sel(win): b\n"
			"- sel(unix): c\n",
			&warnings, &err);
	assert_non_null(req);
	assert_string_equal(req->canonical,
			    "aq-request 1\nchannel bioconda\nconda a\n"
			    "conda c\n");
	assert_int_equal(warnings.n, 3);
	snprintf(want, sizeof(want),
		 "%s/req.yaml:1:1: key 'category' is another tool's: it has no "
		 "effect here",
		 reading_dir);
	assert_string_equal(warnings.v[0], want);
	snprintf(want, sizeof(want),
		 "%s/req.yaml:2:12: channel 'defaults' is left out: this site "
		 "has none",
		 reading_dir);
	assert_string_equal(warnings.v[2], want);
	aq_strv_free(&warnings);
}

static void test_refused_files(void **state)
{
	(void)state;
	expect_refused("", "%:1:1: the file is empty: a line 'dependencies:' "
			   "with packages below it is expected");
	expect_refused("# x\n", "%:1:1: the file is empty: a line "
				"'dependencies:' with packages below it is "
				"expected");
	expect_refused("numpy\n", "%:1:1: not an environment file: a line "
				  "'dependencies:' with packages below it is "
				  "expected; a file of pip's requirements has a "
				  "name that ends with '.txt', a Python file "
				  "one that ends with '.py'");
	expect_refused("name: x\n", "%:1:1: nothing is asked for: list "
				    "packages below 'dependencies:'");
	expect_refused("{% set x = 1 %}\n",
		       "%:1:1: a template ('{%'): templates are not "
		       "supported, render it first or write what it stands "
		       "for");
	expect_refused("# {{ fine }}\ndependencies:\n- a={{ x }}\n",
		       "%:3:5: a template ('{{'): templates are not "
		       "supported, render it first or write what it stands "
		       "for");
	expect_refused("metadata: 1\n",
		       "%:1:1: key 'metadata' is of a lock file: give the "
		       "environment file that it was made from");
	expect_refused("version: 6\nenvironments: {}\npackages: []\n",
		       "%:1:1: a lock file of another tool: give the environment "
		       "file that it was made from");
	expect_refused("quux: 1\n",
		       "%:1:1: unknown key 'quux': remove it, or write one of "
		       "name, channels, dependencies, python_version, "
		       "requirements, variables");
}

static void test_refused_items(void **state)
{
	(void)state;
	expect_refused("dependencies:\n- a\n-\n- ''\n- [b]\n- {}\n",
		       "%:3:2: empty item: write a package or remove it\n"
		       "%:4:3: empty item: write a package or remove it\n"
		       "%:5:3: a list stands where a package belongs\n"
		       "%:6:3: empty item: write a package or remove it");
	expect_refused("dependencies: numpy\n",
		       "%:1:15: 'dependencies' needs a list: write each item "
		       "behind a '-' on a line of its own");
	expect_refused("dependencies:\n- pip: numpy\n- pip:\n- b: 1\n",
		       "%:2:8: 'pip' needs a list: write each requirement "
		       "behind a '-' on a line of its own\n"
		       "%:3:3: 'pip' needs a list: write each requirement "
		       "behind a '-' on a line of its own\n"
		       "%:4:3: unknown key 'b' in dependencies: only 'pip:' "
		       "has a list of its own, write packages as items and "
		       "'name=version' without ':'");
	expect_refused("variables: {SLURM_X: a, B: , C: [], 1D: x, "
		       "E: \"a\\nb\"}\ndependencies: [a]\n",
		       "%:1:13: variable 'SLURM_X' cannot be set: letters, "
		       "digits and '_' make a name, SLURM*, SPANK* and AQ_* "
		       "are taken\n"
		       "%:1:25: variable 'B' needs a value: write \"\" for an "
		       "empty one\n"
		       "%:1:30: variable 'C' needs a value: write \"\" for an "
		       "empty one\n"
		       "%:1:37: variable '1D' cannot be set: letters, digits "
		       "and '_' make a name, SLURM*, SPANK* and AQ_* are "
		       "taken\n"
		       "%:1:47: variable 'E' has control characters in its "
		       "value: remove them");
}

static void test_many_errors(void **state)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_str struct aq_str text = AQ_STR_INIT(8192);
	struct aq_err err;
	size_t lines = 1;

	(void)state;
	for (int i = 0; i < 50; i++)
		aq_str_add_fmt(&text, "key_%d: 1\n", i);
	assert_null(read_text(aq_str_get(&text), &warnings, &err));
	for (const char *c = err.text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, AQ_REQUEST_ERRORS_MAX + 1);
	assert_true(aq_ends_with(err.text, "\nand 42 more"));
	aq_strv_free(&warnings);
}

static void test_limits(void **state)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_str struct aq_str text = AQ_STR_INIT(200000);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err;

	(void)state;
	aq_str_add(&text, "dependencies:\n");
	for (int i = 0; i < 1025; i++)
		aq_str_add_fmt(&text, "- p%d\n", i);
	assert_null(read_text(aq_str_get(&text), &warnings, &err));
	assert_non_null(strstr(err.text, ":1:1: more than 1024 packages"));

	aq_str_truncate(&text, strlen("dependencies:\n"));
	for (int i = 0; i < 1000; i++)
		aq_str_add_fmt(&text, "- package-with-a-long-name-%04d=1.2.3\n",
			       i);
	assert_null(read_text(aq_str_get(&text), &warnings, &err));
	assert_non_null(strstr(err.text, ":1:1: the request is over 30 KiB"));

	for (int i = 0; i < 2000; i++)
		aq_str_add(&text, "# and a comment that makes it longer\n");
	assert_null(read_text(aq_str_get(&text), &warnings, &err));
	assert_non_null(strstr(err.text, ":1:1: is over 64 KiB"));

	aq_str_truncate(&text, 60000);
	assert_null(aq_request_read(reading_dir, reading_conf, &req, &warnings, &err)
			    ? NULL
			    : req);
	assert_non_null(strstr(err.text, "is not a regular file"));
	assert_int_equal(aq_request_read("/nonexistent/x", reading_conf, &req,
					 &warnings, &err),
			 AQ_USER);
	assert_non_null(strstr(err.text, "/nonexistent/x:1:1: cannot open it"));
	aq_strv_free(&warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_design_example),
		cmocka_unit_test(test_unknown_key),
		cmocka_unit_test(test_equal_spellings),
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_channels),
		cmocka_unit_test(test_other_tools),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_refused_items),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, reading_setup, reading_teardown);
}
