/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, manifests, bases, references: everything that can be wrong, once. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/refs.h"
#include "common/sums.h"
#include "common/verify.h"
#include "tests/unit/prefixes.h"

/* -- rows and manifests -- */

static void a_row_without_manifest_or_files(void **state)
{
	const struct aq_conf *conf = *state;
	struct prefix p = prefix_make(conf, 1, NULL);
	cleanup_close int cache = -1;
	char envs[64];

	snprintf(envs, sizeof(envs), "envs/%s", p.s->env.name);
	assert_int_equal(aq_manifest_remove(conf, p.s->env.name, NULL), 0);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_MANIFEST, NULL,
	       "it has no manifest");
	assert_int_equal(aq_manifest_write(conf, &p.s->env, &p.s->tie, p.s->lock,
					   NULL), 0);
	assert_int_equal(aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, NULL), 0);
	assert_int_equal(aq_remove_tree(cache, envs, NULL), 0);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_PREFIX, NULL,
	       "its files are not there");
	assert_int_equal(symlinkat("../work", cache, envs), 0);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_PREFIX, NULL,
	       "its prefix is no directory");
	prefix_free(&p);
}

static void a_manifest_that_says_otherwise(void **state)
{
	static const struct {
		const char *sql, *text;
	} cases[] = {
		{ "UPDATE environments SET kind = 1", "another kind than" },
		{ "UPDATE environments SET python = '3.9.6'", "another Python than" },
		{ "UPDATE environments SET base = '0123456789abcdef0123-9'",
		  "another base than" },
		{ "UPDATE activations SET ops = x''", "another activation than" },
		{ "DELETE FROM requests", "does not know the request" },
	};
	struct prefix p = prefix_make(*state, 1, NULL);
	const char *name = p.s->env.name;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_store *store;

		run_sql(*state, cases[i].sql);
		prefix_expect(*state, name, false, AQ_FINDING_MANIFEST, NULL,
		       cases[i].text);
		store = open_store(*state);
		assert_int_equal(aq_store_remove(store, name, NULL), 0);
		assert_int_equal(aq_store_commit(store, &p.s->env, &p.s->tie,
						 NULL), 0);
		aq_store_close(store);
		prefix_expect_clean(*state, name);
	}
	/* it became a base: the row alone says so */
	run_sql(*state, "UPDATE environments SET kind = 3");
	prefix_expect_clean(*state, name);
	prefix_free(&p);
}

static void a_manifest_that_is_damaged(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *meta = path_below(conf->cache_dir, "meta");
	struct prefix p = prefix_make(conf, 1, NULL);
	cleanup_free char *dir = path_below(meta, p.s->env.name);
	cleanup_free char *activation = path_below(dir, "activation");

	scribble(activation, 0, "x", 1);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_MANIFEST, NULL,
	       "its manifest cannot be read");
	prefix_free(&p);
}

static void a_row_that_cannot_be_read(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	struct prefix other = prefix_make(*state, 2, NULL);

	run_sql(*state, "UPDATE environments SET lock = 'zz' || created"
			" WHERE created = 1001");
	prefix_expect(*state, p.s->env.name, false, AQ_FINDING_ROW, NULL,
	       "cannot be read");
	prefix_expect_clean(*state, other.s->env.name);
	prefix_free(&p);
	prefix_free(&other);
}

static void a_base_that_is_gone(void **state)
{
	struct prefix base = prefix_make(*state, 1, NULL);
	struct prefix p = prefix_make(*state, 2, base.s->env.name);
	struct aq_store *store;

	prefix_expect_clean(*state, p.s->env.name);
	store = open_store(*state);
	assert_int_equal(aq_store_remove(store, base.s->env.name, NULL), 0);
	aq_store_close(store);
	prefix_expect(*state, p.s->env.name, false, AQ_FINDING_BASE, NULL,
	       base.s->env.name);
	prefix_free(&base);
	prefix_free(&p);
}

/* -- without a row -- */

