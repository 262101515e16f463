/* SPDX-License-Identifier: Apache-2.0 */
/* common/collect_run.c: a whole collection, on a cache with files. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/usage.h"
#include "tests/unit/cachedir.h"

#define MIB (1024 * 1024)

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		assert_int_equal(errno, EEXIST);
}

static void make_file(const char *path, size_t size)
{
	char *mem = malloc(size);

	assert_non_null(mem);
	memset(mem, 'x', size);
	scribble(path, 0, mem, size);
	free(mem);
}

/* The n-th environment: a MiB that the package cache has too.  It was used at
 * 1000 + n.
 */
static void add_env(const struct aq_conf *conf, unsigned int n)
{
	cleanup_store struct aq_store *store = NULL;
	struct sample *s = sample(n, 1);
	char path[512], pkg[512];

	snprintf(path, sizeof(path), "%s/work/pkgs", conf->cache_dir);
	make_dir(path);
	snprintf(path, sizeof(path), "%s/work/pkgs/p%u", conf->cache_dir, n);
	make_dir(path);
	snprintf(path, sizeof(path), "%s/work/pkgs/p%u/info", conf->cache_dir, n);
	make_dir(path);
	snprintf(pkg, sizeof(pkg), "%s/work/pkgs/p%u/f", conf->cache_dir, n);
	make_file(pkg, MIB);
	snprintf(path, sizeof(path), "%s/envs/%s", conf->cache_dir, s->env.name);
	make_dir(path);
	snprintf(path, sizeof(path), "%s/envs/%s/f", conf->cache_dir, s->env.name);
	assert_int_equal(link(pkg, path), 0);
	assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &store, NULL), 0);
	assert_int_equal(aq_manifest_write(conf, &s->env, &s->tie, s->lock, NULL), 0);
	assert_int_equal(aq_store_commit(store, &s->env, &s->tie, NULL), 0);
	sample_free(s);
}

static uint64_t size_of(const struct aq_conf *conf)
{
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;

	assert_int_equal(aq_usage_add_tree(&usage, AT_FDCWD, conf->cache_dir,
					   NULL), 0);
	return usage.total;
}

static bool is_there(const struct aq_conf *conf, const char *sub,
		     unsigned int n)
{
	struct sample *s = sample(n, 1);
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", conf->cache_dir, sub,
		 s->env.name);
	sample_free(s);
	return access(path, F_OK) == 0;
}

static void note_victim(const struct aq_victim *v, uint64_t frees, void *arg)
{
	(void)v;
	*(uint64_t *)arg += frees;
}

static void run(const struct aq_conf *conf, struct aq_collection *c)
{
	cleanup_close int lock = -1;
	struct aq_err err = { 0 };

	c->max_freed = UINT64_MAX;
	assert_int_equal(aq_collect_begin(conf, &lock, NULL), 0);
	if (aq_collect_run(conf, c, &err) != 0)
		fail_msg("%s", err.text);
	aq_plan_free(&c->plan);
}

static void no_more_goes_for_room_than_it_takes(void **state)
{
	struct aq_collection dry = { .is_dry_run = true }, c = { 0 };
	struct aq_conf *conf = *state;
	uint64_t before, told = 0;

	for (unsigned int n = 1; n <= 4; n++)
		add_env(conf, n);
	aq_collect_keep_reserve(conf);
	before = size_of(conf);
	conf->max_size = before - MIB - MIB / 2;
	/* by their rows all four together hold 44 bytes */
	run(conf, &dry);
	assert_int_equal(dry.n_gone, 2);
	assert_int_equal(size_of(conf), before);
	c.on_victim = note_victim;
	c.arg = &told;
	run(conf, &c);
	assert_int_equal(c.n_gone, 2);
	assert_int_equal(c.lacks, 0);
	assert_int_equal(c.freed, told);
	assert_int_equal(c.freed, dry.freed);
	assert_false(is_there(conf, "envs", 1) || is_there(conf, "envs", 2) ||
		     is_there(conf, "trash", 1));
	assert_true(is_there(conf, "envs", 3) && is_there(conf, "meta", 4));
	/* what it says is gone is gone; but for manifests, which it does not
	 * count
	 */
	assert_true(before - size_of(conf) >= c.freed + c.caches);
	assert_true(c.freed + c.caches > 2 * MIB);
	assert_true(size_of(conf) <= conf->max_size);
}

