/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are no req.yaml: requirements.txt (common/reqfile.c), Python files with
 * a block of PEP 723 (common/script.c), and what `conda list --export` prints
 * (common/exported.c).
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/request.h"
#include "common/script.h"
#include "tests/unit/example_conf.h"

#define SECONDS 30 /* that a file of the largest size may take, for a slow machine */

/* Read 'text' as a file of that name: its canonical form, or what is wrong; warnings
 * behind that.
 */
static void read_as(const char *name, const char *text, struct aq_str *out)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err = { 0 };
	int rc = aq_request_read_text(name, text, strlen(text), &example_conf,
				      &req, &warnings, &err);

	assert_true(rc == 0 || rc == AQ_USER);
	aq_str_add(out, rc ? err.text : req->canonical);
	for (size_t i = 0; i < warnings.n; i++)
		aq_str_add_fmt(out, "%s\n", warnings.v[i]);
	aq_strv_free(&warnings);
	assert_int_equal(out->broken, 0);
}

static void expect(const char *name, const char *text, const char *want)
{
	cleanup_str struct aq_str got = AQ_STR_INIT(16384);

	read_as(name, text, &got);
	assert_string_equal(aq_str_get(&got), want);
}

static void expect_same(const char *name, const char *text, const char *yaml)
{
	cleanup_str struct aq_str want = AQ_STR_INIT(16384);

	read_as("req.yaml", yaml, &want);
	expect(name, text, aq_str_get(&want));
}

/* The block with these lines, each without its "# ". */
static void expect_block(const char *lines, const char *want)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(16384);

	aq_str_add(&text, "# /// script\n");
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		aq_str_add(&text, "# ");
		aq_str_add_mem(&text, lines, len);
		aq_str_add(&text, "\n");
		lines = aq_next_line(lines);
	}
	aq_str_add(&text, "# ///\n");
	expect("f.py", aq_str_get(&text), want);
}

static void three_kinds_of_files_are_one_request(void **state)
{
	static const char yaml[] =
		"python_version: '>=3.11,<3.14'\n"
		"requirements: ['Scikit_Learn == 1.6.0', 'numpy>=2', "
		"'x[b,a]; os_name==\"posix\"']\n";

	(void)state;
	expect_same("dir.yaml/fn.py",
		    "#!/usr/bin/env python3\n\"\"\"Doc.\"\"\"\n\n"
		    "# /// script\n"
		    "# requires-python = \">= 3.11, <3.14\"\n"
		    "#\n"
		    "# dependencies = [\n"
		    "#   \"numpy>=2\", # why\n"
		    "#   'x[a, b] ; os_name == \"posix\"',\n"
		    "#   'scikit-learn==1.6',\n"
		    "# ]\n"
		    "# ///\n"
		    "import numpy\n",
		    yaml);
	expect_same("fn.py/requirements.txt",
		    "# of ours\n\nnumpy>=2\nscikit-learn==1.6 # why\n"
		    "x [a,b] ; \\\n  os_name == 'posix'\n",
		    "requirements: [numpy>=2, scikit-learn==1.6, "
		    "'x[a,b];os_name==\"posix\"']\n");
	expect_same("a.in", "numpy\n", "requirements: [numpy]\n");
}

static void the_name_says_what_a_file_is(void **state)
{
	static const char lock[] =
		"@EXPLICIT\nhttps://mirror.example/conda-forge/noarch/a-1-0.conda#"
		"0123456789012345678901234567890123456789012345678901234567890123\n";

	(void)state;
	expect("req", "dependencies: [a]\n", "aq-request 1\nconda a\n");
	expect("a.py.yaml", "dependencies: [a]\n", "aq-request 1\nconda a\n");
	expect("pyproject.toml", "[project]\nname = \"x\"\n",
	       "pyproject.toml:1:1: a project's TOML is no request: write what it "
	       "depends on into a requirements.txt, a line each, or below "
	       "'dependencies:' of an environment.yml");
	expect("a.txt", "# x\n\ndependencies: [a]\n",
	       "a.txt:3:1: an environment file's key where pip's requirements "
	       "belong: give an environment file a name that ends with '.yaml'");
	expect("a.yaml", "numpy\n",
	       "a.yaml:1:1: not an environment file: a line 'dependencies:' with "
	       "packages below it is expected; a file of pip's requirements has "
	       "a name that ends with '.txt', a Python file one that ends with "
	       "'.py'");
	expect_same("lock.txt", lock, lock);
	expect("lock.py", lock,
	       "lock.py:1:1: this Python file does not say what it needs: write "
	       "a block of comments, '# /// script', '# dependencies = "
	       "[\"numpy\"]', '# ///'");
}

