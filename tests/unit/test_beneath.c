/* SPDX-License-Identifier: Apache-2.0 */
/* common/io's aq_open_below(), common/trust: where paths may lead. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/trust.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/swap.h"

#define USER 1234 /* somebody */

static char top[64];

static char *at(const char *name)
{
	return path_below(top, name);
}

static void make(const char *name)
{
	cleanup_free char *path = at(name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const char *name)
{
	cleanup_free char *path = at(name);

	scribble(path, 0, "x", 1);
	assert_int_equal(chmod(path, 0644), 0);
}

static void point(const char *name, const char *target)
{
	cleanup_free char *path = at(name);

	assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/aq-test-beneath-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	make("d");
	make("d/sub");
	make("d/sub/deep");
	make("out");
	make("out/deep");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return aq_remove_tree(AT_FDCWD, top, NULL);
}

/* -- aq_open_below -- */

static int open_top(const char *name)
{
	cleanup_free char *path = at(name);
	int fd = -1;

	assert_int_equal(aq_open_dir(AT_FDCWD, path, &fd, NULL), 0);
	return fd;
}

/* A digit for each that is not as it should be. */
static int try_paths(void *arg)
{
	static const struct {
		const char *path;
		int rc;
	} cases[] = {
		{ "", 0 }, { "sub", 0 }, { "sub/deep", 0 }, { "sub//deep/", 0 },
		{ "none", AQ_MISS }, { "sub/none/x", AQ_MISS },
		{ "file", AQ_SYS }, { "file/x", AQ_SYS },
		{ "link", AQ_SYS }, { "link/deep", AQ_SYS },
		{ "in/deep", AQ_SYS }, { "..", AQ_SYS },
		{ "sub/../sub", 0 }, { "../d", AQ_SYS },
		{ "sub/../../out", AQ_SYS }, { "/tmp", AQ_SYS },
		{ "ab", 0 }, { ".x", 0 }, { "x.", 0 }, { "..x", 0 },
	};
	cleanup_close int dir = open_top("d");
	bool has_none = arg != NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* part by part no ".." is taken, even where it is harmless */
		int wanted = has_none && strstr(cases[i].path, "../") ?
			AQ_SYS : cases[i].rc;
		cleanup_close int fd = -1;
		int rc = aq_open_below(dir, cases[i].path, &fd, NULL);

		if (rc != wanted || (fd >= 0) != !rc) {
			fprintf(stderr, "'%s': %d\n", cases[i].path, rc);
			return 1;
		}
	}
	return 0;
}

static void nothing_leads_out(void **state)
{
	(void)state;
	make("d/ab");
	make("d/.x");
	make("d/x.");
	make("d/..x");
	make_file("d/file");
	point("d/link", "../out");
	point("d/in", "sub");
	assert_int_equal(try_paths(NULL), 0);
	assert_int_equal(without_openat2(try_paths, top), 0);
}

/* "x" is a directory with "deep", whose inode 'arg' is, or a link to another. */
static int race(void *arg)
{
	unsigned long n = count_of("AQ_COUNT_SWAPS", SWAPS), found = 0, refused = 0;
	cleanup_close int dir = open_top("d");

	for (unsigned long i = 0; i < n || !found || !refused; i++) {
		cleanup_close int fd = -1;
		struct stat st;

		if (aq_open_below(dir, "x/deep", &fd, NULL) != 0) {
			refused++;
			continue;
		}
		if (fstat(fd, &st) < 0 || st.st_ino != *(ino_t *)arg)
			return 1;
		found++;
	}
	return 0;
}

/* As who trusts a path would open it: once it is the other's. */
static int race_naively(int dir, ino_t ino)
{
	for (unsigned long i = 0; i < 20UL * SWAPS; i++) {
		cleanup_close int fd = openat(dir, "x/deep",
					      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino != ino)
			return 0;
	}
	return 1;
}

static void swapped_links_are_not_followed(void **state)
{
	cleanup_free char *dir = at("d"), *deep = at("d/x/deep");
	cleanup_close int fd = open_top("d");
	struct stat st;
	pid_t pid;

	(void)state;
	make("d/x");
	make("d/x/deep");
	point("d/y", "../out");
	assert_int_equal(stat(deep, &st), 0);
	pid = swap_start(dir, "x", "y", 0);
	assert_int_equal(race(&st.st_ino), 0);
	assert_int_equal(without_openat2(race, &st.st_ino), 0);
	assert_int_equal(race_naively(fd, st.st_ino), 0);
	swap_stop(pid);
}

