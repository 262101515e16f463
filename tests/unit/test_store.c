/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base.h"
#include "common/store_inside.h"
#include "tests/unit/cachedir.h"

static void expect_same(const struct aq_env *a, const struct aq_env *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->lock, b->lock);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->base, b->base);
	assert_string_equal(a->python, b->python);
	assert_int_equal(a->created, b->created);
	assert_int_equal(a->uses, b->uses);
	assert_int_equal(a->build_ms, b->build_ms);
	assert_int_equal(a->size_own, b->size_own);
	assert_int_equal(a->size_shared, b->size_shared);
	assert_int_equal(a->pinned, b->pinned);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->ops_len, b->ops_len);
	assert_memory_equal(a->ops, b->ops, a->ops_len);
}

static int find(struct aq_store *store, const struct sample *s,
		struct aq_env **ret)
{
	return aq_store_find(store, s->tie.digest, s->tie.context,
			     s->tie.canonical, ret, NULL);
}

static void what_is_committed_is_found(void **state)
{
	struct sample *s = sample(1, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *a = NULL, *b = NULL, *c = NULL, *d = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(find(store, s, &a), AQ_MISS);
	assert_null(a);
	s->env.kind = AQ_ENV_INHERITED;
	s->env.pinned = true;
	snprintf(s->env.base, sizeof(s->env.base), "0123456789abcdef0123-1");
	commit_sample(store, s);
	assert_int_equal(find(store, s, &a), 0);
	expect_same(a, &s->env);
	assert_int_equal(aq_store_find_key(store, s->key, &b, &err), 0);
	expect_same(b, &s->env);
	assert_int_equal(aq_store_find_lock(store, s->env.lock, &c, &err), 0);
	expect_same(c, &s->env);
	assert_int_equal(aq_store_find_name(store, s->env.name, &d, &err), 0);
	expect_same(d, &s->env);
	sample_free(s);
}

/* The digest and the context are right; the request's bytes are another's. */
static void bytes_decide_not_the_digest(void **state)
{
	struct sample *s = sample(1, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *env = NULL;

	commit_sample(store, s);
	assert_int_equal(aq_store_find(store, s->digest, "context\n",
				       "request 2\n", &env, NULL), AQ_MISS);
	assert_int_equal(aq_store_find(store, s->digest, "other\n",
				       s->canonical, &env, NULL), AQ_MISS);
	assert_null(env);
	sample_free(s);
}

static void a_name_is_committed_once(void **state)
{
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *env = NULL;

	commit_sample(store, s);
	commit_sample(store, s); /* the very same */
	/* another of that name: nothing of it is kept */
	t->env = s->env;
	t->env.created++;
	assert_int_equal(aq_store_commit(store, &t->env, &t->tie, NULL),
			 AQ_BUSY);
	assert_int_equal(find(store, t, &env), AQ_MISS);
	/* a name that is not its lock's */
	t->env.generation = 2;
	assert_int_equal(aq_store_commit(store, &t->env, &t->tie, NULL),
			 AQ_SYS);
	snprintf(t->env.name, sizeof(t->env.name), "../../etc");
	assert_int_equal(aq_store_commit(store, &t->env, &t->tie, NULL),
			 AQ_SYS);
	sample_free(s);
	sample_free(t);
}

static void a_key_leads_to_what_was_tied_last(void **state)
{
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *a = NULL, *b = NULL;
	struct aq_err err = { 0 };

	commit_sample(store, s);
	t->tie = s->tie; /* another lock for the same request */
	commit_sample(store, t);
	assert_int_equal(find(store, s, &a), 0);
	assert_string_equal(a->name, t->env.name);
	assert_int_equal(aq_store_bind(store, s->env.name, &s->tie, &err), 0);
	assert_int_equal(aq_store_find_key(store, s->key, &b, &err), 0);
	assert_string_equal(b->name, s->env.name);
	assert_int_equal(aq_store_bind(store, "no-1", &s->tie, &err), AQ_MISS);
	sample_free(s);
	sample_free(t);
}

static void prefixes_of_names_are_names(void **state)
{
	struct sample *s = sample(1, 1), *t = sample(1, 12), *u = sample(2, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *a = NULL, *b = NULL;
	struct aq_err err = { 0 };
	char prefix[8] = "";

	commit_sample(store, s);
	commit_sample(store, t);
	commit_sample(store, u);
	/* "…-1" is a whole name, though "…-12" begins so too */
	assert_int_equal(aq_store_find_name(store, s->env.name, &a, &err), 0);
	assert_string_equal(a->name, s->env.name);
	memcpy(prefix, u->env.name, 7);
	assert_int_equal(aq_store_find_name(store, prefix, &b, &err), 0);
	assert_string_equal(b->name, u->env.name);
	memcpy(prefix, s->env.name, 7);
	assert_int_equal(aq_store_find_name(store, prefix, &b, &err), AQ_USER);
	assert_int_equal(aq_store_find_name(store, "", &b, &err), AQ_MISS);
	assert_int_equal(aq_store_find_name(store, "%", &b, &err), AQ_MISS);
	sample_free(s);
	sample_free(t);
	sample_free(u);
}

static void removing_takes_all_that_was_tied(void **state)
{
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *a = NULL, *b = NULL;
	struct aq_err err = { 0 };

	commit_sample(store, s);
	commit_sample(store, t);
	assert_int_equal(aq_store_remove(store, s->env.name, &err), 0);
	assert_int_equal(aq_store_remove(store, s->env.name, &err), AQ_MISS);
	assert_int_equal(find(store, s, &a), AQ_MISS);
	assert_int_equal(aq_store_find_key(store, s->key, &a, &err), AQ_MISS);
	assert_int_equal(find(store, t, &b), 0);
	commit_sample(store, s); /* and may come again */
	sample_free(s);
	sample_free(t);
}

static void uses_are_counted(void **state)
{
	struct sample *s = sample(1, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *env = NULL;
	struct aq_err err = { 0 };

	commit_sample(store, s);
	assert_int_equal(aq_store_used(store, s->env.name, 5000, &err), 0);
	assert_int_equal(aq_store_used(store, s->env.name, 6000, &err), 0);
	assert_int_equal(aq_store_used(store, "no-1", 6000, &err), AQ_MISS);
	assert_int_equal(find(store, s, &env), 0);
	assert_int_equal(env->uses, 2);
	assert_int_equal(env->last_used, 6000);
	sample_free(s);
}

/* One key, whose requests differ in their variables. */
static void the_oldest_requests_of_a_key_go(void **state)
{
	struct sample *s = sample(1, 1);
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_env struct aq_env *env = NULL, *last = NULL;
	struct aq_err err = { 0 };
	char digest[AQ_SHA256_HEX_SIZE];
	struct aq_binding tie = s->tie;

	commit_sample(store, s);
	tie.digest = digest;
	for (int i = 0; i < AQ_STORE_REQUESTS_MAX; i++) {
		snprintf(digest, sizeof(digest), "%064x", i);
		assert_int_equal(aq_store_bind(store, s->env.name, &tie, &err),
				 0);
	}
	assert_int_equal(find(store, s, &env), AQ_MISS);
	assert_int_equal(aq_store_find(store, digest, tie.context,
				       tie.canonical, &last, &err), 0);
	snprintf(digest, sizeof(digest), "%064x", 0);
	assert_int_equal(aq_store_find(store, digest, tie.context,
				       tie.canonical, &env, &err), 0);
	sample_free(s);
}

static int count_one(const struct aq_env *env, void *arg, struct aq_err *err)
{
	char *last = arg;

	(void)err;
	assert_true(strcmp(last, env->name) < 0);
	snprintf(last, AQ_ENV_NAME_SIZE, "%s", env->name);
	return 0;
}

static int stop(const struct aq_env *env, void *arg, struct aq_err *err)
{
	(void)env;
	++*(int *)arg;
	return aq_fail(err, AQ_BUSY, "stop");
}

static void each_comes_in_order(void **state)
{
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	char last[AQ_ENV_NAME_SIZE] = "";
	struct aq_err err = { 0 };
	int n = 0;

	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, count_one, last, &err), 0);
	assert_string_equal(last, "");
	for (unsigned int i = 0; i < 9; i++) {
		struct sample *s = sample(i, 1);

		commit_sample(store, s);
		sample_free(s);
	}
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, count_one, last, &err), 0);
	assert_string_not_equal(last, "");
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, stop, &n, &err), AQ_BUSY);
	assert_int_equal(n, 1);
}

