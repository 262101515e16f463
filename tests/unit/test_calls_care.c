/* SPDX-License-Identifier: Apache-2.0 */
/* What looks after a cache (verifying, repairing, collecting) with each call of the
 * C library failing once: nothing is taken for damaged that is not, nothing that is
 * whole is lost, and the next one does what was left undone.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/refs.h"
#include "common/repair.h"
#include "common/sums.h"
#include "tests/unit/calls.h"
#include "tests/unit/prefixes.h"

struct care {
	struct aq_conf *conf;
	struct prefix base, layer;
	unsigned int n; /* the last sample that was made */
};

static struct care begin_with(struct aq_conf *conf)
{
	struct care c = { .conf = conf, .n = 2 };
	cleanup_store struct aq_store *store = NULL;

	c.base = prefix_make(conf, 1, NULL);
	c.layer = prefix_make(conf, 2, c.base.s->env.name);
	store = open_store(conf);
	assert_int_equal(aq_store_base_set(store, "3.12", c.base.s->env.name,
					   NULL), 0);
	return c;
}

static void end(struct care *c)
{
	prefix_free(&c->base);
	prefix_free(&c->layer);
}

/* -- verifying -- */

/* What cannot be read at this moment is not damaged. */
static int expect_none(int rc, const struct aq_findings *f)
{
	prefix_say(f);
	if (f->n || f->n_left_out)
		fail_msg("nothing is damaged");
	return rc;
}

static int verify_cache(void *arg, struct aq_err *err)
{
	const struct care *c = arg;
	const struct aq_verify v = { .conf = c->conf };
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = aq_verify_cache(&v, &f, err);

	return expect_none(rc, &f);
}

static int verify_envs(void *arg, struct aq_err *err)
{
	const struct care *c = arg;
	cleanup_verify struct aq_verify v = { .conf = c->conf,
					      .has_contents = true };
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(16);
	uint64_t trash, work;
	int rc = aq_verify_names(c->conf, &names, err);

	for (size_t i = 0; !rc && i < names.n; i++) {
		cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;

		rc = expect_none(aq_verify_env(&v, names.v[i], &f, err), &f);
		if (rc == AQ_MISS)
			rc = 0; /* that is being built */
	}
	if (!rc)
		rc = aq_verify_leftovers(c->conf, &trash, &work, err);
	return rc;
}

/* A file that the package cache has too is builder_user's. */
static void share_a_file(struct care *c)
{
	cleanup_free char *data = path_below(c->layer.path, "lib/p/data");
	const struct passwd *nobody = getpwnam("nobody");

	if (geteuid() != 0 || !nobody)
		return; /* there is only one whose it can be */
	c->conf->builder_user = "nobody";
	assert_int_equal(chown(data, nobody->pw_uid, nobody->pw_gid), 0);
}

/* What has files and a manifest already, and no row yet, while its builder holds
 * *ret_fd.
 */
static void begin_to_build(const struct care *c, struct prefix *ret, int *ret_fd)
{
	cleanup_store struct aq_store *store = NULL;
	char lock[128];

	*ret = prefix_make(c->conf, 3, NULL);
	snprintf(lock, sizeof(lock), AQ_FLOCK_LOCK "%s", ret->s->lock->digest);
	assert_int_equal(aq_flock_try(c->conf, lock, AQ_FLOCK_EXCLUSIVE, ret_fd,
				      NULL), 0);
	store = open_store(c->conf);
	assert_int_equal(aq_store_remove_damaged(store, ret->s->env.name, NULL),
			 0);
}

static void what_is_whole_is_not_found_damaged(void **state)
{
	static const struct calls_part parts[] = {
		{ "the cache", verify_cache },
		{ "environments", verify_envs },
	};
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL, NULL };
	struct care c = begin_with(*state);
	cleanup_close int lock = -1;
	struct prefix half;

	share_a_file(&c);
	begin_to_build(&c, &half, &lock);
	calls_all_fail(&life, &c);
	/* which are few, and of which each looks like another damage */
	calls_each_fails(&life, &c, FAULT_READ, 1);
	calls_each_fails(&life, &c, FAULT_LOOK, 1);
	calls_each_fails(&life, &c, FAULT_LOCK, 1);
	prefix_free(&half);
	end(&c);
}

/* What does not fit into memory is no finding, and not passed over either; of too many
 * the number is kept.
 */