/* For ever: x is made a directory, then a link to out/. */
static void make_and_swap(int dir, const char *out, pid_t parent)
{
	while (getppid() == parent) {
		/* once the link was removed there are two directories */
		(void)!unlinkat(dir, "y", AT_REMOVEDIR);
		(void)!mkdirat(dir, "x", 0755);
		(void)!symlinkat(out, dir, "y");
		(void)!renameat2(dir, "x", dir, "y", RENAME_EXCHANGE);
	}
}

static void removing_touches_nothing_else(void **state)
{
	unsigned long n = count_of("AQ_COUNT_SWAPS", SWAPS);
	cleanup_free char *out = at("out"), *deep = at("out/deep");
	cleanup_close int dir = open_top("d");
	pid_t parent = getpid(), pid = fork();
	struct stat st;

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		make_and_swap(dir, out, parent);
		_exit(0);
	}
	for (unsigned long i = 0; i < n; i++)
		(void)!aq_remove_tree(dir, "x", NULL);
	assert_int_equal(stat(deep, &st), 0);
	/* who trusts the path removes what is elsewhere */
	for (unsigned long i = 0; i < 20UL * SWAPS; i++)
		if (unlinkat(dir, "x/deep", AT_REMOVEDIR) == 0)
			break;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_not_equal(stat(deep, &st), 0);
}

/* -- trust -- */

static int trust(const char *name)
{
	cleanup_free char *path = at(name);

	return aq_trust_path(path, NULL);
}

static void give(const char *name, uid_t uid, mode_t mode)
{
	cleanup_free char *path = at(name);

	assert_int_equal(lchown(path, uid, uid), 0);
	if (mode)
		assert_int_equal(chmod(path, mode), 0);
}

static void what_others_can_change_is_not_trusted(void **state)
{
	static const struct {
		uid_t uid;
		mode_t mode;
		int rc;
	} cases[] = {
		{ 0, 0755, 0 }, { 0, 0700, 0 }, { USER, 0755, AQ_SYS },
		{ USER, 0555, AQ_SYS }, { 0, 0775, AQ_SYS },
		{ 0, 0777, AQ_SYS }, { 0, 01777, 0 },
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	make_file("d/sub/file");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* any part of it counts */
		give("d", cases[i].uid, cases[i].mode);
		assert_int_equal(trust("d"), cases[i].rc);
		assert_int_equal(trust("d/sub"), cases[i].rc);
		assert_int_equal(trust("d/sub/file"), cases[i].rc);
		give("d", 0, 0755);
	}
	give("d/sub/file", 0, 0666);
	assert_int_equal(trust("d/sub/file"), AQ_SYS);
	give("d/sub/file", USER, 0444);
	assert_int_equal(trust("d/sub/file"), AQ_SYS);
	assert_int_equal(aq_trust_path("relative", NULL), AQ_SYS);
	assert_int_equal(aq_trust_path("", NULL), AQ_SYS);
}

static void links_are_trusted_with_what_they_name(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	point("good", "d/sub");
	point("absolute", top);
	point("chain", "good/deep");
	point("loop", "loop");
	assert_int_equal(trust("good"), 0);
	assert_int_equal(trust("good/../../out"), 0);
	assert_int_equal(trust("absolute/chain"), 0);
	assert_int_equal(trust("loop"), AQ_SYS);
	give("out", USER, 0);
	assert_int_equal(trust("good/../../out"), AQ_SYS);
	give("d/sub", 0, 0777);
	assert_int_equal(trust("chain"), AQ_SYS);
	give("d/sub", 0, 0755);
	/* whoever owns a link names another file by it tomorrow */
	give("good", USER, 0);
	assert_int_equal(trust("good"), AQ_SYS);
	assert_int_equal(trust("chain"), AQ_SYS);
}

static void what_is_not_there_is_trusted_where_only_root_makes_it(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(trust("d/none/below"), 0);
	give("d", 0, 01777);
	assert_int_equal(trust("d/sub"), 0);
	assert_int_equal(trust("d/none/below"), AQ_SYS);
	assert_int_equal(aq_trust_path("/tmp/aq-test-none", NULL), AQ_SYS);
	assert_int_equal(aq_trust_path("/dev/null", NULL), 0);
	assert_int_equal(aq_trust_path("/usr/bin/env", NULL), 0);
	/* another for each process */
	assert_int_equal(aq_trust_path("/proc/self/cwd", NULL), AQ_SYS);
	assert_int_equal(aq_trust_path("/dev/fd/3", NULL), AQ_SYS);
	assert_int_equal(aq_trust_path("/dev/stdin", NULL), AQ_SYS);
	assert_int_equal(aq_trust_path("/dev/shm/x", NULL), AQ_SYS);
}