static void pips_options_are_honoured_named_or_refused(void **state)
{
	(void)state;
	expect("r.txt",
	       "--prefer-binary\n--only-binary :all:\n--require-hashes\n"
	       "a==1 --hash=sha256:00 \\\n    --hash sha256:11 # x\n"
	       "b==2 \\\n\t--hash=sha256:22\n",
	       "aq-request 1\npython 3.12.*\npip a==1\npip b==2\n"
	       "r.txt:1:1: '--prefer-binary' has no effect: wheels are taken "
	       "wherever there are any\n"
	       "r.txt:2:1: '--only-binary' has no effect: nothing is built from "
	       "source unless '--no-binary' names it\n"
	       "r.txt:3:1: '--require-hashes' has no effect: packages are held "
	       "by their versions, and come from where the administrator says\n"
	       "r.txt:4:1: '--hash' has no effect: packages are held by their "
	       "versions, and come from where the administrator says\n");
	expect("r.txt",
	       "-e git+https://h/p#egg=p\n-e .\n--pre\n"
	       "--extra-index-url https://h\na --config-settings=x\n"
	       "b --hash=sha256:0 --pre\nc --hashx\n${D}x\n",
	       "r.txt:1:1: '-e git+https://h/p#egg=p' is an editable install of "
	       "code that the nodes may not have: remove it, or name a released "
	       "package, or the repository as 'NAME @ git+URL'\n"
	       "r.txt:2:1: '-e .' is an editable install of code that the nodes "
	       "may not have: remove it, or name a released package\n"
	       "r.txt:3:1: option '--pre' is not supported: remove it, and write "
	       "'NAME>=2.0rc1' for a package of which a pre-release will do\n"
	       "r.txt:4:1: option '--extra-index-url' is not supported: remove "
	       "it, the administrator chooses where packages come from\n"
	       "r.txt:5:1: 'a --config-settings=x' has an option behind it: "
	       "remove it, the administrator chooses where packages come from\n"
	       "r.txt:6:1: 'b --hash=sha256:0 --pre' has an option behind it: "
	       "remove it, the administrator chooses where packages come from\n"
	       "r.txt:7:1: 'c --hashx' has an option behind it: remove it, the "
	       "administrator chooses where packages come from\n"
	       "r.txt:8:1: '${D}x' is a template: write what it stands for");
	expect("r.txt", "# nothing\n",
	       "r.txt:1:1: nothing is asked for: write a requirement a line, for "
	       "example 'numpy>=2'");
	/* no comment goes on in the next line, pip's own words */
	expect("r.txt", "# C:\\\na\nb \\\n# x \\\nc\n",
	       "aq-request 1\npython 3.12.*\npip a\npip b\npip c\n");
}

