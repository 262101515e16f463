/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "tests/unit/cachedir.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SUM2 "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define URL "https://c.example/linux-64/"

static struct aq_lock *new_lock(void)
{
	struct aq_lock *lock = NULL;

	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	return lock;
}

static int add(struct aq_lock *lock, const char *url, const char *sum,
	       const char *name, const char *version, const char *build)
{
	return aq_lock_add(lock, build ? AQ_LOCK_CONDA : AQ_LOCK_WHEEL, url,
			   sum, name, version, build, NULL);
}

static const char sorted[] =
	"aq-lock 1\n"
	"platform linux-64\n"
	"python 3.12.1\n"
	"base " SUM "\n"
	"virtual __archspec 1 x86_64\n"
	"virtual __glibc >=2.17\n"
	"conda " URL "_mutex-1!2.conda " SUM " _mutex 1!2 main\n"
	"conda " URL "a-1.conda " SUM " a 1.0+x h_0\n"
	"wheel file:///w/b%20c-1.whl " SUM " a 1.0\n";

static void the_text_is_sorted_and_its_digest_names_it(void **state)
{
	cleanup_lock struct aq_lock *lock = new_lock(), *again = NULL;

	(void)state;
	lock->python = strdup("3.12.1");
	memcpy(lock->base, SUM, sizeof(SUM));
	aq_strv_add(&lock->virtuals, "__glibc >=2.17");
	aq_strv_add(&lock->virtuals, "__archspec 1 x86_64");
	aq_strv_add(&lock->virtuals, "__glibc >=2.17");
	assert_int_equal(add(lock, "file:///w/b%20c-1.whl", SUM, "a", "1.0",
			     NULL), 0);
	assert_int_equal(add(lock, URL "a-1.conda", SUM, "a", "1.0+x", "h_0"),
			 0);
	assert_int_equal(add(lock, URL "_mutex-1!2.conda", SUM, "_mutex", "1!2",
			     "main"), 0);
	assert_int_equal(add(lock, URL "a-1.conda", SUM, "a", "1.0+x", "h_0"),
			 0);
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
	assert_int_equal(lock->n_items, 3);
	assert_string_equal(lock->text, sorted);
	assert_int_equal(lock->text_len, strlen(sorted));
	/* sha256sum(1) of the text */
	assert_string_equal(lock->digest,
			    "80d9b87b39a0f4213ab3fe34b6d306e05d3f34a82f6256a16e169e1be6852170");
	assert_int_equal(aq_lock_parse(sorted, strlen(sorted), &again, NULL),
			 0);
	assert_string_equal(again->digest, lock->digest);
	assert_string_equal(again->items[1].build, "h_0");
	assert_null(again->items[2].build);
}

static void two_of_one_package_are_refused(void **state)
{
	static const char *const differing[][4] = {
		{ URL "b.conda", SUM, "1", "h" },
		{ URL "a.conda", SUM2, "1", "h" },
		{ URL "a.conda", SUM, "2", "h" },
		{ URL "a.conda", SUM, "1", "i" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(differing); i++) {
		cleanup_lock struct aq_lock *lock = new_lock();
		const char *const *d = differing[i];

		assert_int_equal(add(lock, URL "a.conda", SUM, "a", "1", "h"),
				 0);
		assert_int_equal(add(lock, d[0], d[1], "a", d[2], d[3]), 0);
		assert_int_equal(aq_lock_finish(lock, NULL), AQ_CORRUPT);
	}
}

static void improper_items_are_refused(void **state)
{
	static const char *const bad[][5] = {
		{ "ftp://x/a", SUM, "a", "1", "h" },
		{ "https://u:p@x/a", SUM, "a", "1", "h" },
		{ "https://x/a b", SUM, "a", "1", "h" },
		{ "https://x/a\n", SUM, "a", "1", "h" },
		{ "https://x/\xc3\xa4", SUM, "a", "1", "h" },
		{ "", SUM, "a", "1", "h" },
		{ "/etc/passwd", SUM, "a", "1", "h" },
		{ "file://host/a", SUM, "a", "1", "h" },
		{ URL "a", SUM, "", "1", "h" },
		{ URL "a", SUM, "-a", "1", "h" },
		{ URL "a", SUM, "../a", "1", "h" },
		{ URL "a", SUM, "a/b", "1", "h" },
		{ URL "a", SUM, "a b", "1", "h" },
		{ "https://h/t/token/a", SUM, "a", "1", "h" },
		{ URL "a", SUM, "a", "", "h" },
		{ URL "a", SUM, "a", "1\n", "h" },
		{ URL "a", SUM, "a", "1", "" },
		{ URL "a", SUM, "a", "1", "h\x7f" },
		{ URL "a", SUM, "a", "1\"", "h" },
		{ URL "a\\", SUM, "a", "1", "h" },
		{ URL "a", "", "a", "1", "h" },
		{ URL "a", "0123", "a", "1", "h" },
		{ URL "a", "X123456789abcdef0123456789abcdef0123456789abcdef"
			   "0123456789abcdef", "a", "1", "h" },
	};
	cleanup_lock struct aq_lock *lock = new_lock();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (add(lock, bad[i][0], bad[i][1], bad[i][2], bad[i][3],
			bad[i][4]) != AQ_CORRUPT)
			fail_msg("item %zu was taken", i);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_CONDA, URL "a", SUM, "a",
				     "1", NULL, NULL), AQ_CORRUPT);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_WHEEL, URL "a", SUM, "a",
				     "1", "h", NULL), AQ_CORRUPT);
	assert_int_equal(lock->n_items, 0);
	/* an at sign further on is no credential */
	assert_int_equal(add(lock, "https://x/@s/a", SUM, "a", "1", "h"), 0);
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define GIT "git+https://h.example/p.git@" COMMIT

