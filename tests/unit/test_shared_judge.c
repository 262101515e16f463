/* SPDX-License-Identifier: Apache-2.0 */
/* builder/shared_judge.c: which locks of others a node takes. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "builder/shared_judge.h"
#include "common/key.h"
#include "common/lock.h"
#include "tests/unit/example_conf.h"

#define SHA "0000000000000000000000000000000000000000000000000000000000000001"
#define CONDA "https://mirror.example/conda-forge"
#define WHEEL "https://mirror.example/files/six-1.0-py3-none-any.whl"

static const char *const whole = "aq-request 1\npython 3.9.*\nchannel conda-forge\n"
				 "conda bioconda::samtools\nconda numpy >=1.20\n";
#define PYTHON "conda " CONDA "/noarch/python-3.9.6-0.conda " SHA " python 3.9.6 0\n"
#define NUMPY "conda " CONDA "/noarch/numpy-1.26-0.conda " SHA " numpy 1.26 0\n"
#define SAMTOOLS "conda https://mirror.example/bioconda/noarch/samtools-1-0.conda " SHA " samtools 1 0\n"

static const struct aq_host host = {
	.text = "__glibc 2.31 0\n__linux 5.10.0 0\n__unix 0 0\n",
};

static void expect_judged_for(const char *request, const char *items,
			      const char *why)
{
	cleanup_request struct aq_request *req = NULL;
	cleanup_lock struct aq_lock *lock = NULL;
	struct aq_err err = { 0 };
	char text[4096];
	int rc;

	assert_int_equal(aq_request_parse(request, strlen(request), &example_conf,
					  &req, &err), 0);
	snprintf(text, sizeof(text), "aq-lock 1\nplatform %s\n%s",
		 strncmp(items, "platform", 8) == 0 ? "linux-none" :
						      aq_platform_subdir(),
		 strncmp(items, "platform", 8) == 0 ? items + 9 : items);
	if (aq_lock_parse(text, strlen(text), &lock, &err) != 0)
		fail_msg("%s: %s", err.text, text);
	rc = shared_judge(&example_conf, req, &host, NULL, lock, &err);
	if (rc != (why ? AQ_USER : 0))
		fail_msg("%d, %s: %s", rc, err.text, text);
	if (why && !strstr(err.text, why))
		fail_msg("'%s' is not: %s", err.text, why);
}

static void expect_judged(const char *items, const char *why)
{
	expect_judged_for(whole, items, why);
}

static void a_lock_is_what_this_node_could_have(void **state)
{
	(void)state;
#define HEAD "python 3.9.6\n"
#define ALL HEAD NUMPY PYTHON SAMTOOLS
	expect_judged(ALL, NULL);
	expect_judged(ALL "wheel " WHEEL " " SHA " six 1.0\n", NULL);
	expect_judged("platform\n" ALL, "it is for 'linux-none'");
	expect_judged("python 3.10.1\n" NUMPY PYTHON SAMTOOLS, "python 3.9.* is asked for");
	expect_judged(HEAD "base " SHA "\n" NUMPY PYTHON SAMTOOLS, "no base here");
	expect_judged(HEAD NUMPY PYTHON, "it lacks 'bioconda::samtools'");
	expect_judged(HEAD "conda " CONDA "/noarch/numpy-1.1-0.conda " SHA " numpy 1.1 0\n"
		      PYTHON SAMTOOLS, "'numpy >=1.20' is asked for");
	/* of a channel of the request, but not of the one that is asked for */
	expect_judged(HEAD NUMPY PYTHON "conda " CONDA "/noarch/samtools-1-0.conda " SHA " samtools 1 0\n",
		      "'bioconda::samtools' is asked for");
#define BAD(url) expect_judged(HEAD "conda " url " " SHA " aaa 1 0\n" NUMPY PYTHON SAMTOOLS, \
			       "package 'aaa' is from no channel")
	BAD("https://mirror.example/pytorch/noarch/aaa-1-0.conda");
	BAD("https://mirror.example/conda-forge2/noarch/aaa-1-0.conda");
	BAD("http://mirror.example/conda-forge/noarch/aaa-1-0.conda");
	BAD(CONDA "/noarch/../aaa-1-0.conda");
	BAD(CONDA "/noarch/..%2faaa-1-0.conda");
	BAD(CONDA "/noarch/%2E%2e");
	BAD(CONDA "/noarch/aaa-1-0.conda?x");
	BAD(CONDA "/win-64/aaa-1-0.conda");
	BAD(CONDA "/noarch/");
	BAD(CONDA "/aaa-1-0.conda");