/* What is too long to be judged whole is not judged by its beginning. */
static void what_is_too_long_is_not_trusted(void **state)
{
	char target[4001], path[4500], name[2000];

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(target); i++)
		target[i] = "d/../"[i % 5];
	target[sizeof(target) - 1] = '\0';
	point("long", target);
	assert_int_equal(trust("long"), 0);
	snprintf(path, sizeof(path), "long/%s%.300s", target, target);
	assert_int_equal(trust(path), AQ_SYS);
	memset(name, 'x', sizeof(name));
	name[NAME_MAX] = '\0';
	assert_int_equal(trust(name), 0); /* it is not there */
	name[NAME_MAX] = 'x';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(trust(name), AQ_SYS);
}

static void as_many_links_as_the_kernel_follows(void **state)
{
	char name[16], target[16] = "d";

	(void)state;
	if (geteuid() != 0)
		skip();
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		point(name, target);
		snprintf(target, sizeof(target), "%s", name);
	}
	assert_int_equal(trust("l40"), 0);
	assert_int_equal(trust("l41"), AQ_SYS);
}

static void every_part_counts_and_every_kind(void **state)
{
	cleanup_free char *fifo = at("fifo");

	(void)state;
	if (geteuid() != 0)
		skip();
	give("d/sub", 0, 0777);
	assert_int_equal(trust("d//sub"), AQ_SYS);
	assert_int_equal(trust("d/sub/"), AQ_SYS);
	give("d", 0, 01777);
	assert_int_equal(trust("d/"), 0); /* not what is not there in it */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(trust("fifo"), AQ_SYS);
}

static void what_lasts_is_in_no_sticky_directory(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(trust("d/sub"), 0);
	/* as it is below /tmp */
	assert_int_equal(aq_trust_lasting(top, NULL), AQ_SYS);
	assert_int_equal(aq_trust_lasting("/usr/bin/env", NULL), 0);
	assert_int_equal(aq_trust_lasting("/dev/null", NULL), 0);
	assert_int_equal(aq_trust_lasting("/usr/none", NULL), 0);
}

static void a_file_is_the_one_that_its_path_names(void **state)
{
	cleanup_free char *a = at("a"), *b = at("b"), *link = at("link");
	cleanup_close int fd = -1;

	(void)state;
	if (geteuid() != 0)
		skip();
	make_file("a");
	make_file("b");
	point("link", "a");
	fd = open(a, O_RDONLY | O_CLOEXEC);
	assert_int_equal(aq_trust_file(fd, a, NULL), 0);
	assert_int_equal(aq_trust_file(fd, b, NULL), AQ_SYS);
	assert_int_equal(aq_trust_file(fd, link, NULL), 0);
	give("link", USER, 0);
	assert_int_equal(aq_trust_file(fd, link, NULL), AQ_SYS);
}

static void a_directory_is_no_file(void **state)
{
	cleanup_free char *dir = at("d");
	cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(aq_trust_file(fd, dir, NULL), AQ_SYS);
}

static void what_is_read_is_text(void **state)
{
	cleanup_free char *path = at("text"), *dir = at("d");
	cleanup_str struct aq_str text = AQ_STR_INIT(100);

	(void)state;
	if (geteuid() != 0)
		skip();
	make_file("text");
	give("text", USER, 0644);
	assert_int_equal(aq_trust_read(path, AQ_TRUST_ROOTS, &text, NULL), AQ_SYS);
	assert_int_equal(aq_trust_read(path, AQ_TRUST_ANY, &text, NULL), 0);
	assert_string_equal(aq_str_get(&text), "x");
	assert_int_equal(aq_trust_read(dir, AQ_TRUST_ANY, &text, NULL), AQ_SYS);
	scribble(path, 0, "a\0b", 3);
	assert_int_equal(aq_trust_read(path, AQ_TRUST_ANY, &text, NULL), AQ_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(nothing_leads_out),
		TEST(swapped_links_are_not_followed),
		TEST(removing_touches_nothing_else),
		TEST(what_others_can_change_is_not_trusted),
		TEST(links_are_trusted_with_what_they_name),
		TEST(what_is_not_there_is_trusted_where_only_root_makes_it),
		TEST(what_is_too_long_is_not_trusted),
		TEST(as_many_links_as_the_kernel_follows),
		TEST(every_part_counts_and_every_kind),
		TEST(what_lasts_is_in_no_sticky_directory),
		TEST(a_file_is_the_one_that_its_path_names),
		TEST(a_directory_is_no_file),
		TEST(what_is_read_is_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