static void what_has_no_row_is_an_orphan_unless_it_is_built(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	struct prefix p = prefix_make(conf, 1, NULL);
	struct aq_store *store = open_store(conf);
	const char *name = p.s->env.name;
	char lock[128];
	int fd = -1;

	assert_int_equal(aq_store_remove(store, name, NULL), 0);
	aq_store_close(store);
	prefix_expect(conf, name, false, AQ_FINDING_ORPHAN, NULL, "whole manifest");
	snprintf(lock, sizeof(lock), AQ_FLOCK_LOCK "%s", p.s->env.lock);
	assert_int_equal(aq_flock_try(conf, lock, AQ_FLOCK_EXCLUSIVE, &fd, NULL),
			 0);
	assert_int_equal(prefix_look(conf, name, false, &f), AQ_MISS);
	close(fd);
	assert_int_equal(aq_manifest_remove(conf, name, NULL), 0);
	prefix_expect(conf, name, false, AQ_FINDING_ORPHAN, NULL, "without a manifest");
	assert_int_equal(prefix_look(conf, "0123456789abcdef0123-1", false, &f),
			 AQ_MISS);
	prefix_free(&p);
}

static void names_are_of_rows_manifests_and_files(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(AQ_VERIFY_NAMES_MAX);
	cleanup_free char *envs = path_below(conf->cache_dir, "envs");
	cleanup_free char *meta = path_below(conf->cache_dir, "meta");
	cleanup_free char *one = path_below(envs, "00000000000000000000-1");
	cleanup_free char *two = path_below(meta, "00000000000000000000-2");
	struct prefix p = prefix_make(conf, 1, NULL);

	assert_int_equal(mkdir(one, 0755), 0);
	assert_int_equal(mkdir(two, 0755), 0);
	assert_int_equal(aq_verify_names(conf, &names, NULL), 0);
	assert_int_equal(names.n, 3);
	assert_string_equal(names.v[0], "00000000000000000000-1");
	assert_string_equal(names.v[1], "00000000000000000000-2");
	assert_string_equal(names.v[2], p.s->env.name);
	prefix_expect(conf, names.v[1], false, AQ_FINDING_ORPHAN, NULL,
	       "without a row and without files");
	prefix_free(&p);
}

/* -- while somebody works -- */

struct collector {
	const struct aq_conf *conf;
	bool is_done;
};

static void collect_once(const char *env, void *arg)
{
	struct collector *c = arg;

	if (!c->is_done) {
		cleanup_store struct aq_store *store = open_store(c->conf);

		assert_int_equal(aq_store_remove(store, env, NULL), 0);
	}
	c->is_done = true;
}

static void what_is_collected_meanwhile_is_no_finding(void **state)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	struct prefix p = prefix_make(*state, 1, NULL);
	struct collector c = { *state, false };
	cleanup_verify struct aq_verify v = { .conf = *state,
					      .has_contents = true,
					      .tick = collect_once, .arg = &c };

	prefix_write(&p, "lib/p/a.py", "A = 2\n");
	assert_int_equal(aq_verify_env(&v, p.s->env.name, &f, NULL), 0);
	assert_true(c.is_done);
	assert_int_equal(f.n, 0);
	prefix_free(&p);
}

/* All of its files would seem to be a stranger's, and be repaired. */
static void an_account_that_is_not_found_is_an_error(void **state)
{
	struct aq_conf conf = *(const struct aq_conf *)*state;
	struct prefix p = prefix_make(*state, 1, NULL);
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	cleanup_verify struct aq_verify v = { .conf = &conf };
	char root[] = "root", nobody[] = "aq-no-such-account";
	struct aq_err err = { 0 };

	if (geteuid() != 0)
		skip();
	conf.builder_user = root;
	conf.probe_user = nobody;
	assert_int_equal(aq_verify_env(&v, p.s->env.name, &f, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "'aq-no-such-account'"));
	assert_int_equal(f.n, 0);
	conf.probe_user = root;
	assert_int_equal(aq_verify_env(&v, p.s->env.name, &f, &err), 0);
	prefix_free(&p);
}

/* -- the cache as a whole -- */

static void expect_cache(const struct aq_conf *conf, enum aq_finding_kind kind,
			 const char *text)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	const struct aq_verify v = { .conf = conf };
	struct aq_err err = { 0 };

	if (aq_verify_cache(&v, &f, &err) != 0)
		fail_msg("%s", err.text);
	if (!text) {
		prefix_say(&f);
		assert_int_equal(f.n, 0);
		return;
	}
	assert_int_equal(f.n, 1);
	assert_int_equal(f.v[0].kind, kind);
	if (!strstr(f.v[0].text, text))
		fail_msg("'%s' is not in '%s'", text, f.v[0].text);
}