#define BAD_WHEEL(url) expect_judged(ALL "wheel " url " " SHA " six 1.0\n", \
				     "package 'six' is neither from")
	BAD_WHEEL("https://elsewhere.example/six-1.0-py3-none-any.whl");
	BAD_WHEEL("http://mirror.example/six-1.0-py3-none-any.whl");
	BAD_WHEEL("https://mirror.example:444/six-1.0-py3-none-any.whl");
	BAD_WHEEL("file:///etc/six-1.0-py3-none-any.whl");
	expect_judged(ALL "source " WHEEL " " SHA " six 1.0\n", "would be built from its source");
}

/* What a resolver left out, or another node's hand took away. */
static void wheels_are_such_as_are_asked_for(void **state)
{
#define PIP(text) "aq-request 1\npython 3.9.*\nchannel conda-forge\nconda numpy\npip " text "\n"
#define LOCK HEAD NUMPY PYTHON
#define SIX(version) LOCK "wheel " WHEEL " " SHA " six " version "\n"
	(void)state;
	expect_judged_for(PIP("six"), SIX("1.0"), NULL);
	expect_judged_for(PIP("six>=1,<2"), SIX("1.17.0"), NULL);
	expect_judged_for(PIP("six==1"), SIX("1.0+cu118"), NULL);
	expect_judged_for(PIP("six==1.*,!=1.5.*"), SIX("1.4"), NULL);
	expect_judged_for(PIP("six===1.0"), SIX("2.0"), NULL); /* text, which nobody compares */
	expect_judged_for(PIP("six[extra]==1.17"), SIX("1.16"), "'six[extra]==1.17' is asked for, it has the wheel of 1.16");
	expect_judged_for(PIP("six>=1.5"), SIX("1.4"), "'six>=1.5' is asked for");
	expect_judged_for(PIP("six"), LOCK, "it lacks 'six'");
	expect_judged_for(PIP("six; python_version < \"3\""), LOCK, NULL);
	/* conda has it, in whatever name */
	expect_judged_for(PIP("numpy"), LOCK, NULL);
	expect_judged_for(PIP("umpy"), LOCK, NULL);
	expect_judged_for(PIP("numpy-extra"), LOCK, NULL);
	expect_judged_for(PIP("six\nconstraint six<2"), SIX("2.0"), "'six<2' is asked for");
	expect_judged_for(PIP("numpy\nconstraint six<2"), LOCK, NULL);
}

static void a_layer_has_what_its_base_has(void **state)
{
	static const char request[] = PIP("six\npip threadpoolctl");
	cleanup_request struct aq_request *req = NULL;
	cleanup_lock struct aq_lock *base = NULL;
	char text[4096];

	(void)state;
	assert_int_equal(aq_request_parse(request, strlen(request), &example_conf,
					  &req, NULL), 0);
	snprintf(text, sizeof(text), "aq-lock 1\nplatform %s\n" SIX("1.0"),
		 aq_platform_subdir());
	assert_int_equal(aq_lock_parse(text, strlen(text), &base, NULL), 0);
	for (int has_it = 0; has_it < 2; has_it++) {
		cleanup_lock struct aq_lock *lock = NULL;
		struct aq_err err = { 0 };

		snprintf(text, sizeof(text), "aq-lock 1\nplatform %s\n" HEAD "base %s\n%s",
			 aq_platform_subdir(), base->digest,
			 has_it ? "wheel " WHEEL " " SHA " threadpoolctl 3.5.0\n" : "");
		assert_int_equal(aq_lock_parse(text, strlen(text), &lock, NULL), 0);
		assert_int_equal(shared_judge(&example_conf, req, &host, base, lock,
					      &err), has_it ? 0 : AQ_USER);
		if (!has_it)
			assert_non_null(strstr(err.text, "it lacks 'threadpoolctl'"));
	}
}

