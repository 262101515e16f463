/* SPDX-License-Identifier: Apache-2.0 */
/* builder/packages*.c: what an unpacked package may say of itself, and whose it is. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/packages.h"
#include "builder/run.h"
#include "common/io.h"

#define DIR "aq-x-1.0-0"
/* sha256sum of "x" */
#define SHA_X                                                                  \
	"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
#define FILE_X(path) "{\"_path\": \"" path "\", \"sha256\": \"" SHA_X "\"}"

static void put(const char *top, const char *path, const char *text)
{
	char whole[512];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/pkgs/" DIR "/%s", top, path);
	f = fopen(whole, "we");
	assert_non_null(f);
	assert_int_equal(fputs(text, f) < 0, 0);
	assert_int_equal(fclose(f), 0);
}

static void put_link(const char *top, const char *path, const char *target)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/pkgs/" DIR "/%s", top, path);
	assert_int_equal(symlink(target, whole), 0);
}

/* A package that has a/x, a/b, and the links a/l and site-packages/l to 'target',
 * s to a.
 */
static void begin(char top[64], const char *target)
{
	static const char *const dirs[] = { "pkgs", "pkgs/" DIR,
					    "pkgs/" DIR "/info",
					    "pkgs/" DIR "/a",
					    "pkgs/" DIR "/a/b",
					    "pkgs/" DIR "/site-packages" };
	char path[128];

	snprintf(top, 64, "/tmp/aq-packages.XXXXXX");
	assert_non_null(mkdtemp(top));
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	put(top, "a/x", "x");
	put_link(top, "a/l", target);
	put_link(top, "site-packages/l", target);
	put_link(top, "s", "a");
}

/* What is said of it, in 'said': 'name' of info/ holds 'text'. */
static void judge(const char *target, const char *name, const char *text,
		  char said[1024])
{
	cleanup_strv struct aq_strv dirs = AQ_STRV_INIT(4);
	cleanup_str struct aq_str out = AQ_STR_INIT(4096);
	char top[64], info[64];
	struct packages_judge p = { top, &dirs };
	struct aq_err err = { 0 };

	begin(top, target);
	if (strcmp(name, "paths.json") != 0 && strcmp(name, "files") != 0)
		put(top, "info/paths.json", "{\"paths\": []}");
	snprintf(info, sizeof(info), "info/%s", name);
	put(top, info, text);
	aq_strv_add(&dirs, DIR);
	if (packages_judge(&p, &out, &err) != 0)
		fail_msg("%s", err.text);
	snprintf(said, 1024, "%s", aq_str_get(&out));
	assert_int_equal(aq_remove_tree(AT_FDCWD, top, NULL), 0);
}

static void expect(const char *target, const char *name, const char *text,
		   const char *what)
{
	char said[1024];

	judge(target, name, text, said);
	if (*what ? !strstr(said, what) : *said)
		fail_msg("%s: '%s' instead of '%s'", text, said, what);
}

static void paths_stay_in_the_prefix(void **state)
{
	static const char *const bad[] = {
		"{\"paths\": [{\"_path\": \"../x\"}]}",
		"{\"paths\": [{\"_path\": \"a/../../x\"}]}",
		"{\"paths\": [{\"_path\": \"a/..\"}]}",
		"{\"paths\": [{\"_path\": \"/a\"}]}",
		"{\"paths\": [{\"_path\": \"\\u002e\\u002e/x\"}]}",
		/* parsers differ in which of two they take */
		"{\"paths\": [{\"_path\": \"a/x\", \"_path\": \"../x\"}]}",
		"{\"paths\": [], \"paths\": [{\"_path\": \"../x\"}]}",
		"{\"paths\": [{\"\\u005fpath\": \"../x\"}]}",
		"{\"paths\": [{\"_path\": \"a/x\", \"other\": \"/x\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect("x", "paths.json", bad[i],
		       "r " DIR " has a path that leads out of the prefix:");
	expect("x", "files", "a/x\n../x\n", "leads out of the prefix");
	expect("x", "files", "a/x\r\n/x\r\n", "leads out of the prefix");
	expect("x", "files", "a/x\na/..", "leads out of the prefix");
	expect("x", "files", "a//x\n", "an empty part");
	expect("x", "files", "./a/x\n", "an empty part");
	expect("x", "files", "a/./x\n", "an empty part");
	expect("x", "paths.json", "{\"paths\": [{\"_path\": \"a/x/\"}]}",
	       "an empty part");
	expect("x", "files", "a/x\n", "");
	expect("x", "paths.json",
	       "{\"paths\": [{\"_path\": \"a/x\", \"prefix_placeholder\": \"/opt/x\"}]}",
	       "");
	expect("x", "paths.json", "{\"paths\": []}", "");
}