static void what_is_built_from_source_is_named_by_its_content(void **state)
{
	static const struct {
		enum aq_lock_kind kind;
		const char *url, *sum;
	} bad[] = {
		{ AQ_LOCK_VCS, GIT, SUM }, /* another commit */
		{ AQ_LOCK_VCS, GIT, "0123456789abcdef" },
		{ AQ_LOCK_VCS, "git+https://h.example/p.git@main", COMMIT },
		{ AQ_LOCK_VCS, "git+https://h.example/" COMMIT, COMMIT },
		{ AQ_LOCK_VCS, "git+https://u:p@h.example/p@" COMMIT, COMMIT },
		{ AQ_LOCK_VCS, "git+ssh://h.example/p@" COMMIT, COMMIT },
		{ AQ_LOCK_VCS, "https://h.example/p.git@" COMMIT, COMMIT },
		{ AQ_LOCK_SOURCE, "https://h.example/a.tar.gz", COMMIT },
		{ AQ_LOCK_SOURCE, GIT, SUM },
		{ AQ_LOCK_WHEEL, GIT, SUM },
	};
	cleanup_lock struct aq_lock *lock = new_lock(), *again = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (aq_lock_add(lock, bad[i].kind, bad[i].url, bad[i].sum, "a",
				"1", NULL, NULL) != AQ_CORRUPT)
			fail_msg("item %zu was taken", i);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_VCS, GIT "#subdirectory=s",
				     COMMIT, "b", "1", NULL, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_SOURCE,
				     "https://h.example/a.tar.gz", SUM, "a",
				     "1", NULL, NULL), 0);
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
	assert_non_null(strstr(lock->text, "\nsource https://h.example/a.tar.gz "
					   SUM " a 1\nvcs " GIT
					   "#subdirectory=s " COMMIT " b 1\n"));
	assert_int_equal(aq_lock_parse(lock->text, lock->text_len, &again,
				       NULL), 0);
	assert_string_equal(again->digest, lock->digest);
	assert_int_equal(aq_lock_count_python(again), 2);
}

static void improper_heads_are_refused(void **state)
{
	static const char *const virtuals[] = { "", "glibc", "__a\n", "__a ",
						"__a\tb", "__a  1",
					"__\xc3\xa4" };
	cleanup_lock struct aq_lock *python = new_lock(), *base = new_lock();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(virtuals); i++) {
		cleanup_lock struct aq_lock *lock = new_lock();

		aq_strv_add(&lock->virtuals, virtuals[i]);
		if (aq_lock_finish(lock, NULL) != AQ_CORRUPT)
			fail_msg("'%s' was taken", virtuals[i]);
	}
	python->python = strdup("3 .12");
	assert_int_equal(aq_lock_finish(python, NULL), AQ_CORRUPT);
	memcpy(base->base, "xyz", 4);
	assert_int_equal(aq_lock_finish(base, NULL), AQ_CORRUPT);
}

static void there_are_no_more_items_than_the_cap(void **state)
{
	cleanup_lock struct aq_lock *lock = new_lock();
	char name[16];

	(void)state;
	for (int i = 0; i < AQ_LOCK_ITEMS_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(add(lock, URL, SUM, name, "1", "h"), 0);
	}
	assert_int_equal(add(lock, URL, SUM, "p", "1", "h"), AQ_CORRUPT);
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
}

static int parse(const char *text, size_t len)
{
	struct aq_lock *lock = NULL;
	int rc = aq_lock_parse(text, len, &lock, NULL);

	if (rc)
		assert_null(lock);
	else
		assert_true(lock->text_len == len &&
			    memcmp(lock->text, text, len) == 0);
	aq_lock_free(lock);
	return rc;
}

#define HEAD "aq-lock 1\nplatform linux-64\n"

