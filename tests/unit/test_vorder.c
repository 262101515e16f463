/* SPDX-License-Identifier: Apache-2.0 */
/* common/vorder.c: the order of versions. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/vmatch.h"

static int compare(const char *a, const char *b)
{
	struct aq_err err;
	int diff = 9;

	if (aq_version_compare(a, b, &diff, &err))
		fail_msg("'%s', '%s': %s", a, b, err.text);
	return diff;
}

/* The order that VersionOrder's documentation gives, and more; a '=' says that
 * the version equals the one before it.
 */
static void test_order(void **state)
{
	static const char *const versions[] = {
		"0dev",
		"=0dev0",
		"0.dev",
		"=0.0dev0",
		"0.4",
		"=0.4.0",
		"=00.4",
		"=0!0.4",
		"0.4.1.rc",
		"=0.4.1.RC",
		"0.4.1",
		"0.5a1",
		"0.5b3",
		"0.5C1",
		"=0.5c1",
		"0.5",
		"0.9.6",
		"0.960923",
		"1.0a+x",
		"1.0+dev",
		"1.0+a",
		"1.0+a1",
		"1.0+b",
		"1.0",
		"=1.0+0",
		"1.0+0.1",
		"1.0+1.2",
		"=1.0+1_2.0",
		"=1.0+1-2",
		"1.0.post",
		"1.1dev1",
		"1.1_",
		"=1.1-",
		"1.1a1",
		"1.1.0dev1",
		"=1.1.dev1",
		"1.1.a1",
		"=1.1_a1",
		"=1.1-A1",
		"1.1.0devel",
		"1.1.0rc1",
		"1.1.0",
		"=1.1",
		"=1.1_0",
		"1.1.0post1",
		"=1.1.post1",
		"1.1.1",
		"1.1post1",
		"1.9",
		"1.10",
		"1.999999999999999999999999",
		"1.1000000000000000000000000",
		"1996.07.12",
		"1!0.4.1",
		"1!3.1.1.6",
		"2!0.4.1",
		"10!0",
	};
	size_t rank[ARRAY_LEN(versions)];

	(void)state;
	rank[0] = 0;
	for (size_t i = 1; i < ARRAY_LEN(versions); i++)
		rank[i] = rank[i - 1] + (*versions[i] != '=');
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		for (size_t j = 0; j < ARRAY_LEN(versions); j++) {
			const char *a = versions[i] + (*versions[i] == '=');
			const char *b = versions[j] + (*versions[j] == '=');
			int want = rank[i] < rank[j] ? -1 : rank[i] > rank[j];

			if (compare(a, b) != want)
				fail_msg("'%s' and '%s' give %d", a, b,
					 compare(a, b));
		}
}

static void test_no_versions(void **state)
{
	static const char *const texts[] = {
		"",	"1..2",	 ".1",	 "1.",	"1!",	 "!1",	     "1!2!3",
		"a!1",	"-1!1",	 "1+",	 "+1",	"1!+x",	 "1+x+y",    "1+x!1",
		"1 2",	"1.*",	 "1,2",	 "1=2", "1_2-3", "1+_",	     "1+x_",
		"1+x-", "1._.2", "1__2", "v@1", "1/2",	 "\xc3\xa9", "1\n",
	};
	char text[200] = "1";
	struct aq_err err;
	int diff = 9;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!aq_version_compare(texts[i], "1", &diff, &err) ||
		    !aq_version_compare("1", texts[i], &diff, &err))
			fail_msg("'%s' is taken for a version", texts[i]);
		assert_int_equal(err.class, AQ_USER);
		assert_non_null(strstr(err.text, "is not a version"));
	}
	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, ".1", 3);
	assert_int_equal(aq_version_compare(text, "1", &diff, &err), AQ_USER);
	assert_int_equal(diff, 9);
	/* the epoch and 63 segments */
	text[125] = '\0';
	assert_int_equal(compare(text, "1"), 1);
	text[125] = '.';
	text[127] = '\0';
	assert_int_equal(aq_version_compare(text, "1", &diff, &err), AQ_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