/* -- generations -- */

static void generations_pass_over_what_lies_about(void **state)
{
	const struct aq_conf *conf = *state;
	struct sample *s = sample(1, 3);
	cleanup_store struct aq_store *store = must_open_store(conf, AQ_STORE_WRITE);
	static const char *const dirs[] = { "envs", "meta", "trash" };
	struct aq_err err = { 0 };
	uint32_t n = 0;

	assert_int_equal(aq_store_next_generation(store, s->env.lock, &n, &err),
			 0);
	assert_int_equal(n, 1);
	commit_sample(store, s);
	assert_int_equal(aq_store_next_generation(store, s->env.lock, &n, &err),
			 0);
	assert_int_equal(n, 4);
	for (uint32_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char name[128];
		cleanup_free char *path = NULL;

		snprintf(name, sizeof(name), "%s/%.20s-%u", dirs[i],
			 s->env.lock, 7 + i);
		path = path_below(conf->cache_dir, name);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(aq_store_next_generation(store, s->env.lock,
							  &n, &err), 0);
		assert_int_equal(n, 8 + i);
	}
	sample_free(s);
}

/* -- failures -- */

static void failures_are_remembered_for_a_time(void **state)
{
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	struct sample *s = sample(1, 1);
	const struct aq_err no = { .class = AQ_USER, .text = "no %s" };
	const struct aq_err fault = { .class = AQ_SYS, .text = "again" };
	struct aq_err err = { 0 };
	uint64_t left = 0;

	assert_int_equal(aq_store_fail_get(store, s->key, 100, &left, &err), AQ_MISS);
	assert_int_equal(aq_store_fail_put(store, s->key, &no, 100, 50, &err),
			 0);
	assert_int_equal(aq_store_fail_get(store, s->key, 149, &left, &err), AQ_USER);
	assert_string_equal(err.text, "no %s");
	assert_int_equal(left, 1);
	assert_int_equal(aq_store_fail_get(store, s->key, 150, &left, &err), AQ_MISS);
	/* a clock was set back */
	assert_int_equal(aq_store_fail_get(store, s->key, 99, &left, &err), AQ_MISS);
	assert_int_equal(aq_store_fail_put(store, s->key, &fault, 140, 50,
					   &err), 0);
	assert_int_equal(aq_store_fail_get(store, s->key, 150, &left, &err), AQ_SYS);
	assert_string_equal(err.text, "again");
	assert_int_equal(left, 40);
	commit_sample(store, s);
	assert_int_equal(aq_store_fail_get(store, s->key, 150, &left, &err), AQ_MISS);
	sample_free(s);
}