static void an_index_says_each_thing_once_and_plainly(void **state)
{
	(void)state;
	expect("x", "paths.json",
	       "{\"paths\": [" FILE_X("a/x") "], \"paths\": [" FILE_X("s/x") "]}",
	       "hides something");
	expect("x", "paths.json",
	       "{\"paths\": [{\"_path\": \"a/x\", \"_path\": \"s/x\"}]}",
	       "hides something");
	expect("x", "paths.json",
	       "{\"paths\": [" FILE_X("a/x") ", {\"\\u005fpath\": \"s/x\"}]}",
	       "hides something");
	expect("x", "paths.json", "{\"paths\": [", "cannot be read");
	expect("x", "files", "", "");
	/* a letter that has to be escaped nowhere but in ASCII */
	expect("x", "paths.json", "{\"paths\": [{\"_path\": \"a/\\u00e9\"}]}",
	       "lacks");
}

static void files_are_the_packages_own_and_what_it_says(void **state)
{
	(void)state;
	expect("x", "paths.json", "{\"paths\": [" FILE_X("a/x") "]}", "");
	expect("x", "paths.json", "{\"paths\": [" FILE_X("s/x") "]}",
	       "only through a link");
	expect("x", "files", "s/x\n", "only through a link");
	expect("x", "paths.json", "{\"paths\": [" FILE_X("a/none") "]}", "lacks");
	expect("x", "paths.json",
	       "{\"paths\": [{\"_path\": \"a/x\", \"sha256\": \"" SHA_X "\"},"
	       " {\"_path\": \"info/paths.json\", \"sha256\": \"" SHA_X "\"}]}",
	       "d " DIR " has in the package cache another file");
}

static void links_stay_in_the_prefix(void **state)
{
	static const char *const bad[] = { "../..",	   "../../x",
					   "b/../../..",   "../x/../../y",
					   "./../../x",	   "..//../x",
					   "b/c/../../../../x",
					   "/proc/1",	   "/dev/fd/3",
					   "/usr/../x",	   "//x",
					   /* another package may have what
					    * is below it
					    */
					   "/",		   "/tmp",
					   "/./usr",	   "/usr/./lib",
					   "/usr//lib",	   "/proc",
					   "/dev/fd" };
	static const char *const good[] = { "x", "../x", "..", "../a/b", ".",
					    "../a/./x", "/dev/null",
					    "/usr/bin/env",
					    "/tmpx/of/others",
					    "/tmp/of/others" };
	static const char index[] = "{\"paths\": [{\"_path\": \"a/l\"}]}";
	char all[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect(bad[i], "paths.json", index, "r " DIR " has a link");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char said[1024];

		judge(good[i], "paths.json", index, said);
		assert_string_equal(said, "l " DIR " a/l\n");
	}
	/* a link of the node's own says nothing of where it leads */
	snprintf(all, sizeof(all), "/tmp/aq-all.%d", getpid());
	assert_int_equal(symlink("/", all), 0);
	expect(all, "paths.json", index, "has a link");
	assert_int_equal(unlink(all), 0);
}

