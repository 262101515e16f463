/* SPDX-License-Identifier: Apache-2.0 */
/* common/io, common/layout, common/flock: files, their rights and locks. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/flock.h"
#include "common/io.h"
#include "common/layout.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/child.h"

static int open_cache(const struct aq_conf *conf)
{
	int fd = -1;

	assert_int_equal(aq_open_dir(AT_FDCWD, conf->cache_dir, &fd, NULL), 0);
	return fd;
}

/* -- io -- */

static void files_are_read_as_they_were_written(void **state)
{
	cleanup_close int dir = open_cache(*state);
	cleanup_str struct aq_str s = AQ_STR_INIT(10), t = AQ_STR_INIT(4);
	static const mode_t masks[] = { 0, 077, 0777 };

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		mode_t old = umask(masks[i]);
		struct stat st;

		assert_int_equal(aq_write_file(dir, "f", "abcdefgh", 8, NULL),
				 0);
		umask(old);
		assert_int_equal(fstatat(dir, "f", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(unlinkat(dir, "f", 0), 0);
	}
	assert_int_equal(aq_write_file(dir, "f", "abcdefgh", 8, NULL), 0);
	assert_int_equal(aq_write_file(dir, "f", "a\0b", 3, NULL), 0);
	assert_int_equal(aq_read_file(dir, "f", &s, NULL), 0);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.s, "a\0b", 3);
	assert_int_equal(aq_write_file(dir, "f", "abcde", 5, NULL), 0);
	assert_int_equal(aq_read_file(dir, "f", &t, NULL), AQ_SYS);
	assert_int_equal(aq_read_file(dir, "g", &s, NULL), AQ_MISS);
}

/* Who has it open has the old one whole, and nothing else is left of the new one. */
static void a_file_is_replaced_all_or_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int dir = -1, old = -1;
	cleanup_str struct aq_str text = AQ_STR_INIT(16);
	char buf[8];

	assert_int_equal(aq_open_dir(AT_FDCWD, conf->run_dir, &dir, NULL), 0);
	assert_int_equal(aq_replace_file(dir, "f", "old", 3, NULL), 0);
	assert_int_equal(aq_open_file(dir, "f", &old, NULL), 0);
	assert_int_equal(aq_replace_file(dir, "f", "new", 3, NULL), 0);
	assert_int_equal(read(old, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "old", 3);
	assert_int_equal(aq_read_file(dir, "f", &text, NULL), 0);
	assert_string_equal(text.s, "new");
	assert_false(aq_is_still(old, dir, "f"));
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(aq_replace_file(dir, "d", "x", 1, NULL), AQ_SYS);
	assert_int_equal(faccessat(dir, "d.new", F_OK, 0), -1);
	assert_int_equal(faccessat(dir, "f.new", F_OK, 0), -1);
}

static void only_regular_files_of_ours_are_opened(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int dir = open_cache(conf);
	cleanup_str struct aq_str s = AQ_STR_INIT(100);
	int fd = -1;

	assert_int_equal(aq_write_file(dir, "file", "x", 1, NULL), 0);
	assert_int_equal(symlinkat("file", dir, "link"), 0);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(aq_read_file(dir, "link", &s, NULL), AQ_SYS);
	assert_int_equal(aq_read_file(dir, "fifo", &s, NULL), AQ_SYS);
	assert_int_equal(aq_read_file(dir, "envs", &s, NULL), AQ_SYS);
	assert_int_equal(aq_write_file(dir, "link", "x", 1, NULL), AQ_SYS);
	assert_int_equal(aq_open_own(dir, "link", &fd, NULL), AQ_SYS);
	assert_int_equal(aq_open_own(dir, "fifo", &fd, NULL), AQ_SYS);
	assert_int_equal(aq_open_own(dir, "envs", &fd, NULL), AQ_SYS);
	assert_int_equal(aq_open_dir(dir, "link", &fd, NULL), AQ_SYS);
	assert_int_equal(aq_open_dir(dir, "none", &fd, NULL), AQ_MISS);
	assert_int_equal(fd, -1);
}