static void what_was_found_is_known_or_not(void **state)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	bool has_failed = true;

	(void)state;
	for (unsigned int n = 1; FAULTS_HAS_MEMORY && has_failed; n++) {
		aq_findings_free(&f);
		faults_arm(FAULT_MEMORY, n, false);
		aq_findings_add(&f, AQ_FINDING_SIZE, "p", "bin/p", "of %d", 1);
		has_failed = faults_disarm();
		assert_true(f.n || has_failed);
		assert_int_equal(aq_findings_done(&f, NULL), f.n ? 0 : AQ_SYS);
	}
	while (f.n < AQ_FINDINGS_MAX)
		aq_findings_add(&f, AQ_FINDING_SIZE, NULL, NULL, "one");
	aq_findings_add(&f, AQ_FINDING_SIZE, NULL, NULL, "one more");
	assert_int_equal(f.n_left_out, 1);
	assert_int_equal(aq_findings_done(&f, NULL), 0);
}

/* -- repairing -- */

static void damage(void *arg)
{
	const struct care *c = arg;
	cleanup_free char *old = path_below(c->conf->cache_dir,
					    "meta/base-3.9");

	run_sql(c->conf, "UPDATE environments SET size_own = 5");
	run_sql(c->conf, "INSERT OR REPLACE INTO keys VALUES('k', 'nowhere', 1, 1)");
	run_sql(c->conf, "DELETE FROM bases");
	scribble(old, 0, "x", 1);
}

static void expect_repaired(void *arg)
{
	const struct care *c = arg;
	const struct aq_verify v = { .conf = c->conf };
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;

	assert_int_equal(aq_verify_cache(&v, &f, NULL), 0);
	prefix_say(&f);
	assert_int_equal(f.n, 0);
	prefix_expect_clean(c->conf, c->base.s->env.name);
	prefix_expect_clean(c->conf, c->layer.s->env.name);
}

static int repair_cache(void *arg, struct aq_err *err)
{
	const struct care *c = arg;

	return aq_repair_cache(c->conf, err);
}

static int recount(void *arg, struct aq_err *err)
{
	const struct care *c = arg;
	int rc = aq_repair_recount(c->conf, c->base.s->env.name, err);

	return rc ? rc : aq_repair_recount(c->conf, c->layer.s->env.name, err);
}

/* The sums that its builder was killed before it wrote. */
static int count_anew(void *arg, struct aq_err *err)
{
	const struct care *c = arg;
	cleanup_str struct aq_str sums = AQ_STR_INIT(AQ_SUMS_MAX);
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	int rc = aq_sums_make(AT_FDCWD, c->layer.path, &sums, &usage, err);

	return rc ? rc : aq_sums_write(c->conf, c->layer.s->env.name, &sums, err);
}

static int adopt(void *arg, struct aq_err *err)
{
	const struct care *c = arg;

	return aq_repair_adopt(c->conf, c->layer.s->env.name, err);
}

static void a_repair_is_done_by_the_next_one(void **state)
{
	static const struct calls_part parts[] = {
		{ "adopt", adopt },
		{ "count anew", count_anew },
		{ "repair cache", repair_cache },
		{ "recount", recount },
	};
	const struct calls_life life = { parts, ARRAY_LEN(parts), damage,
					 expect_repaired };
	struct care c = begin_with(*state);

	calls_all_fail(&life, &c);
	end(&c);
}

/* One that is damaged: its package goes, and it, and what it is built again from
 * stays.
 */
static int take(void *arg, struct aq_err *err)
{
	struct care *c = arg;
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	cleanup_repair struct aq_repair r = { 0 };
	cleanup_strv struct aq_strv children = AQ_STRV_INIT(16);
	const char *name = c->layer.s->env.name;
	int rc = aq_repair_children(c->conf, name, &children, err);

	aq_findings_add(&f, AQ_FINDING_CONTENT, name, "lib/p/data", "it is damaged");
	if (!rc)
		rc = aq_repair_take(c->conf, name, &f, &r, err);
	if (!rc) {
		assert_true(r.has_manifest);
		assert_int_equal(r.n, 1);
		assert_string_equal(r.v[0].canonical, c->layer.s->canonical);
	}
	/* its row is gone: whoever took it did not come further */
	return rc == AQ_MISS ? 0 : rc;
}

static int sweep(void *arg, struct aq_err *err)
{
	struct care *c = arg;
	uint64_t n;

	return aq_collect_orphans(c->conf, &n, err);
}

static void make_one_to_take(void *arg)
{
	struct care *c = arg;

	if (access(c->layer.path, F_OK) == 0)
		return; /* that one still is there */
	prefix_free(&c->layer);
	c->layer = prefix_make(c->conf, ++c->n, c->base.s->env.name);
}

static void expect_taken(void *arg)
{
	const struct care *c = arg;
	cleanup_store struct aq_store *store = open_store(c->conf);
	bool is_there = true;

	assert_int_equal(aq_store_has_name(store, c->layer.s->env.name,
					   &is_there, NULL), 0);
	assert_false(is_there);
	assert_int_not_equal(access(c->layer.path, F_OK), 0);
	prefix_expect_clean(c->conf, c->base.s->env.name);
}