/* What ".." leaves is to be no link of anybody's, and so is what it is in. */
static void what_a_link_leaves_is_said(void **state)
{
	static const struct {
		const char *target, *said;
	} cases[] = {
		{ "b/../x", "l " DIR " a/b/.\n" },
		{ "b/..", "l " DIR " a/b/.\n" },
		{ "b/../..", "l " DIR " a/b/.\nl " DIR " a/.\n" },
		{ "../share/x/../y", "l " DIR " share/x/.\n" },
		{ "../share//x/./..", "l " DIR " share/x/.\n" },
		{ "../c/d/../../e", "l " DIR " c/d/.\nl " DIR " c/.\n" },
	};
	static const char index[] = "{\"paths\": [{\"_path\": \"a/l\"}]}";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char said[1024], wanted[1024];

		judge(cases[i].target, "paths.json", index, said);
		snprintf(wanted, sizeof(wanted), "%sl " DIR " a/l\n",
			 cases[i].said);
		assert_string_equal(said, wanted);
	}
	expect("b\n/../x", "paths.json", index, "control characters");
	/* which is lib/pythonX.Y/site-packages/l in a prefix */
	expect("b/../x", "files", "site-packages/l\n",
	       "l " DIR " site-packages/b/.\n");
	expect("../etc/x", "files", "site-packages/l\n",
	       "l " DIR " site-packages/l\n");
	expect("../etc/d/../x", "files", "site-packages/l\n", "climbs out");
	expect("b/../../etc/d/../x", "files", "site-packages/l\n", "climbs out");
}

static void programs_have_names(void **state)
{
	(void)state;
	expect("x", "link.json",
	       "{\"noarch\": {\"entry_points\": [\"../x = a:b\"]}}",
	       "has a program whose name is a path");
	expect("x", "link.json",
	       "{\"noarch\": {\"type\": \"python\", \"entry_points\": [\"x = a.b:c\"]}}",
	       "");
}

/* -- packages_flatten -- */

static int flatten(const char *top, const char *url)
{
	struct aq_lock_item item = { .kind = AQ_LOCK_CONDA, .url = (char *)url };
	struct aq_lock lock = { .items = &item, .n_items = 1 };
	struct build *b = calloc(1, sizeof(*b));
	int rc;

	assert_non_null(b);
	snprintf(b->work, sizeof(b->work), "%s", top);
	b->lock = &lock;
	rc = packages_flatten(b, NULL);
	free(b);
	return rc;
}

/* Whether 'path' below pkgs leads to the package. */
static bool leads_back(const char *top, const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/pkgs/%s/" DIR "/a/x", top, path);
	return access(whole, F_OK) == 0;
}

static void a_channels_directory_is_the_cache(void **state)
{
	char top[64], path[128];

	(void)state;
	begin(top, "x");
	for (int again = 0; again < 2; again++)
		assert_int_equal(flatten(top, "http://h:80/c/noarch/p.conda"), 0);
	assert_true(leads_back(top, "http/h_80/c/noarch"));
	assert_int_equal(flatten(top, "file:///c/linux-64/p.conda"), 0);
	assert_true(leads_back(top, "file/c/linux-64"));
	/* no place that root would make is one of these */
	assert_int_equal(flatten(top, "http://h/../../x/p.conda"), 0);
	assert_int_equal(flatten(top, DIR "://x/y/p.conda"), 0);
	snprintf(path, sizeof(path), "%s/x", top);
	assert_int_equal(access(path, F_OK), -1);
	assert_false(leads_back(top, DIR "/x/y"));
	/* what somebody else made is left: a directory, a link elsewhere */
	assert_int_equal(flatten(top, "http://h:80/c/p.conda"), AQ_MISS);
	assert_int_equal(flatten(top, "http://h:80/c/noarch/d/p.conda"), AQ_MISS);
	snprintf(path, sizeof(path), "%s/pkgs/https", top);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(flatten(top, "https://h/c/p.conda"), AQ_MISS);
	assert_int_equal(aq_remove_tree(AT_FDCWD, top, NULL), 0);
}

/* -- packages_check -- */

#define SHA_OF_ANOTHER                                                         \
	"0000000000000000000000000000000000000000000000000000000000000001"

/* What these tests refuse is not asked about itself. */
int run_function(struct build *b, enum phase phase,
		 int (*fn)(void *arg, struct aq_str *out, struct aq_err *err),
		 void *arg, struct aq_str *out, struct aq_err *err)
{
	(void)b, (void)phase, (void)fn, (void)arg, (void)out;
	return aq_fail(err, AQ_USER, "it was looked at");
}