static void the_database_itself(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	cleanup_free char *aside = path_below(conf->cache_dir,
					      "cache.db.corrupt-1");
	struct prefix p = prefix_make(conf, 1, NULL);

	expect_cache(conf, 0, NULL);
	run_sql(conf, "INSERT INTO keys VALUES('k', 'nowhere', 1, 1)");
	expect_cache(conf, AQ_FINDING_DATABASE,
		     "a row of 'keys' leads to no environment");
	run_sql(conf, "DELETE FROM keys WHERE env = 'nowhere'");
	scribble(path, 4096, "damage damage damage", 20);
	expect_cache(conf, AQ_FINDING_DATABASE, "cache.db is damaged");
	/* it is looked at, not set aside */
	assert_int_not_equal(access(aside, F_OK), 0);
	prefix_free(&p);
}

static void bases_and_their_marks(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *mark = path_below(conf->cache_dir, "meta/base-3.12");
	cleanup_free char *other = path_below(conf->cache_dir, "meta/base-3.9");
	struct prefix p = prefix_make(conf, 1, NULL);
	struct aq_store *store = open_store(conf);

	assert_int_equal(aq_store_base_set(store, "3.12", p.s->env.name, NULL),
			 0);
	aq_store_close(store);
	expect_cache(conf, 0, NULL);
	scribble(mark, 0, "x", 1);
	expect_cache(conf, AQ_FINDING_BASE, "names another environment");
	assert_int_equal(unlink(mark), 0);
	expect_cache(conf, AQ_FINDING_BASE, "has no mark");
	scribble(mark, 0, p.s->env.name, strlen(p.s->env.name));
	expect_cache(conf, 0, NULL);
	scribble(other, 0, "x", 1);
	expect_cache(conf, AQ_FINDING_BASE, "marks a base that has no row");
	prefix_free(&p);
}

static void references_name_environments(void **state)
{
	const struct aq_conf *conf = *state;
	const struct aq_step step = { 7, 0, UINT32_MAX };
	struct prefix p = prefix_make(conf, 1, NULL);
	struct aq_refs *refs = NULL;

	assert_int_equal(aq_refs_open(conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_take(refs, &step, p.s->digest, NULL), 0);
	assert_int_equal(hold_hit(refs, &step, p.s->env.name, 1), 0);
	expect_cache(conf, 0, NULL);
	assert_int_equal(hold_hit(refs, &step, "gone-1", 1), 0);
	expect_cache(conf, AQ_FINDING_REFERENCE,
		     "job 7 on node n1 uses 'gone-1', which is not there");
	assert_int_equal(aq_lease_remove(conf, &step, NULL), 0);
	expect_cache(conf, 0, NULL);
	aq_refs_close(refs);
	prefix_free(&p);
}

static void leftovers_are_counted(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *trash = path_below(conf->cache_dir, "trash/x");
	cleanup_free char *work = path_below(conf->cache_dir, "work/envs");
	cleanup_free char *half = path_below(work, "0123456789abcdef0123-1");
	struct prefix p = prefix_make(conf, 1, NULL);
	cleanup_free char *place = path_below(work, p.s->env.name);
	uint64_t n_trash, n_work;

	assert_int_equal(mkdir(trash, 0700), 0);
	assert_int_equal(mkdir(work, 0700), 0);
	assert_int_equal(mkdir(half, 0700), 0);
	assert_int_equal(mkdir(place, 0700), 0); /* of a base */
	assert_int_equal(aq_verify_leftovers(conf, &n_trash, &n_work, NULL), 0);
	assert_int_equal(n_trash, 1);
	assert_int_equal(n_work, 1);
	prefix_free(&p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_row_without_manifest_or_files),
		TEST(a_manifest_that_says_otherwise),
		TEST(a_manifest_that_is_damaged),
		TEST(a_row_that_cannot_be_read),
		TEST(a_base_that_is_gone),
		TEST(what_has_no_row_is_an_orphan_unless_it_is_built),
		TEST(names_are_of_rows_manifests_and_files),
		TEST(what_is_collected_meanwhile_is_no_finding),
		TEST(an_account_that_is_not_found_is_an_error),
		TEST(the_database_itself),
		TEST(bases_and_their_marks),
		TEST(references_name_environments),
		TEST(leftovers_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
