/* SPDX-License-Identifier: Apache-2.0 */
/* What a request's pip section includes: files of requirements, and what is private. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/unit/reading.h"

static void test_includes(void **state)
{
	(void)state;
	write_file("a.txt", TEXT_AND_SIZE("numpy==1.0 # why\r\n"
					  "# -e .\r\n\r\n-c c.txt\r\n"
					  "scipy\\\r\n>=1 , \\\r\n<2\r\n"
					  "-r \"b.txt\""));
	write_file("b.txt", TEXT_AND_SIZE("\xff\xfe"
					  "x\0\n\0"));
	write_file("c.txt", TEXT_AND_SIZE("y<3\n"));
	expect("requirements: [-r a.txt, --constraint=c.txt]\n",
	       "aq-request 1\npython 3.12.*\npip numpy==1\n"
	       "pip scipy>=1,<2\npip x\nconstraint y<3\n");
	expect("dependencies: [a, {pip: [-c c.txt]}]\n",
	       "aq-request 1\nconda a\n");
	write_file("a.txt", TEXT_AND_SIZE("ok\n\n  x==\n--pre\n-i x\n-r "
					  "none.txt\n-r https://a.example/\n"));
	expect_refused("requirements: [-ra.txt]\n",
		       "%/a.txt:3:3: 'x==': version '==' is missing behind "
		       "the operator\n"
		       "%/a.txt:4:1: option '--pre' is not supported: remove "
		       "it, and write 'NAME>=2.0rc1' for a package of which a "
		       "pre-release will do\n"
		       "%/a.txt:5:1: option '-i' is not supported: remove it, "
		       "the administrator chooses where packages come from\n"
		       "%/a.txt:6:1: included file 'none.txt': cannot open "
		       "it: No such file or directory\n"
		       "%/a.txt:7:1: included file 'https://a.example/' is a "
		       "URL: write the path of a file");
	/* pip splits lines as Python does, and joins the last one with nothing */
	write_file("a.txt", TEXT_AND_SIZE("b # y\ra>1 # y\r\n-r file:b.txt\rb \\\r # z\\"));
	expect("requirements: [-r a.txt]\n",
	       "aq-request 1\npython 3.12.*\npip a>1\npip b\npip x\n");
	/* conda writes items into such a file, too */
	expect("dependencies:\n- |\n  c\n- pip:\n  - 'a # x'\n  - |\n    b\n    x \\\n    >1 # y\n",
	       "aq-request 1\npython 3.12.*\nconda c\npip a\npip b\npip x>1\n");
	expect_refused("requirements: ['python==3.8', 'conda-forge::a']\n",
		       "%:1:16: 'python==3.8' is no package of pip's: remove it, "
		       "and write Python's version as 'python=3.12' below "
		       "'dependencies:' of an environment.yml\n"
		       "%:1:31: 'conda-forge::a' is a conda spec: write it outside "
		       "of pip's list, or '==' for pip");
	write_file("c.txt", TEXT_AND_SIZE("y[z]\n"));
	expect_refused("requirements: [--constraint c.txt]\n",
		       "%/c.txt:1:1: constraint 'y[z]' has extras, which pip "
		       "does not take: leave them out");
}

/* SHA-256 of "abc", FIPS 180-4's example. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_private(void **state)
{
	char want[1024];

	(void)state;
	expect_refused("requirements: [x @ git+https://h/p]\n",
		       "%:1:16: 'x @ git+https://h/p' is a repository, which "
		       "this site refuses (aq.conf's policy: vcs=refuse): name "
		       "a released package, or ask the administrator for "
		       "'vcs=private'");
	for (size_t i = 0; i < AQ_INPUT_SCRIPT; i++)
		reading_conf->policy[i] = AQ_POLICY_PRIVATE;
	write_file("x_y-1-py3-none-any.whl", TEXT_AND_SIZE("abc"));
	snprintf(want, sizeof(want),
		 "aq-request 1\npython 3.12.*\n"
		 "pip b[c] @ git+https://h/p@v1#subdirectory=s ; "
		 "os_name == \"a\"\npip x-y @ file://%s/x_y-1-py3-none-any.whl"
		 "#sha256=" ABC "\nno-binary b\nno-binary d-e\n", reading_dir);
	expect("requirements: ['B[c]@git+https://h/p@v1#subdirectory=s ; "
	       "os_name==\"a\"', ./x_y-1-py3-none-any.whl, "
	       "'--no-binary D_e,b', --no-binary=b]\n", want);
	write_file("r.txt", TEXT_AND_SIZE("x_y-1-py3-none-any.whl # of ours\n"));
	snprintf(want, sizeof(want),
		 "aq-request 1\npython 3.12.*\npip x-y @ file://%s/"
		 "x_y-1-py3-none-any.whl#sha256=" ABC "\n", reading_dir);
	expect("requirements: [-r r.txt]\n", want);
	/* nothing that it is about */
	expect("dependencies: [a, {pip: [--no-binary b]}]\n",
	       "aq-request 1\nconda a\n");
	expect_refused("requirements: [./none.whl, x.tar.gz, '--no-binary :all:', "
		       "x @ file:///none.whl]\n",
		       "%:1:16: cannot find '%/./none.whl': No such file or directory\n"
		       "%:1:28: 'x.tar.gz' is a local path, which the nodes may "
		       "not have: name a released package\n"
		       "%:1:38: ':all:' is no package: name those that are to "
		       "be built from source\n"
		       "%:1:59: cannot read '/none.whl': No such file or directory");
	for (size_t i = 0; i < AQ_INPUT_SCRIPT; i++)
		reading_conf->policy[i] = AQ_POLICY_REFUSE;
}

static void test_include_itself(void **state)
{
	char big[70000];

	(void)state;
	write_file("a.txt", TEXT_AND_SIZE("-r b.txt\n"));
	write_file("b.txt", TEXT_AND_SIZE("-r ./a.txt\n"));
	expect_refused("requirements: [-r a.txt]\n",
		       "%/b.txt:1:1: included file './a.txt' includes itself");
	memset(big, '#', sizeof(big));
	write_file("b.txt", big, sizeof(big));
	expect_refused("requirements: [-r a.txt]\n",
		       "%/a.txt:1:1: included file 'b.txt': is over 64 KiB "
		       "with what it includes (1024 KiB of pip's '--hash' options aside): "
		       "a request is smaller");
}

/* Two lines of eight files each, every one naming the next twice: without a
 * budget that would be 2^8 reads.
 */
static void test_include_fan(void **state)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	struct aq_err err;

	(void)state;
	for (int i = 0; i < 9; i++) {
		char name[32], text[64];

		snprintf(name, sizeof(name), "f%d.txt", i);
		snprintf(text, sizeof(text), "-r f%d.txt\n-r f%d.txt\n", i + 1,
			 i + 1);
		write_file(name, text, strlen(text));
	}
	assert_null(read_text("requirements: [-r f0.txt]\n", &warnings, &err));
	assert_non_null(strstr(err.text, "more than 8 files that include"));
	aq_strv_free(&warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_includes),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_include_itself),
		cmocka_unit_test(test_include_fan),
	};

	return cmocka_run_group_tests(tests, reading_setup, reading_teardown);
}
