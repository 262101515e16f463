/* SPDX-License-Identifier: Apache-2.0 */
/* What is put right without a builder, and what a builder needs to do the rest. */
#include "tests/unit/unit.h"

#include <fcntl.h>
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
#include "common/verify.h"
#include "tests/unit/prefixes.h"

static bool is_there(const struct aq_conf *conf, const char *sub,
		     const char *name)
{
	cleanup_free char *dir = path_below(conf->cache_dir, sub);
	cleanup_free char *path = path_below(dir, name);

	return access(path, F_OK) == 0;
}

/* -- choosing -- */

static enum aq_repair_how choose(enum aq_finding_kind a, enum aq_finding_kind b)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;

	aq_findings_add(&f, a, NULL, NULL, "x");
	aq_findings_add(&f, b, NULL, NULL, "x");
	return aq_repair_choose(&f);
}

static void what_is_chosen(void **state)
{
	struct aq_findings none = AQ_FINDINGS_INIT;

	(void)state;
	assert_int_equal(aq_repair_choose(&none), AQ_REPAIR_NONE);
	none.n_left_out = 1;
	assert_int_equal(aq_repair_choose(&none), AQ_REPAIR_REBUILD);
	assert_int_equal(choose(AQ_FINDING_SIZE, AQ_FINDING_SIZE),
			 AQ_REPAIR_RECOUNT);
	assert_int_equal(choose(AQ_FINDING_SIZE, AQ_FINDING_ARCHIVE),
			 AQ_REPAIR_RECOUNT);
	assert_int_equal(choose(AQ_FINDING_ARCHIVE, AQ_FINDING_ARCHIVE),
			 AQ_REPAIR_ARCHIVE);
	assert_int_equal(choose(AQ_FINDING_SIZE, AQ_FINDING_MISSING),
			 AQ_REPAIR_REBUILD);
	assert_int_equal(choose(AQ_FINDING_ORPHAN, AQ_FINDING_ORPHAN),
			 AQ_REPAIR_ADOPT);
	assert_int_equal(choose(AQ_FINDING_ROW, AQ_FINDING_ROW),
			 AQ_REPAIR_ADOPT);
}

/* -- without building -- */

static void a_wrong_size_is_counted_anew(void **state)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	struct prefix p = prefix_make(*state, 1, NULL);

	run_sql(*state, "UPDATE environments SET size_own = 5");
	assert_int_equal(prefix_look(*state, p.s->env.name, true, &f), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0].kind, AQ_FINDING_SIZE);
	assert_int_equal(aq_repair_recount(*state, p.s->env.name, NULL), 0);
	prefix_expect_clean(*state, p.s->env.name);
	prefix_free(&p);
}