static void blocks_are_found_as_the_reference_does(void **state)
{
	static const char want[] = "aq-request 1\npython 3.12.*\npip a\n";
	static const char none[] =
		"f.py:1:1: this Python file does not say what it needs: write a "
		"block of comments, '# /// script', '# dependencies = "
		"[\"numpy\"]', '# ///'";
	static const char almost[] =
		":1: this line looks like the beginning of a block, but is none: "
		"write exactly '# /// script'";
	char text[256];

	(void)state;
	expect("f.py", "# /// script\r\n# dependencies=['a']\r\n# ///\r\n", want);
	expect("f.py", "x\n# /// script\n# dependencies=['a']\n# ///", want);
	/* another type's holds what looks like one */
	expect("f.py", "# /// x-1\n# /// script\n# ///\n\n"
		       "# /// script\n# dependencies=['a']\n# ///\n", want);
	/* one without an end is none */
	expect("f.py", "# /// x\n\n# /// script\n# dependencies=['a']\n# ///\n",
	       want);
	expect("f.py", "# /// script\n#bad\n\n"
		       "# /// script\n# dependencies=['a']\n# ///\n", want);
	/* the last one that content leads to is the end */
	expect("f.py", "# /// script\n# dependencies=['a']\n# ///\n# x\n# ///\n",
	       "f.py:3:3: not valid TOML: a key is expected here: letters, "
	       "digits, '_' and '-', or quotes around it");
	expect("f.py", "# /// script\n# dependencies=['a']\n# ///\n# x\n", want);
	/* twice, though the second is empty */
	expect("f.py", "# /// script\n# dependencies=['a']\n# ///\n\n"
		       "# /// script\n#\n# ///\n",
	       "f.py:5:1: a second block '# /// script', the first begins in "
	       "line 1: keep one");
	expect("f.py", "\n# /// script\n# dependencies=['a']\n#///\n",
	       "f.py:2:1: the block '# /// script' has no end: write '# ///' "
	       "below it, and begin each line between with '# '");
	/* the specification wants a line between */
	expect("f.py", "# /// script\n# ///\n",
	       "f.py:1:1: the block '# /// script' has no end: write '# ///' "
	       "below it, and begin each line between with '# '");
	snprintf(text, sizeof(text), "f.py:2%s", almost);
	expect("f.py", "\n#/// script\n# dependencies=['a']\n# ///\n", text);
	expect("f.py", "\n# /// script \n# dependencies=['a']\n# ///\n", text);
	expect("f.py", " # /// script\n # ///\n", none);
	expect("f.py", "# /// scripts\n# x\n# ///\n", none);
	expect("f.py", "", none);
}

static void what_is_wrong_in_a_block_is_told_where(void **state)
{
	(void)state;
	expect_block("dependencies = []\n", "aq-request 1\npython 3.12.*\n");
	expect_block("dependancies = ['a']\nrequires_python = '3'\nchannels=[]\n",
		     "f.py:2:3: unknown key 'dependancies', did you mean "
		     "'dependencies'?\n"
		     "f.py:3:3: unknown key 'requires_python', did you mean "
		     "'requires-python'?\n"
		     "f.py:4:3: unknown key 'channels': remove it, or write one "
		     "of dependencies, requires-python; what else is wanted "
		     "(channels, conda packages) belongs into a req.yaml");
	expect_block("dependencies = ['numpy=1', 2, '', '-r x',\n'\xc3\xa9', 'b==']\n"
		     "requires-python = 3.11\n",
		     "f.py:2:19: 'numpy=1' is a conda spec: write it outside of "
		     "pip's list, or '==' for pip\n"
		     "f.py:2:30: a requirement is text: write quotes around it\n"
		     "f.py:2:33: empty item: write a requirement or remove it\n"
		     "f.py:2:37: '-r x' looks like an option: write a package's "
		     "name\n"
		     "f.py:3:3: '\xc3\xa9' has a character that a requirement "
		     "cannot have\n"
		     "f.py:3:8: 'b==': version '==' is missing behind the "
		     "operator\n"
		     "f.py:4:21: 'requires-python' is text: write for example "
		     "\">=3.11\"");
	expect_block("dependencies = 'a'\n",
		     "f.py:2:18: 'dependencies' needs a list: write "
		     "[\"numpy>=2\"]");
	expect_block("dependencies = []\ndependencies = ['a']\n",
		     "f.py:3:3: not valid TOML: 'dependencies' stands there "
		     "twice: keep one");
	expect_block("dependencies = ['a']\n[tool.uv]\nx=1\n[tool.b]\n",
		     "aq-request 1\npython 3.12.*\npip a\n"
		     "f.py:3:9: table 'tool.uv' is another tool's: it has no "
		     "effect here\n"
		     "f.py:5:9: table 'tool.b' is another tool's: it has no "
		     "effect here\n");
}