static void caches_go_before_environments(void **state)
{
	struct aq_collection c = { 0 };
	struct aq_conf *conf = *state;
	char path[512];

	add_env(conf, 1);
	snprintf(path, sizeof(path), "%s/work/pkgs/lone", conf->cache_dir);
	make_dir(path);
	snprintf(path, sizeof(path), "%s/work/pkgs/lone/info", conf->cache_dir);
	make_file(path, MIB);
	conf->max_size = size_of(conf) - MIB / 2;
	run(conf, &c);
	assert_int_equal(c.n_gone, 0);
	assert_int_equal(c.lacks, 0);
	assert_true(c.caches >= MIB);
	assert_true(is_there(conf, "envs", 1));
}

#define GIB (1024ll * MIB)

static void make_log(const struct aq_conf *conf, const char *name, off_t bytes,
		     time_t age)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - age } };
	char path[512];

	times[1] = times[0];
	snprintf(path, sizeof(path), "%s/logs/%s", conf->cache_dir, name);
	make_file(path, 0);
	assert_int_equal(truncate(path, bytes), 0); /* takes no room */
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool has_log(const struct aq_conf *conf, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/logs/%s", conf->cache_dir, name);
	return access(path, F_OK) == 0;
}

static void logs_go_when_they_are_old_or_too_much(void **state)
{
	const time_t month = 30 * 86400;
	struct aq_conf *conf = *state;
	uint64_t bytes = 0;

	make_log(conf, "gc.log", 1, 2 * month);
	make_log(conf, "old.log", 1, month + 10);
	make_log(conf, "younger.log", 1, month - 1000);
	assert_int_equal(aq_collect_traces(conf, &bytes, NULL), 0);
	assert_int_equal(bytes, 1);
	assert_true(has_log(conf, "gc.log") && has_log(conf, "younger.log"));
	assert_false(has_log(conf, "old.log"));
	make_log(conf, "new.log", GIB - MIB, 0);
	make_log(conf, "second.log", 2 * MIB, 10);
	assert_int_equal(aq_collect_traces(conf, &bytes, NULL), 0);
	assert_true(has_log(conf, "gc.log") && has_log(conf, "new.log"));
	assert_false(has_log(conf, "second.log") || has_log(conf, "younger.log"));
}

static bool has_lock(const struct aq_conf *conf, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/locks/%s", conf->run_dir, name);
	return access(path, F_OK) == 0;
}

static void make_progress(const struct aq_conf *conf, const char *key,
			  char path[512])
{
	snprintf(path, 512, "%s/builds/%s", conf->public_dir, key);
	make_file(path, 0);
}

static void locks_of_keys_go_unless_they_are_held(void **state)
{
	static const char *const free[] = { "key-b", "wait-b", "want-b",
					    "lock-b", "hold-b", "caches" };
	struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct aq_conf *conf = *state;
	cleanup_close int key = -1, want = -1;
	char a[512], b[512];
	uint64_t bytes = 0;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(free); i++) {
		cleanup_close int fd = -1;

		assert_int_equal(aq_flock_try(conf, free[i], AQ_FLOCK_SHARED,
					      &fd, NULL), 0);
	}
	assert_int_equal(aq_flock_try(conf, "key-a", AQ_FLOCK_SHARED, &key,
				      NULL), 0);
	assert_int_equal(aq_flock_try(conf, "want-a", AQ_FLOCK_SHARED, &want,
				      NULL), 0);
	assert_int_equal(flock(want, LOCK_UN), 0);
	assert_int_equal(fcntl(want, F_OFD_SETLK, &all), 0);
	make_progress(conf, "a", a);
	make_progress(conf, "b", b);
	assert_int_equal(aq_collect_traces(conf, &bytes, NULL), 0);
	for (size_t i = 0; i + 1 < ARRAY_LEN(free); i++)
		assert_false(has_lock(conf, free[i]));
	assert_true(has_lock(conf, "caches") && has_lock(conf, "key-a") &&
		    has_lock(conf, "want-a"));
	assert_int_equal(access(a, F_OK), 0);
	assert_int_not_equal(access(b, F_OK), 0);
	/* who gives one up takes its file away, unless others have it too */
	assert_int_equal(aq_flock_try(conf, "key-a", AQ_FLOCK_SHARED, &want,
				      NULL), 0);
	aq_flock_drop(conf, "key-a", &want);
	assert_true(has_lock(conf, "key-a") && want == -1);
	aq_flock_drop(conf, "key-a", &key);
	assert_false(has_lock(conf, "key-a"));
}

