/* SPDX-License-Identifier: Apache-2.0 */
/* builder/seal while a process of the builder's is still there. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/seal_inside.h"
#include "common/io.h"
#include "common/walk.h"
#include "tests/unit/sealed.h"
#include "tests/unit/swap.h"

#define SEALS 200 /* of each race, unless AQ_COUNT_SEALS says otherwise */

/* evil, beside the prefix, is exchanged with something in it, as the builder. */
struct race {
	const char *what;
	maker *make;
	const char *from; /* from what is beside it */
};

static void race_set_uid(const struct prefix *p)
{
	put(p, "../evil", "");
	put(p, "bin/x", "");
	assert_int_equal(fchmodat(p->root, "../evil", 06777, 0), 0);
}
static void race_link(const struct prefix *p)
{
	put_link(p, "../evil", "../../out/secret");
	put(p, "bin/x", "");
}
static void race_hard_link(const struct prefix *p)
{
	put(p, "../evil", "");
	assert_int_equal(linkat(p->root, "../evil", p->root, "../linked", 0), 0);
	put(p, "bin/x", "");
}
static void race_dir(const struct prefix *p)
{
	put_dir(p, "share");
	put(p, "share/x", "");
	put_link(p, "../evil", "../out");
}
static void race_open_dir(const struct prefix *p)
{
	put_dir(p, "share");
	put_dir(p, "../evil");
	put(p, "../evil/x", "");
	assert_int_equal(fchmodat(p->root, "../evil", 0777, 0), 0);
}
static void race_prefix(const struct prefix *p)
{
	put_link(p, "../evil", "out");
}

/* What is sealed is root's and closed; what has another name is shared. */
static int find_bad(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	char target[256] = "";

	(void)arg;
	if (S_ISLNK(e->st->st_mode))
		(void)!readlinkat(e->dirfd, e->name, target, sizeof(target) - 1);
	if ((e->st->st_uid != 0 &&
	     (S_ISDIR(e->st->st_mode) || e->st->st_nlink == 1)) ||
	    (!S_ISLNK(e->st->st_mode) && (e->st->st_mode & 07222)) ||
	    strstr(target, "out"))
		return aq_fail(err, AQ_SYS, "'%s' is bad", e->path);
	return 0;
}

static void check_mode(int work, const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstatat(work, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, OTHER);
}

/* Beside the prefix, where the builder may make names as in work/envs; and
 * somebody's, of which nothing may change.
 */
static int make_outside(const struct aq_conf *conf)
{
	cleanup_free char *path = path_below(conf->cache_dir, "work");
	int work = -1;

	assert_int_equal(aq_open_dir(AT_FDCWD, path, &work, NULL), 0);
	assert_int_equal(fchown(work, BUILDER, BUILDER), 0);
	assert_int_equal(mkdirat(work, "out", 0750), 0);
	assert_int_equal(aq_write_file(work, "out/secret", "x", 1, NULL), 0);
	assert_int_equal(fchownat(work, "out", OTHER, OTHER, 0), 0);
	assert_int_equal(fchownat(work, "out/secret", OTHER, OTHER, 0), 0);
	return work;
}

static void lay_out(struct prefix *p, const struct race *r,
		    const struct aq_conf *conf, int work)
{
	static const char *const old[] = { "evil", "linked" };

	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		assert_int_equal(aq_remove_tree(work, old[i], NULL), 0);
	begin(p, conf);
	r->make(p);
}

/* How many of 'n' were sealed, or SIZE_MAX and what is wrong. */
static size_t race(const struct race *r, const struct aq_conf *conf, int work,
		   unsigned long n, struct aq_err *err)
{
	cleanup_free char *dir = path_below(conf->cache_dir, "work");
	struct prefix p;
	size_t sealed = 0;
	pid_t pid;

	lay_out(&p, r, conf, work);
	pid = swap_start(dir, r->from, "evil", BUILDER);
	for (unsigned long i = 0; i < n && sealed != SIZE_MAX; i++) {
		int rc = seal_it(&p, err);

		swap_pause(pid);
		if (!rc)
			rc = aq_walk(p.root, ".", find_bad, NULL, err) ? -1 : 0;
		sealed = rc == -1 ? SIZE_MAX : sealed + !rc;
		check_mode(work, "out", 0750);
		check_mode(work, "out/secret", 0600);
		end(&p);
		lay_out(&p, r, conf, work);
		swap_go_on(pid);
	}
	end(&p);
	swap_stop(pid);
	return sealed;
}

static const struct race races[] = {
	{ "set-uid", race_set_uid, NAME "/bin/x" },
	{ "link", race_link, NAME "/bin/x" },
	{ "hard link", race_hard_link, NAME "/bin/x" },
	{ "directory and link", race_dir, NAME "/share" },
	{ "directories", race_open_dir, NAME "/share" },
	{ "prefix", race_prefix, NAME },
};

static int race_all(void *arg)
{
	const struct aq_conf *conf = arg;
	cleanup_close int work = make_outside(conf);
	unsigned long n = count_of("AQ_COUNT_SEALS", SEALS);
	struct aq_err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(races); i++) {
		size_t sealed = race(&races[i], conf, work, n, &err);

		fprintf(stderr, "# %s: %zu of %lu sealed\n", races[i].what,
			sealed, n);
		if (sealed == SIZE_MAX) {
			fprintf(stderr, "# %s\n", err.text);
			return 1;
		}
	}
	return aq_remove_tree(work, "out", NULL);
}

/* The first race by who trusts a name that was just looked at: somebody's file is
 * another soon.
 */
static void a_name_is_exchanged_after_a_look(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *dir = NULL;
	cleanup_close int work = -1;
	struct prefix p;
	struct stat st;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	dir = path_below(conf->cache_dir, "work");
	work = make_outside(conf);
	lay_out(&p, &races[1], conf, work);
	pid = swap_start(dir, races[1].from, "evil", BUILDER);
	do {
		if (fstatat(p.root, "bin/x", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			(void)!fchmodat(p.root, "bin/x", 0444, 0);
		assert_int_equal(fstatat(work, "out/secret", &st, 0), 0);
	} while ((st.st_mode & 07777) == 0600);
	swap_stop(pid);
	end(&p);
	assert_int_equal(aq_remove_tree(work, "out", NULL), 0);
}

static void what_survived_changes_nothing(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(race_all(*state), 0);
	assert_int_equal(without_openat2(race_all, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(a_name_is_exchanged_after_a_look),
		TEST(what_survived_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