static void locks_files_rights_are_put_right(void **state)
{
	cleanup_close int dir = open_cache(*state);
	cleanup_close int fd = -1, fd2 = -1;
	struct stat st;
	mode_t old = umask(0777);

	assert_int_equal(aq_open_own(dir, "own", &fd, NULL), 0);
	umask(old);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(aq_open_own(dir, "own", &fd2, NULL), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_full_disk_is_said(void **state)
{
	cleanup_close int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct aq_err err = { 0 };

	(void)state;
	assert_int_equal(aq_write_all(fd, "x", 1, &err), AQ_SYS);
	assert_int_equal(err.errnum, ENOSPC);
}

static void what_is_no_directory_is_not_opened(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int dir = open_cache(conf);
	char name[1000];
	int fd = -1;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(aq_write_file(dir, "file", "x", 1, NULL), 0);
	assert_int_equal(symlinkat(".", dir, "link"), 0);
	for (size_t i = 0; i < 2; i++) {
		struct aq_err err = { 0 };

		assert_int_equal(aq_open_dir(dir, i ? "link" : "file", &fd, &err),
				 AQ_SYS);
		assert_non_null(strstr(err.text, "name the directory itself"));
	}
	assert_int_equal(aq_open_dir(dir, name, &fd, NULL), AQ_SYS);
	assert_int_equal(aq_open_dir(dir, "none", &fd, NULL), AQ_MISS);
	assert_int_equal(fd, -1);
}

static void directories_are_ours_and_no_wider(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int dir = open_cache(conf);
	cleanup_free char *path = path_below(conf->cache_dir, "d");
	struct aq_err err = { 0 };

	assert_int_equal(aq_make_dir(dir, "d", 0750, &err), 0);
	assert_int_equal(mode_of(path), 0750);
	assert_int_equal(aq_make_dir(dir, "d", 0755, &err), 0);
	assert_int_equal(mode_of(path), 0750); /* the administrator's choice */
	assert_int_equal(aq_make_dir(dir, "d", 0700, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "chmod"));
	assert_int_equal(symlinkat("d", dir, "l"), 0);
	assert_int_equal(aq_make_dir(dir, "l", 0755, &err), AQ_SYS);
	assert_int_equal(aq_write_file(dir, "f", "", 0, &err), 0);
	assert_int_equal(aq_make_dir(dir, "f", 0755, &err), AQ_SYS);
	assert_int_equal(aq_make_dir(dir, "no/d", 0755, &err), AQ_SYS);
	if (geteuid() != 0)
		skip(); /* only root can give a directory away */
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(aq_make_dir(dir, "d", 0755, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "chown"));
}

/* -- removing -- */

static void trees_are_removed_with_no_link_followed(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int dir = open_cache(conf);
	cleanup_close int keep = -1;

	assert_int_equal(mkdirat(dir, "keep", 0700), 0);
	assert_int_equal(aq_open_dir(dir, "keep", &keep, NULL), 0);
	assert_int_equal(aq_write_file(keep, "f", "x", 1, NULL), 0);
	assert_int_equal(mkdirat(dir, "t", 0700), 0);
	assert_int_equal(mkdirat(dir, "t/a", 0700), 0);
	assert_int_equal(symlinkat("../../keep", dir, "t/a/link"), 0);
	assert_int_equal(symlinkat("keep", dir, "top"), 0);
	assert_int_equal(aq_write_file(dir, "t/a/f", "x", 1, NULL), 0);
	assert_int_equal(fchmodat(dir, "t/a", 0, 0), 0);
	assert_int_equal(fchmodat(dir, "t", 0500, 0), 0);
	assert_int_equal(aq_remove_tree(dir, "t", NULL), 0);
	assert_int_equal(aq_remove_tree(dir, "t", NULL), 0);
	assert_int_equal(aq_remove_tree(dir, "top", NULL), 0);
	assert_int_not_equal(faccessat(dir, "t", F_OK, 0), 0);
	assert_int_equal(faccessat(dir, "keep/f", F_OK, 0), 0);
}

/* Deeper than PATH_MAX and than the process has descriptors. */
static void deep_trees_are_removed(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int top = open_cache(conf);
	struct aq_err err = { 0 };
	static const char deep[] = "deep-down";
	struct rlimit old, few;
	int at = dup(top);

	for (int i = 0; i < 600; i++) {
		int next;

		assert_int_equal(mkdirat(at, deep, 0700), 0);
		/* names that the removal itself would choose */
		if (i < 3)
			assert_int_equal(aq_write_file(at, ".aq-deep-0", "", 0,
						       &err), 0);
		assert_int_equal(aq_open_dir(at, deep, &next, &err), 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 400;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	if (aq_remove_tree(top, deep, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_not_equal(faccessat(top, deep, F_OK, 0), 0);
}

/* -- layout -- */

static void the_layout_has_its_rights_under_any_umask(void **state)
{
	static const struct {
		const char *dir;
		unsigned int mode;
	} wanted[] = {
		{ "cache", 0755 }, { "cache/envs", 0755 },
		{ "cache/meta", 0700 }, { "cache/trash", 0700 },
		{ "run", 0700 }, { "run/leases", 0700 },
		{ "run/locks", 0700 }, { "run/jobs", 0700 },
		{ "run-public", 0755 },
	};
	static const mode_t masks[] = { 0, 022, 0777 };
	const struct aq_conf *conf = *state;

	for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
		cleanup_free char *deep = path_below(conf->cache_dir, "x/y");
		cleanup_free char *cache = path_below(deep, "cache");
		cleanup_free char *run = path_below(deep, "run");
		cleanup_free char *public = path_below(deep, "run-public");
		struct aq_conf c = *conf;
		cleanup_close int fd = open_cache(conf);
		mode_t old = umask(masks[m]);

		c.cache_dir = cache;
		c.run_dir = run;
		c.public_dir = public;
		assert_int_equal(aq_layout_prepare(&c, NULL), 0);
		assert_int_equal(aq_layout_prepare(&c, NULL), 0);
		umask(old);
		assert_int_equal(mode_of(deep), 0755);
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
			cleanup_free char *path =
				path_below(deep, wanted[i].dir);

			assert_int_equal(mode_of(path), wanted[i].mode);
		}
		assert_int_equal(aq_remove_tree(fd, "x", NULL), 0);
	}
}

static void a_layout_open_to_others_is_refused(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *meta = path_below(conf->cache_dir, "meta");
	struct aq_err err = { 0 };

	assert_int_equal(chmod(meta, 0755), 0);
	assert_int_equal(aq_layout_prepare(conf, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "'meta'"));
	assert_non_null(strstr(err.text, conf->cache_dir));
	assert_int_equal(chmod(meta, 0700), 0);
	assert_int_equal(chmod(conf->run_dir, 0755), 0);
	assert_int_equal(aq_layout_prepare(conf, &err), AQ_SYS);
	assert_int_equal(chmod(conf->run_dir, 0700), 0);
	assert_int_equal(aq_layout_prepare(conf, &err), 0);
}

/* -- locks -- */

static bool say_yes(void *arg)
{
	++*(int *)arg;
	return *(int *)arg >= 3;
}

static void locks_exclude_and_share(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int a = -1, b = -1, c = -1;
	int n = 0;

	assert_int_equal(aq_flock_try(conf, "l", AQ_FLOCK_SHARED, &a, NULL), 0);
	assert_int_equal(aq_flock_try(conf, "l", AQ_FLOCK_SHARED, &b, NULL), 0);
	assert_int_equal(aq_flock_try(conf, "l", AQ_FLOCK_EXCLUSIVE, &c, NULL),
			 AQ_BUSY);
	assert_int_equal(aq_flock_wait(conf, "l", AQ_FLOCK_EXCLUSIVE, say_yes,
				       &n, &c, NULL), AQ_BUSY);
	assert_int_equal(n, 3);
	assert_int_equal(c, -1);
	aq_close_fd(&a);
	aq_close_fd(&b);
	assert_int_equal(aq_flock_try(conf, "l", AQ_FLOCK_EXCLUSIVE, &c, NULL),
			 0);
	assert_int_equal(aq_flock_try(conf, "l", AQ_FLOCK_SHARED, &a, NULL),
			 AQ_BUSY);
	assert_int_equal(aq_flock_try(conf, "m", AQ_FLOCK_SHARED, &a, NULL), 0);
}

static void locks_stay_below_their_directory(void **state)
{
	static const char *const names[] = { "", ".", "..", "../x", "a/b" };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(aq_flock_try(*state, names[i],
					      AQ_FLOCK_SHARED, &fd, NULL),
				 AQ_SYS);
		assert_int_equal(aq_flock_wait(*state, names[i],
					       AQ_FLOCK_SHARED, NULL, NULL, &fd,
					       NULL), AQ_SYS);
	}
	assert_int_equal(fd, -1);
}

static bool lock(const void *conf)
{
	int fd;

	return aq_flock_try(conf, "l", AQ_FLOCK_EXCLUSIVE, &fd, NULL) == 0;
}

struct holder {
	pid_t pid;
	bool is_over;
};

static bool end_holder(void *arg)
{
	struct holder *h = arg;

	if (!h->is_over) {
		kill(h->pid, SIGKILL);
		assert_int_equal(waitpid(h->pid, NULL, 0), h->pid);
	}
	h->is_over = true;
	return false;
}

static void a_waiter_takes_over_from_the_dead(void **state)
{
	struct holder h = { .pid = hold_in_child(lock, *state) };
	cleanup_close int fd = -1;

	assert_int_equal(aq_flock_wait(*state, "l", AQ_FLOCK_EXCLUSIVE,
				       end_holder, &h, &fd, NULL), 0);
	assert_true(h.is_over);
	assert_true(fd >= 0);
}

/* Whoever holds the lock is the only one, though each removes its file. */
static void removed_lock_files_exclude_too(void **state)
{
	const struct aq_conf *conf = *state;
	unsigned long n = count_of("AQ_COUNT_STORE_LOAD", 20);
	cleanup_free char *inside = path_below(conf->run_dir, "inside");
	cleanup_free char *lock = path_below(conf->run_dir, "locks/l");
	pid_t pids[6];

	for (size_t p = 0; p < ARRAY_LEN(pids); p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (pids[p])
			continue;
		for (unsigned long i = 0; i < n;) {
			cleanup_close int fd = -1;
			int rc = aq_flock_try(conf, "l", AQ_FLOCK_EXCLUSIVE,
					      &fd, NULL);

			if (rc == AQ_BUSY) {
				sched_yield();
				continue;
			}
			if (rc || mkdir(inside, 0700) || rmdir(inside) ||
			    unlink(lock))
				_exit(1);
			i++;
		}
		_exit(0);
	}
	for (size_t p = 0; p < ARRAY_LEN(pids); p++) {
		int status = 0;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_read_as_they_were_written),
		TEST(a_file_is_replaced_all_or_nothing),
		TEST(only_regular_files_of_ours_are_opened),
		TEST(locks_files_rights_are_put_right),
		TEST(a_full_disk_is_said),
		TEST(what_is_no_directory_is_not_opened),
		TEST(directories_are_ours_and_no_wider),
		TEST(trees_are_removed_with_no_link_followed),
		TEST(deep_trees_are_removed),
		TEST(the_layout_has_its_rights_under_any_umask),
		TEST(a_layout_open_to_others_is_refused),
		TEST(locks_exclude_and_share),
		TEST(locks_stay_below_their_directory),
		TEST(a_waiter_takes_over_from_the_dead),
		TEST(removed_lock_files_exclude_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