static void what_somebody_builds_with_stays(void **state)
{
	struct aq_collection c = { 0 };
	struct aq_conf *conf = *state;
	cleanup_close int builds = -1, lock = -1;
	char path[512];

	add_env(conf, 1);
	assert_int_equal(aq_flock_try(conf, AQ_FLOCK_CACHES, AQ_FLOCK_SHARED,
				      &builds, NULL), 0);
	/* files without a row: a builder has them for a moment */
	assert_int_equal(aq_flock_try(conf, AQ_FLOCK_LOCK
				      "0123456789abcdef0123456789abcdef",
				      AQ_FLOCK_EXCLUSIVE, &lock, NULL), 0);
	snprintf(path, sizeof(path), "%s/envs/0123456789abcdef0123-1",
		 conf->cache_dir);
	make_dir(path);
	conf->max_size = 1;
	run(conf, &c);
	assert_int_equal(c.n_gone, 1);
	assert_int_equal(c.n_orphans, 0);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/work/pkgs/p1/f", conf->cache_dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void what_lost_its_row_goes_unless_it_is_held(void **state)
{
	const struct aq_step step = { 1, 0, UINT32_MAX };
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_conf *conf = *state;
	struct sample *s = sample(1, 1);
	char path[512];
	uint64_t n = 0;

	snprintf(path, sizeof(path), "%s/envs/%s", conf->cache_dir, s->env.name);
	make_dir(path);
	{
		cleanup_store struct aq_store *store = NULL;

		assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &store,
					       NULL), 0);
	}
	assert_int_equal(aq_refs_open(conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_take(refs, &step, s->digest, NULL), 0);
	assert_int_equal(hold_hit(refs, &step, s->env.name, 5), 0);
	assert_int_equal(aq_collect_orphans(conf, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(aq_lease_remove(conf, &step, NULL), 0);
	assert_int_equal(aq_collect_orphans(conf, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_true(access(path, F_OK) < 0 && is_there(conf, "trash", 1));
	sample_free(s);
}

/* A collector is killed while it empties trash/: the next one goes on. */
static void trash_is_emptied_by_the_next_one(void **state)
{
	struct aq_collection c = { 0 };
	struct aq_conf *conf = *state;
	char path[512];
	int before = getpriority(PRIO_PROCESS, 0);

	snprintf(path, sizeof(path), "%s/trash/left", conf->cache_dir);
	make_dir(path);
	snprintf(path, sizeof(path), "%s/trash/left/f", conf->cache_dir);
	make_file(path, 1);
	run(conf, &c);
	assert_true(access(path, F_OK) < 0);
	/* somebody waits for this */
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

static bool at_once(void *arg)
{
	return ++*(int *)arg > 1;
}

static void one_collects_at_a_time(void **state)
{
	cleanup_close int one = -1, other = -1;
	struct aq_conf *conf = *state;
	int asked = 0;

	assert_int_equal(aq_collect_begin(conf, &one, NULL), 0);
	assert_int_equal(aq_collect_begin(conf, &other, NULL), AQ_BUSY);
	assert_int_equal(aq_collect_begin_after(conf, at_once, &asked, &other,
						NULL), AQ_BUSY);
	assert_int_equal(asked, 2);
	aq_close_fd(&one);
	assert_int_equal(aq_collect_begin_after(conf, at_once, &asked, &other,
						NULL), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_more_goes_for_room_than_it_takes),
		TEST(caches_go_before_environments),
		TEST(logs_go_when_they_are_old_or_too_much),
		TEST(locks_of_keys_go_unless_they_are_held),
		TEST(what_somebody_builds_with_stays),
		TEST(what_lost_its_row_goes_unless_it_is_held),
		TEST(trash_is_emptied_by_the_next_one),
		TEST(one_collects_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