static void one_is_taken_away_or_stays(void **state)
{
	static const struct calls_part parts[] = { { "take", take },
						   { "sweep", sweep } };
	const struct calls_life life = { parts, ARRAY_LEN(parts),
					 make_one_to_take, expect_taken };
	struct care c = begin_with(*state);

	calls_all_fail(&life, &c);
	end(&c);
}

/* -- collecting -- */

/* A file, with the directories above it. */
static void add_file(const struct care *c, const char *sub, const char *text)
{
	cleanup_free char *path = path_below(c->conf->cache_dir, sub);

	for (char *s = path + strlen(c->conf->cache_dir);
	     (s = strchr(s + 1, '/'));) {
		*s = '\0';
		if (mkdir(path, 0755) < 0)
			assert_int_equal(errno, EEXIST);
		*s = '/';
	}
	scribble(path, 0, text, strlen(text));
}

/* Of the package caches: what nothing shares, by whoever was killed or is through;
 * and what stays.
 */
static const char *const goes[] = {
	"work/tmp/x/f",
	"work/wheels/.tmpA/f",
	"work/pkgs/lone/info/f",
	"work/pkgs/gone.conda",
	"work/pkgs/gone.tar.bz2",
	"work/checked/gone",
	"work/wheels/archive-v0/lone/f",
	"work/wheels/wheels-v5/pypi/a/pointer",
	"work/bytecode/3.12/lone/f",
	"trash/left/f",
};
static const char *const stays[] = {
	"work/pkgs/index/f",
	"work/pkgs/index.conda",
	"work/checked/index",
	"work/wheels/wheels-v5/pypi/b/pointer",
	"work/bytecode/pending/f",
};
#define POINTER_LINK "work/wheels/wheels-v5/pypi/a/link"

static void make_some_to_collect(void *arg)
{
	struct care *c = arg;
	cleanup_free char *link = path_below(c->conf->cache_dir, POINTER_LINK);
	char orphan[64];

	for (size_t i = 0; i < ARRAY_LEN(goes); i++)
		add_file(c, goes[i], "archive-v0/lone");
	for (size_t i = 0; i < ARRAY_LEN(stays); i++)
		add_file(c, stays[i], "archive-v0/other");
	if (symlink("../../../archive-v0/lone", link) < 0)
		assert_int_equal(errno, EEXIST);
	snprintf(orphan, sizeof(orphan), "envs/0123456789abcdef0123-%u/f",
		 ++c->n);
	add_file(c, orphan, "x");
	make_one_to_take(c);
}

static void expect_there(const struct care *c, const char *sub, bool is)
{
	cleanup_free char *path = path_below(c->conf->cache_dir, sub);
	struct stat st;

	if ((lstat(path, &st) == 0) != is)
		fail_msg("'%s' %s", sub, is ? "went" : "stayed");
}

static int collect(void *arg, struct aq_err *err)
{
	struct care *c = arg;
	struct aq_collection dry = { .is_dry_run = true, .max_freed = UINT64_MAX };
	struct aq_collection all = { .max_freed = UINT64_MAX };
	cleanup_close int lock = -1;
	int rc = aq_collect_begin(c->conf, &lock, err);

	if (!rc)
		rc = aq_collect_run(c->conf, &dry, err);
	aq_plan_free(&dry.plan);
	if (!rc)
		rc = aq_collect_run(c->conf, &all, err);
	aq_plan_free(&all.plan);
	if (!rc)
		aq_collect_note_end(c->conf);
	return rc;
}

static void expect_collected(void *arg)
{
	const struct care *c = arg;

	assert_int_equal(calls_entries(c->conf->cache_dir, "envs"), 1);
	/* when, and room for the journal, where the disk is full */
	assert_int_equal(calls_entries(c->conf->cache_dir, "trash"), 2);
	for (size_t i = 0; i < ARRAY_LEN(goes); i++)
		expect_there(c, goes[i], false);
	for (size_t i = 0; i < ARRAY_LEN(stays); i++)
		expect_there(c, stays[i], true);
	expect_there(c, POINTER_LINK, false);
	assert_int_equal(access(c->base.path, F_OK), 0);
	assert_int_not_equal(aq_collect_last(c->conf), 0);
	prefix_expect_clean(c->conf, c->base.s->env.name);
}

static void a_collection_is_ended_by_the_next_one(void **state)
{
	static const struct calls_part parts[] = { { "collect", collect } };
	const struct calls_life life = { parts, ARRAY_LEN(parts),
					 make_some_to_collect,
					 expect_collected };
	struct care c = begin_with(*state);

	c.conf->max_size = 1;
	calls_all_fail(&life, &c);
	end(&c);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_found_is_known_or_not),
		TEST(what_is_whole_is_not_found_damaged),
		TEST(a_repair_is_done_by_the_next_one),
		TEST(one_is_taken_away_or_stays),
		TEST(a_collection_is_ended_by_the_next_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