static void hostile_texts_are_refused(void **state)
{
	static const char *const texts[] = {
		"", "\n", "aq-lock 1\n", "aq-lock 2\nplatform linux-64\n",
		"aq-lock 1\nplatform \n", "aq-lock 1\nplatform ../x\n",
		"aq-lock 1\nplatform linux-64", HEAD "\n", HEAD "python\n",
		HEAD "python 3\npython 3\n", HEAD "python 3 4\n",
		HEAD "base x\n", HEAD "base " SUM "\nbase " SUM "\n",
		HEAD "base " SUM "\npython 3\n", HEAD "virtual \n",
		HEAD "virtual __b\nvirtual __a\n",
		HEAD "virtual __a\nvirtual __a\n", HEAD "something 1\n",
		HEAD "conda " URL "a " SUM " a 1\n",
		HEAD "conda " URL "a " SUM " a 1 h x\n",
		HEAD "wheel " URL "a " SUM " a 1 h\n",
		HEAD "conda " URL "a  " SUM " a 1 h\n",
		HEAD " conda " URL "a " SUM " a 1 h\n",
		HEAD "conda " URL "b " SUM " b 1 h\nconda " URL "a " SUM
		     " a 1 h\n",
		HEAD "conda " URL "a " SUM " a 1 h\r\n",
		HEAD "platform linux-64\n",
	};
	char nul[] = HEAD "python 3\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (parse(texts[i], strlen(texts[i])) != AQ_CORRUPT)
			fail_msg("text %zu was taken", i);
	assert_int_equal(parse(nul, strlen(nul)), 0);
	nul[15] = '\0';
	assert_int_equal(parse(nul, sizeof(nul) - 1), AQ_CORRUPT);
}

static void long_texts_are_refused(void **state)
{
	size_t len = AQ_LOCK_MAX + 1;
	cleanup_free char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	memcpy(text, HEAD, strlen(HEAD));
	text[len - 1] = '\n';
	assert_int_equal(parse(text, len), AQ_CORRUPT);
}

/* -- at random -- */

static unsigned int seed = 20240601;

static unsigned int below(unsigned int n)
{
	return (unsigned int)rand_r(&seed) % n;
}

static void random_word(char *ret, size_t size, const char *letters)
{
	size_t len = 1 + below((unsigned int)size - 1);

	for (size_t i = 0; i < len; i++)
		ret[i] = letters[below((unsigned int)strlen(letters))];
	ret[len] = '\0';
}

static void add_random(struct aq_lock *lock)
{
	static const char any[] = "abz019._+!~%=,<>[]{}|'";
	char url[64], name[12], version[12], build[12], sum[AQ_SHA256_HEX_SIZE];
	size_t len = (size_t)snprintf(url, sizeof(url), "%s",
				      below(2) ? "https://h/" : "file:///");

	random_word(url + len, sizeof(url) - len, any);
	random_word(name, sizeof(name), "abcXYZ09");
	random_word(version, sizeof(version), any);
	random_word(build, sizeof(build), any);
	for (size_t i = 0; i < sizeof(sum) - 1; i++)
		sum[i] = "0123456789abcdef"[below(16)];
	sum[sizeof(sum) - 1] = '\0';
	assert_int_equal(add(lock, url, sum, name, version,
			     below(2) ? build : NULL), 0);
}

static struct aq_lock *random_lock(void)
{
	struct aq_lock *lock = new_lock();

	if (below(2))
		lock->python = strdup("3.12.1");
	if (below(2))
		memcpy(lock->base, SUM, sizeof(SUM));
	for (unsigned int n = below(4); n; n--)
		aq_strv_add(&lock->virtuals, below(2) ? "__a" : "__b >=1 x");
	for (unsigned int n = below(12); n; n--)
		add_random(lock);
	return lock;
}

/* A byte changed, taken out or doubled: refused, or a lock that prints as
 * itself (parse() sees to that).
 */
static void disturb(const struct aq_lock *lock)
{
	size_t at = below((unsigned int)lock->text_len);
	cleanup_free char *text = malloc(lock->text_len + 1);

	assert_non_null(text);
	memcpy(text, lock->text, lock->text_len);
	text[at] = (char)below(256);
	(void)parse(text, lock->text_len);
	memcpy(text, lock->text, at);
	memcpy(text + at, lock->text + at + 1, lock->text_len - at - 1);
	(void)parse(text, lock->text_len - 1);
	memcpy(text, lock->text, at + 1);
	memcpy(text + at + 1, lock->text + at, lock->text_len - at);
	(void)parse(text, lock->text_len + 1);
}

static void what_is_printed_reads_back(void **state)
{
	unsigned long n = count_of("AQ_COUNT_LOCKS", 3000), finished = 0;

	(void)state;
	for (unsigned long i = 0; i < n; i++) {
		cleanup_lock struct aq_lock *lock = random_lock();

		if (aq_lock_finish(lock, NULL) != 0)
			continue; /* two of one package */
		finished++;
		assert_int_equal(parse(lock->text, lock->text_len), 0);
		disturb(lock);
	}
	assert_true(finished > n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_sorted_and_its_digest_names_it),
		cmocka_unit_test(two_of_one_package_are_refused),
		cmocka_unit_test(improper_items_are_refused),
		cmocka_unit_test(what_is_built_from_source_is_named_by_its_content),
		cmocka_unit_test(improper_heads_are_refused),
		cmocka_unit_test(there_are_no_more_items_than_the_cap),
		cmocka_unit_test(hostile_texts_are_refused),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(what_is_printed_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