static void an_archive_that_is_damaged_goes(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	cleanup_free char *path = path_below(conf->cache_dir,
					     "work/pkgs/p-1.conda");
	struct prefix p = prefix_make(conf, 1, NULL);

	scribble(path, 0, "x", 1);
	assert_int_equal(prefix_look(conf, p.s->env.name, true, &f), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(aq_repair_archives(conf, &f, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	prefix_expect_clean(conf, p.s->env.name);
	prefix_free(&p);
}

static void a_whole_one_without_a_row_gets_it(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	struct aq_store *store = open_store(*state);
	cleanup_env struct aq_env *env = NULL;

	assert_int_equal(aq_store_remove(store, p.s->env.name, NULL), 0);
	assert_int_equal(aq_repair_adopt(*state, p.s->env.name, NULL), 0);
	prefix_expect_clean(*state, p.s->env.name);
	assert_int_equal(aq_store_find_key(store, p.s->key, &env, NULL), 0);
	assert_string_equal(env->name, p.s->env.name);
	aq_store_close(store);
	prefix_free(&p);
}

static void a_row_that_cannot_be_read_is_made_anew(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	struct sample *other = sample(9, 1);
	struct aq_store *store = open_store(*state);
	cleanup_env struct aq_env *env = NULL;

	/* another request that led to it */
	assert_int_equal(aq_store_bind(store, p.s->env.name, &other->tie, NULL),
			 0);
	assert_int_equal(aq_store_base_set(store, "3.12", p.s->env.name, NULL),
			 0);
	run_sql(*state, "UPDATE environments SET lock = 'zz'");
	assert_int_equal(aq_repair_adopt(*state, p.s->env.name, NULL), 0);
	prefix_expect_clean(*state, p.s->env.name);
	assert_int_equal(aq_store_find_key(store, other->key, &env, NULL), 0);
	assert_string_equal(env->name, p.s->env.name);
	aq_store_close(store);
	sample_free(other);
	prefix_free(&p);
}

static void without_a_manifest_only_removing_is_left(void **state)
{
	const struct aq_conf *conf = *state;
	struct prefix p = prefix_make(conf, 1, NULL);
	const struct aq_step step = { 7, 0, UINT32_MAX };
	struct aq_store *store = open_store(conf);
	struct aq_refs *refs = NULL;
	uint64_t n = 0;
	char lock[128];
	int fd = -1;

	assert_int_equal(aq_store_remove(store, p.s->env.name, NULL), 0);
	aq_store_close(store);
	assert_int_equal(aq_manifest_remove(conf, p.s->env.name, NULL), 0);
	assert_int_equal(aq_repair_adopt(conf, p.s->env.name, NULL), AQ_CORRUPT);
	/* unless somebody makes it */
	snprintf(lock, sizeof(lock), AQ_FLOCK_LOCK "%s", p.s->env.lock);
	assert_int_equal(aq_flock_try(conf, lock, AQ_FLOCK_EXCLUSIVE, &fd, NULL),
			 0);
	assert_int_equal(aq_collect_orphan(conf, p.s->env.name, false, NULL),
			 AQ_BUSY);
	close(fd);
	/* or a step still runs in it */
	assert_int_equal(aq_refs_open(conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_take(refs, &step, p.s->digest, NULL), 0);
	assert_int_equal(hold_hit(refs, &step, p.s->env.name, 1), 0);
	assert_int_equal(aq_collect_orphan(conf, p.s->env.name, false, NULL),
			 AQ_BUSY);
	assert_int_equal(aq_lease_remove(conf, &step, NULL), 0);
	aq_refs_close(refs);
	assert_true(is_there(conf, "envs", p.s->env.name));
	assert_int_equal(aq_collect_orphans(conf, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_false(is_there(conf, "envs", p.s->env.name));
	assert_true(is_there(conf, "trash", p.s->env.name));
	prefix_free(&p);
}

/* -- the cache -- */

static void the_cache_as_a_whole(void **state)
{
	const struct aq_conf *conf = *state;
	const struct aq_verify v = { .conf = conf };
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	cleanup_free char *mark = path_below(conf->cache_dir, "meta/base-3.12");
	cleanup_free char *old = path_below(conf->cache_dir, "meta/base-3.9");
	struct prefix p = prefix_make(conf, 1, NULL);
	struct aq_store *store = open_store(conf);

	assert_int_equal(aq_store_base_set(store, "3.12", p.s->env.name, NULL),
			 0);
	aq_store_close(store);
	run_sql(conf, "INSERT INTO keys VALUES('k', 'nowhere', 1, 1)");
	assert_int_equal(unlink(mark), 0);
	scribble(old, 0, "x", 1);
	assert_int_equal(aq_repair_cache(conf, NULL), 0);
	assert_int_equal(aq_verify_cache(&v, &f, NULL), 0);
	assert_int_equal(f.n, 0);
	prefix_expect_clean(conf, p.s->env.name);
	/* a mark whose row was lost makes it again */
	run_sql(conf, "DELETE FROM bases");
	assert_int_equal(aq_repair_cache(conf, NULL), 0);
	assert_int_equal(aq_verify_cache(&v, &f, NULL), 0);
	assert_int_equal(f.n, 0);
	assert_int_equal(access(mark, F_OK), 0);
	prefix_free(&p);
}

static void a_damaged_database_is_set_aside(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	struct prefix p = prefix_make(conf, 1, NULL);

	scribble(path, 4096, "damage damage damage", 20);
	assert_int_equal(aq_repair_cache(conf, NULL), 0);
	assert_true(is_there(conf, ".", "cache.db.corrupt-1"));
	prefix_expect_clean(conf, p.s->env.name);
	prefix_free(&p);
}

/* -- taking away -- */

static void what_is_taken_can_come_back(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_repair struct aq_repair r = { 0 };
	cleanup_env struct aq_env *env = NULL;
	struct prefix p = prefix_make(conf, 1, NULL);
	struct sample *other[8]; /* some keys sort before its own */
	struct aq_store *store = open_store(conf);

	for (unsigned int i = 0; i < ARRAY_LEN(other); i++) {
		other[i] = sample(10 + i, 1);
		assert_int_equal(aq_store_bind(store, p.s->env.name,
					       &other[i]->tie, NULL), 0);
	}
	assert_int_equal(aq_store_base_set(store, "3.12", p.s->env.name, NULL),
			 0);
	assert_int_equal(aq_store_pin(store, p.s->env.name, true, NULL), 0);
	assert_int_equal(aq_repair_take(conf, p.s->env.name, NULL, &r, NULL), 0);
	assert_int_equal(aq_store_find_exact(store, p.s->env.name, &env, NULL),
			 AQ_MISS);
	assert_false(is_there(conf, "envs", p.s->env.name));
	assert_false(is_there(conf, "trash", p.s->env.name));
	/* what it is built from again, for the request that it was made for */
	assert_true(r.has_manifest);
	assert_true(is_there(conf, "meta", p.s->env.name));
	assert_int_equal(r.n, 1 + ARRAY_LEN(other));
	assert_string_equal(r.v[0].canonical, p.s->canonical);
	assert_string_equal(r.base_of, "3.12");
	assert_true(r.is_pinned);
	/* as a builder would */
	assert_int_equal(aq_store_commit(store, &p.s->env, &p.s->tie, NULL), 0);
	assert_int_equal(aq_repair_restore(conf, &r, p.s->env.name, NULL), 0);
	assert_int_equal(aq_store_find_key(store, other[7]->key, &env, NULL), 0);
	assert_string_equal(env->name, p.s->env.name);
	assert_true(env->pinned);
	assert_int_equal(env->kind, AQ_ENV_BASE);
	aq_store_close(store);
	for (unsigned int i = 0; i < ARRAY_LEN(other); i++)
		sample_free(other[i]);
	prefix_free(&p);
}

static void a_newer_one_stays_the_current(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_repair struct aq_repair r = { 0 };
	struct aq_err err = { 0 };
	struct prefix old = prefix_make(conf, 1, NULL);
	struct prefix new = prefix_make(conf, 2, NULL);
	struct aq_store *store = open_store(conf);

	assert_int_equal(aq_store_bind(store, new.s->env.name, &old.s->tie, NULL),
			 0);
	assert_int_equal(aq_store_pin(store, old.s->env.name, true, NULL), 0);
	assert_int_equal(aq_repair_take(conf, old.s->env.name, NULL, &r, &err),
			 AQ_BUSY);
	assert_non_null(strstr(err.text, "pinned"));
	assert_int_equal(aq_store_pin(store, old.s->env.name, false, NULL), 0);
	assert_int_equal(aq_repair_take(conf, old.s->env.name, NULL, &r, NULL),
			 0);
	assert_int_equal(r.n, 0); /* nothing asks for it */
	aq_store_close(store);
	prefix_free(&old);
	prefix_free(&new);
}

static void what_is_used_stays(void **state)
{
	const struct aq_conf *conf = *state;
	const struct aq_step step = { 7, 0, UINT32_MAX };
	cleanup_strv struct aq_strv children = AQ_STRV_INIT(16);
	cleanup_repair struct aq_repair r = { 0 };
	struct prefix base = prefix_make(conf, 1, NULL);
	struct prefix p = prefix_make(conf, 2, base.s->env.name);
	struct aq_refs *refs = NULL;
	char hold[64];
	int fd = -1;

	assert_int_equal(aq_repair_children(conf, base.s->env.name, &children,
					    NULL), 0);
	assert_int_equal(children.n, 1);
	assert_string_equal(children.v[0], p.s->env.name);
	/* inherited from */
	assert_int_equal(aq_repair_take(conf, base.s->env.name, NULL, &r, NULL),
			 AQ_BUSY);
	/* a step runs in what inherits */
	assert_int_equal(aq_refs_open(conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_take(refs, &step, p.s->digest, NULL), 0);
	assert_int_equal(hold_hit(refs, &step, p.s->env.name, 1), 0);
	assert_int_equal(aq_repair_children(conf, base.s->env.name, &children,
					    NULL), AQ_BUSY);
	assert_int_equal(aq_repair_take(conf, p.s->env.name, NULL, &r, NULL),
			 AQ_BUSY);
	assert_int_equal(aq_lease_remove(conf, &step, NULL), 0);
	aq_refs_close(refs);
	/* aq run, or a build over it */
	snprintf(hold, sizeof(hold), AQ_FLOCK_HOLD "%s", p.s->env.name);
	assert_int_equal(aq_flock_try(conf, hold, AQ_FLOCK_SHARED, &fd, NULL), 0);
	assert_int_equal(aq_repair_take(conf, p.s->env.name, NULL, &r, NULL),
			 AQ_BUSY);
	close(fd);
	prefix_expect_clean(conf, p.s->env.name);
	prefix_free(&base);
	prefix_free(&p);
}

static void the_package_cache_forgets_what_is_damaged(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	cleanup_repair struct aq_repair r = { 0 };
	cleanup_free char *other = path_below(conf->cache_dir,
					      "work/pkgs/q-1.0-h_0");
	cleanup_free char *file = path_below(conf->cache_dir,
					     "work/pkgs/q-1.0-h_0/file");
	struct prefix p = prefix_make(conf, 1, NULL);

	assert_int_equal(mkdir(other, 0755), 0);
	scribble(file, 0, "x", 1);
	prefix_write(&p, "lib/p/data", "data of q\n"); /* in place: of both */
	assert_int_equal(prefix_look(conf, p.s->env.name, true, &f), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(aq_repair_take(conf, p.s->env.name, &f, &r, NULL), 0);
	assert_false(is_there(conf, "work/pkgs", "p-1.0-h_0"));
	assert_true(is_there(conf, "work/pkgs", "q-1.0-h_0"));
	prefix_free(&p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_chosen),
		TEST(a_wrong_size_is_counted_anew),
		TEST(an_archive_that_is_damaged_goes),
		TEST(a_whole_one_without_a_row_gets_it),
		TEST(a_row_that_cannot_be_read_is_made_anew),
		TEST(without_a_manifest_only_removing_is_left),
		TEST(the_cache_as_a_whole),
		TEST(a_damaged_database_is_set_aside),
		TEST(what_is_taken_can_come_back),
		TEST(a_newer_one_stays_the_current),
		TEST(what_is_used_stays),
		TEST(the_package_cache_forgets_what_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