static void requires_python_is_condas_condition(void **state)
{
	static const char *const cases[][2] = {
		{ ">=3.11", ">=3.11" },
		{ " >= 3.11 , < 3.13", ">=3.11,<3.13" },
		{ "==3.11.*", "3.11.*" },
		{ "~=3.11", "~=3.11" },
		{ "!=3.11.*,>3.9", ">3.9,!=3.11.*" },
		/* conda compares these as text */
		{ "==3.11", "==3.11.0" },
		{ "==3", "==3.0.0" },
		{ "==3.11.4", "==3.11.4" },
		{ "!=3.12,>=3.9", ">=3.9,!=3.12.0" },
		{ "==3.13.0RC1", "==3.13.0rc1" },
		{ ">=3.10.0,!= 3.11.0", ">=3.10.0,!=3.11.0" },
		{ ">=3.9,", ">=3.9" },
		{ "", "*" },
	};
	static const char *const refused[] = { "3.11", ">=x", "===3.11", "===!.1",
					       ">=3 <4", "^3.11", "3.11.*" };
	struct aq_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_free char *got = NULL;

		if (aq_script_python(cases[i][0], &got, &err))
			fail_msg("%s: %s", cases[i][0], err.text);
		assert_string_equal(got, cases[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char *got = NULL;

		if (aq_script_python(refused[i], &got, &err) != AQ_USER)
			fail_msg("accepted: %s as %s", refused[i], got);
	}
	expect_block("requires-python = '==3.9.*,>3.10'\n",
		     "f.py:2:21: python '3.9.*,>3.10' contradicts itself: no "
		     "version is both");
}

static void code_may_be_longer_than_a_request(void **state)
{
	char path[] = "/tmp/test-script-XXXXXX.py";
	cleanup_close int fd = mkstemps(path, 3);
	struct aq_strv warnings = AQ_STRV_INIT(4);
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_SCRIPT_FILE_MAX + 1);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err = { 0 };

	(void)state;
	aq_str_add(&text, "# /// script\n# dependencies=['a']\n# ///\n");
	while (text.len < AQ_SCRIPT_FILE_MAX)
		aq_str_add_char(&text, '\n');
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.s, text.len), text.len);
	assert_int_equal(aq_request_read(path, &example_conf, &req, &warnings,
					 &err), 0);
	assert_int_equal(write(fd, "\n", 1), 1);
	aq_request_free(steal(&req));
	assert_int_equal(aq_request_read(path, &example_conf, &req, &warnings,
					 &err), AQ_USER);
	assert_non_null(strstr(err.text, ".py:1:1: is over 1024 KiB: write what "
					 "it needs into a req.yaml"));
	unlink(path);
}

/* Each of these looks for its end: once for all, or it takes minutes. */
static void many_blocks_without_end_take_no_time(void **state)
{
	static const char begin[] = "# /// a\n";
	char path[] = "/tmp/test-script-XXXXXX.py";
	cleanup_close int fd = mkstemps(path, 3);
	struct aq_strv warnings = AQ_STRV_INIT(4);
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_SCRIPT_FILE_MAX);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err = { 0 };

	(void)state;
	while (text.len + 2 * strlen(begin) < AQ_SCRIPT_FILE_MAX)
		aq_str_add(&text, begin);
	aq_str_add(&text, "# /// script\n");
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.s, text.len), text.len);
	alarm(SECONDS);
	assert_int_equal(aq_request_read(path, &example_conf, &req, &warnings,
					 &err), AQ_USER);
	alarm(0);
	assert_non_null(strstr(err.text, ":1: the block '# /// script' has no end"));
	unlink(path);
}

/* -- conda list --export -- */

#define EXPORT_HEAD                                                           \
	"# This file may be used to create an environment using:\n"           \
	"# $ conda create --name <env> --file <this file>\n"                  \
	"# platform: linux-64\n"