bool build_is_over(void *arg)
{
	(void)arg;
	return false;
}

/* The inode of the package. */
static unsigned long inode_of(const char *top)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/pkgs/" DIR, top);
	assert_int_equal(stat(path, &st), 0);
	return (unsigned long)st.st_ino;
}

/* A build of SHA_X's package looks at it; it is another's. */
static void expect_anothers(const char *top, bool is_anew)
{
	struct aq_lock_item item = { .kind = AQ_LOCK_CONDA,
				     .name = (char[]){ "aq-x" },
				     .version = (char[]){ "1.0" },
				     .build = (char[]){ "0" },
				     .sha256 = SHA_X };
	struct aq_lock lock = { .items = &item, .n_items = 1 };
	struct aq_conf conf = { .run_dir = (char *)(uintptr_t)top };
	struct build *b = calloc(1, sizeof(*b));
	struct aq_err err = { 0 };

	assert_non_null(b);
	snprintf(b->work, sizeof(b->work), "%s", top);
	b->lock = &lock;
	b->conf = &conf;
	b->builder.uid = geteuid();
	assert_int_equal(packages_check(b, is_anew, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "another archive's package is in"));
	assert_int_equal(b->verdict, BUILD_NOT_KEPT);
	assert_true(b->is_cache_bad);
	free(b);
}

static void what_is_anothers_stays_known_as_that(void **state)
{
	cleanup_str struct aq_str now = AQ_STR_INIT(256);
	cleanup_close int checked = -1;
	char top[64], path[128], known[128];

	(void)state;
	begin(top, "x");
	snprintf(path, sizeof(path), "%s/" PACKAGES_CHECKED, top);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(aq_open_dir(AT_FDCWD, path, &checked, NULL), 0);
	snprintf(known, sizeof(known), SHA_OF_ANOTHER " %lu\n", inode_of(top));
	assert_int_equal(aq_write_file(checked, DIR, known, strlen(known), NULL),
			 0);
	expect_anothers(top, false);
	expect_anothers(top, true);
	assert_int_equal(aq_read_file(checked, DIR, &now, NULL), 0);
	assert_string_equal(aq_str_get(&now), known);
	assert_int_equal(aq_remove_tree(AT_FDCWD, top, NULL), 0);
}

/* As rattler does while the build still links, or has linked. */
static void what_was_exchanged_is_not_known(void **state)
{
	/* a revision, and a SHA-256 whose first byte alone is not SHA_X's */
	static const char note[] = "\0\0\0\0\0\0\0\1\x2e\x71\x16\x42\xb7\x26\xb0\x44"
				   "\x01\x62\x7c\xa9\xfb\xac\x32\xf5\xc8\x53\x0f\xb1"
				   "\x90\x3c\xc4\xdb\x02\x25\x87\x17\x92\x1a\x48\x81";
	char top[64], path[128];
	cleanup_close int pkgs = -1;

	(void)state;
	begin(top, "x");
	snprintf(path, sizeof(path), "%s/" PACKAGES_CHECKED, top);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/locks", top);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/pkgs", top);
	assert_int_equal(aq_open_dir(AT_FDCWD, path, &pkgs, NULL), 0);
	assert_int_equal(aq_write_file(pkgs, DIR ".lock", note, sizeof(note) - 1,
				       NULL), 0);
	expect_anothers(top, false);
	snprintf(path, sizeof(path), "%s/" PACKAGES_CHECKED "/" DIR, top);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(aq_remove_tree(AT_FDCWD, top, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_stay_in_the_prefix),
		cmocka_unit_test(an_index_says_each_thing_once_and_plainly),
		cmocka_unit_test(files_are_the_packages_own_and_what_it_says),
		cmocka_unit_test(links_stay_in_the_prefix),
		cmocka_unit_test(what_a_link_leaves_is_said),
		cmocka_unit_test(programs_have_names),
		cmocka_unit_test(a_channels_directory_is_the_cache),
		cmocka_unit_test(what_is_anothers_stays_known_as_that),
		cmocka_unit_test(what_was_exchanged_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