/* Of virtual packages, in the order of a lock. */
static void what_a_lock_needs_this_node_has(void **state)
{
#define NEEDS(need) HEAD "virtual " need "\n" NUMPY PYTHON SAMTOOLS
	static const char *const here[] = {
		NEEDS("__glibc"), NEEDS("__glibc >=2.31"), NEEDS("__unix"),
		NEEDS("__glibc >=2.17,<3.0.a0"), NEEDS("__linux >=4.18"),
		NEEDS("__glibc 2.31.* 0"), NEEDS("__glibc >=2.17\nvirtual __unix") };
	static const char *const not_here[] = {
		NEEDS("__glibc >=2.34"), NEEDS("__glibc <2.31"),
		NEEDS("__linux >=5.11"), NEEDS("__glibc 2.31.* 1"),
		NEEDS("__glibc ==2.31.0"), /* clients differ about that */
		NEEDS("__unix >=1"), NEEDS("__glibc >=2.17\nvirtual __linux >=6") };
	static const char *const untold[] = {
		NEEDS("__cuda"), NEEDS("__cuda >=11.8"), NEEDS("__win"),
		NEEDS("__archspec 1 x86_64_v3"), NEEDS("__osx >=11") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(here); i++)
		expect_judged(here[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(not_here); i++)
		expect_judged(not_here[i], ", this node has ");
	for (size_t i = 0; i < ARRAY_LEN(untold); i++)
		expect_judged(untold[i], "of which this node cannot tell");
	expect_judged(NEEDS("__glibc ]"), "");
	/* or is asked for */
#define ASKS(need) "aq-request 1\nchannel conda-forge\nconda " need "\nconda numpy\n"
	expect_judged_for(ASKS("__glibc >=2.17"), NUMPY, NULL);
	expect_judged_for(ASKS("__glibc >=2.34"), NUMPY, ", this node has ");
	expect_judged_for(ASKS("__cuda"), NUMPY, "of which this node cannot tell");
}

static void wheels_of_find_links_and_of_pypi(void **state)
{
	char *links[] = { (char[]){ "/srv/wheels/" },
			  (char[]){ "file:///srv/more" } };
	static const char *const good[] = {
		"file:///srv/wheels/a.whl", "file:///srv/wheels/d/a.whl",
		"file:///srv/more/a%2Bb.whl",
		"https://files.pythonhosted.org/packages/a.whl" };
	static const char *const bad[] = {
		"file:///srv/wheels/../a.whl", "file:///srv/wheels2/a.whl",
		"file:///srv/more/%2e%2E/a.whl", "https://pythonhosted.org/a.whl" };
	static const char canonical[] = "aq-request 1\nchannel conda-forge\nconda numpy\n";
	cleanup_request struct aq_request *req = NULL;
	struct aq_conf conf = example_conf;

	(void)state;
	conf.find_links = (struct aq_strv){ links, 2, 2, 2, 0 };
	conf.pip_index = (char[]){ "https://pypi.org/simple" };
	assert_int_equal(aq_request_parse(canonical, strlen(canonical), &conf,
					  &req, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
		bool is_good = i < ARRAY_LEN(good);
		const char *url = is_good ? good[i] : bad[i - ARRAY_LEN(good)];
		cleanup_lock struct aq_lock *lock = NULL;
		char text[1024];

		snprintf(text, sizeof(text), "aq-lock 1\nplatform %s\n" NUMPY "wheel %s " SHA " a 1\n",
			 aq_platform_subdir(), url);
		assert_int_equal(aq_lock_parse(text, strlen(text), &lock, NULL), 0);
		if (shared_judge(&conf, req, &host, NULL, lock, NULL) != (is_good ? 0 : AQ_USER))
			fail_msg("%s", url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_what_this_node_could_have),
		cmocka_unit_test(wheels_are_such_as_are_asked_for),
		cmocka_unit_test(a_layer_has_what_its_base_has),
		cmocka_unit_test(what_a_lock_needs_this_node_has),
		cmocka_unit_test(wheels_of_find_links_and_of_pypi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