static void an_exported_list_is_its_packages(void **state)
{
	static const char text[] = EXPORT_HEAD "_libgcc_mutex=0.1=conda_forge\n"
		"python=3.9.18=h0755675_1_cpython\n\n"
		"  numpy=1.26.4=py39h474f0d3_0\t\r\n"
		"Foo.Bar=1!2.0=pypi_0\n"
		"scipy>=1.13";
	static const char yaml[] = "dependencies:\n"
		"- _libgcc_mutex=0.1=conda_forge\n"
		"- python=3.9.18=h0755675_1_cpython\n"
		"- numpy=1.26.4=py39h474f0d3_0\n"
		"- scipy>=1.13\n"
		"- pip: [foo-bar==1!2.0]\n";

	(void)state;
	expect_same("packages.txt", text, yaml);
	expect_same("packages", text, yaml);
	expect_same("packages.yml", text, yaml);
	expect("p", "a=1=pypi_0", "aq-request 1\npython 3.12.*\npip a==1\n");
	expect("p", "a=1=0", "aq-request 1\nconda a ==1 0\n");
	expect("p", "a=1=<pip>", "aq-request 1\npython 3.12.*\npip a==1\n");
}

/* Whatever their name: CEP 23's is "requirements.txt". */
static void condas_requirements_are_its_packages(void **state)
{
	static const char specs[] =
		"# Note: This is a conda requirements file (MatchSpec format)\n"
		"# Contains conda package specifications, not pip requirements\n"
		"\npython\nsamtools\n";
	static const char builds[] =
		"conda-forge::_libgcc_mutex==0.1=conda_forge\n"
		"https://mirror.example/bioconda::a==1.2=h0_0\n"
		"pypi::six==1.17.0=pypi_0\n"
		"python==3.11.8=hab00c5b_0_cpython\n";

	(void)state;
	expect_same("requirements.txt", specs, "dependencies: [python, samtools]");
	expect("r.txt", "# Note: This is a conda requirements file (MatchSpec format)\n",
	       "r.txt:1:1: nothing is asked for: write a package a line, for "
	       "example 'numpy'");
	expect_same("requirements.txt", builds,
		    "dependencies:\n- conda-forge::_libgcc_mutex=0.1=conda_forge\n"
		    "- bioconda::a=1.2=h0_0\n"
		    "- python=3.11.8=hab00c5b_0_cpython\n- pip: [six==1.17.0]\n");
}

/* What any other kind of file could begin with is none. */
static void nothing_else_is_an_exported_list(void **state)
{
	(void)state;
	expect_same("r.txt", "a===1\n", "dependencies: [{pip: [a===1]}]");
	expect("r.yaml", "a=1=0: 1\n", "r.yaml:1:1: unknown key 'a=1=0': remove it, or "
	       "write one of name, channels, dependencies, python_version, "
	       "requirements, variables");
	expect_same("f.py", "a=b=0\n# /// script\n# dependencies = ['x']\n# ///\n",
		    "dependencies: [{pip: [x]}]");
}

static void an_exported_lists_errors_have_their_places(void **state)
{
	(void)state;
	expect("p.txt", EXPORT_HEAD "a=1=0\n  b==\n-r x=1=pypi_0\n",
	       "p.txt:5:3: 'b==': version '==' is missing behind the operator\n"
	       "p.txt:6:1: '-r x=1=pypi_0' looks like an option: write a "
	       "package's name");
	expect("p.txt", "a=1=0\nb=0.1=dev_0\n",
	       "p.txt:2:1: 'b=0.1=dev_0' was an editable install of code that the "
	       "nodes may not have: remove it, or name a released package");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_kinds_of_files_are_one_request),
		cmocka_unit_test(the_name_says_what_a_file_is),
		cmocka_unit_test(pips_options_are_honoured_named_or_refused),
		cmocka_unit_test(blocks_are_found_as_the_reference_does),
		cmocka_unit_test(what_is_wrong_in_a_block_is_told_where),
		cmocka_unit_test(requires_python_is_condas_condition),
		cmocka_unit_test(code_may_be_longer_than_a_request),
		cmocka_unit_test(many_blocks_without_end_take_no_time),
		cmocka_unit_test(an_exported_list_is_its_packages),
		cmocka_unit_test(condas_requirements_are_its_packages),
		cmocka_unit_test(nothing_else_is_an_exported_list),
		cmocka_unit_test(an_exported_lists_errors_have_their_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