static void failures_have_a_cap(void **state)
{
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	const struct aq_err no = { .class = AQ_USER, .text = "no" };
	struct aq_err err = { 0 };
	uint64_t left;
	char key[32];

	for (int i = 0; i <= AQ_STORE_FAILURES_MAX; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(aq_store_fail_put(store, key, &no,
						   (uint64_t)i, 100000, &err),
				 0);
	}
	assert_int_equal(aq_store_fail_get(store, "0", 2000, &left, &err), AQ_MISS);
	assert_int_equal(aq_store_fail_get(store, "1", 2000, &left, &err), AQ_USER);
	assert_int_equal(aq_store_fail_get(store, key, 2000, &left, &err), AQ_USER);
}

static void sizes_are_summed_for_a_user(void **state)
{
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	struct sample *one = sample(1, 1), *other = sample(2, 1);
	uint64_t size = 1;

	assert_int_equal(aq_store_size(store, 0, &size, NULL), 0);
	assert_int_equal(size, 0);
	other->env.size_own = 100;
	commit_sample(store, one);
	commit_sample(store, other);
	assert_int_equal(aq_store_size(store, 0, &size, NULL), 0);
	assert_int_equal(size, 111);
	assert_int_equal(aq_store_size(store, 1002, &size, NULL), 0);
	assert_int_equal(size, 100);
	assert_int_equal(aq_store_size(store, 7, &size, NULL), 0);
	assert_int_equal(size, 0);
	/* files came, or were linked elsewhere */
	other->env.size_own = 30;
	other->env.size_shared = 80;
	assert_int_equal(aq_store_resize(store, &other->env, NULL), 0);
	assert_int_equal(aq_store_size(store, 0, &size, NULL), 0);
	assert_int_equal(size, 41);
	sample_free(one);
	sample_free(other);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

/* Whatever a look-up asks, it walks over no table. */
static void looking_up_walks_over_nothing(void **state)
{
	enum { N = 50 };
	cleanup_store struct aq_store *store =
		must_open_store(*state, AQ_STORE_WRITE);
	cleanup_strv struct aq_strv digests = AQ_STRV_INIT(N);
	struct sample *last = NULL;
	struct aq_err err = { 0 };
	uint64_t before, n, left;

	for (unsigned int i = 0; i < N; i++) {
		struct sample *s = sample(i, 1);

		snprintf(s->env.base, sizeof(s->env.base),
			 "0123456789abcdef012%u-1", i % 3);
		commit_sample(store, s);
		if (last)
			sample_free(last);
		last = s;
	}
	before = aq_db_scanned(store->db);
	for (unsigned int i = 0; i < 5; i++) {
		cleanup_env struct aq_env *env = NULL;
		char begin[] = "0123456789ab";

		memcpy(begin, last->env.name, strlen(begin));
		if (i == 0)
			assert_int_equal(find(store, last, &env), 0);
		else if (i == 1)
			assert_int_equal(aq_store_find_key(store, last->key,
							   &env, &err), 0);
		else if (i == 2)
			assert_int_equal(aq_store_find_lock(
				store, last->env.lock, &env, &err), 0);
		else
			assert_int_equal(aq_store_find_name(
				store, i == 3 ? begin : last->env.name, &env,
				&err), 0);
		assert_string_equal(env->name, last->env.name);
	}
	assert_int_equal(aq_store_children(store, "0123456789abcdef0121-1", &n, &err), 0);
	assert_int_equal(n, 17);
	assert_int_equal(aq_store_digests(store, last->env.name, &digests,
					  &err), 0);
	assert_int_equal(digests.n, 1);
	assert_int_equal(aq_store_used(store, last->env.name, 1, &err), 0);
	assert_int_equal(aq_store_fail_get(store, last->key, 1, &left, &err), AQ_MISS);
	assert_int_equal(aq_store_remove(store, last->env.name, &err), 0);
	assert_int_equal(aq_db_scanned(store->db), before);
	/* what does walk is seen to */
	assert_int_equal(aq_store_size(store, 0, &n, &err), 0);
	assert_int_equal(n, 11 * (N - 1));
	assert_true(aq_db_scanned(store->db) > before);
	sample_free(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_committed_is_found),
		TEST(bytes_decide_not_the_digest),
		TEST(a_name_is_committed_once),
		TEST(a_key_leads_to_what_was_tied_last),
		TEST(prefixes_of_names_are_names),
		TEST(removing_takes_all_that_was_tied),
		TEST(uses_are_counted),
		TEST(the_oldest_requests_of_a_key_go),
		TEST(each_comes_in_order),
		TEST(generations_pass_over_what_lies_about),
		TEST(failures_are_remembered_for_a_time),
		TEST(failures_have_a_cap),
		TEST(looking_up_walks_over_nothing),
		TEST(sizes_are_summed_for_a_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
