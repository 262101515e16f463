/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted: in refs.db at first, in cache.db once it was moved, and never
 * twice or lost in between.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/manifest.h"
#include "common/notes.h"
#include "common/store_schema.h"
#include "common/tally.h"
#include "tests/unit/cachedir.h"

static const struct aq_step step0 = { 10, 0, UINT32_MAX };
static const struct aq_step step1 = { 10, 1, UINT32_MAX };

/* A cache with one environment: 7 ms, 11 and 13 bytes (cachedir.c). */
struct node {
	const struct aq_conf *conf;
	struct aq_store *store;
	struct aq_refs *refs;
	struct sample *env;
};

static struct node begin(void **state)
{
	struct node n = { .conf = *state, .env = sample(1, 1) };

	assert_int_equal(aq_store_open(n.conf, AQ_STORE_WRITE, &n.store, NULL), 0);
	assert_int_equal(aq_refs_open(n.conf, &n.refs, NULL), 0);
	assert_int_equal(aq_store_commit(n.store, &n.env->env, &n.env->tie, NULL), 0);
	return n;
}

static void end(struct node *n)
{
	aq_refs_close(n->refs);
	aq_store_close(n->store);
	sample_free(n->env);
}

static void hit(struct node *n, const struct aq_step *step, uint64_t now)
{
	assert_int_equal(aq_refs_take(n->refs, step, n->env->digest, NULL), 0);
	assert_int_equal(hold_hit(n->refs, step, n->env->env.name, now), 0);
}

static void count(struct node *n, enum aq_tally_what what, uint64_t by,
		  uint64_t now)
{
	struct aq_tally tally = { 0 };

	tally.n[what] = by;
	assert_int_equal(aq_refs_add_tally(n->refs, n->env->env.name, now,
					   &tally, NULL), 0);
}

static struct aq_tally all(struct node *n)
{
	struct aq_tally tally;

	assert_int_equal(aq_store_tally(n->store, n->refs, &tally, NULL), 0);
	return tally;
}

static void move(struct node *n)
{
	struct aq_tally before = all(n), after;
	uint64_t oldest = 1;

	assert_int_equal(aq_store_take_notes(n->conf, n->store, n->refs, NULL), 0);
	after = all(n);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(aq_refs_oldest_use(n->refs, &oldest, NULL), 0);
	assert_int_equal(oldest, 0);
}

static struct aq_env *env_of(struct node *n)
{
	struct aq_env *env = NULL;

	assert_int_equal(aq_store_find_name(n->store, n->env->env.name, &env,
					    NULL), 0);
	return env;
}

static void a_hit_saves_what_its_environment_cost(void **state)
{
	struct node n = begin(state);

	hit(&n, &step0, 500);
	hit(&n, &step1, 600);
	for (int i = 0; i < 2; i++) {
		const struct aq_tally t = all(&n);

		assert_int_equal(t.n[AQ_TALLY_HIT], 2);
		assert_int_equal(t.n[AQ_TALLY_REUSE_MS], 2 * 7);
		assert_int_equal(t.n[AQ_TALLY_REUSE_BYTES], 2 * (11 + 13));
		assert_int_equal(t.since, 500);
		move(&n);
	}
	end(&n);
}

static void a_hit_of_what_is_gone_saves_nothing(void **state)
{
	struct node n = begin(state);
	struct aq_tally t;

	hit(&n, &step0, 500);
	move(&n);
	hit(&n, &step0, 600);
	assert_int_equal(aq_store_remove(n.store, n.env->env.name, NULL), 0);
	move(&n);
	t = all(&n);
	assert_int_equal(t.n[AQ_TALLY_HIT], 2);
	assert_int_equal(t.n[AQ_TALLY_REUSE_MS], 7);
	end(&n);
}

/* aq build finds it, and does not use it. */
static void a_hit_need_not_be_a_use(void **state)
{
	struct node n = begin(state);
	cleanup_env struct aq_env *env = NULL;

	count(&n, AQ_TALLY_HIT, 3, 5000);
	move(&n);
	assert_int_equal(all(&n).n[AQ_TALLY_REUSE_MS], 3 * 7);
	env = env_of(&n);
	assert_int_equal(env->uses, 0);
	assert_int_equal(env->last_used, 1001);
	end(&n);
}

static void who_waits_uses_and_does_not_hit(void **state)
{
	struct node n = begin(state);
	struct aq_tally t = { .n[AQ_TALLY_INHERITED] = 1,
			      .n[AQ_TALLY_BUILD_MS] = 30 };
	cleanup_env struct aq_env *env = NULL;

	assert_int_equal(aq_refs_take(n.refs, &step0, n.env->digest, NULL), 0);
	assert_int_equal(aq_refs_take(n.refs, &step1, n.env->digest, NULL), 0);
	assert_int_equal(aq_refs_hold_built(n.refs, &step0,
					    n.env->env.name, 500, &t, NULL), 0);
	/* the other's builder, which finds it built */
	t = (struct aq_tally){ .n[AQ_TALLY_WAITED] = 1 };
	assert_int_equal(aq_refs_hold_built(n.refs, &step1,
					    n.env->env.name, 501, &t, NULL), 0);
	move(&n);
	t = all(&n);
	assert_int_equal(t.n[AQ_TALLY_HIT], 0);
	assert_int_equal(t.n[AQ_TALLY_INHERITED], 1);
	assert_int_equal(t.n[AQ_TALLY_WAITED], 1);
	assert_int_equal(t.n[AQ_TALLY_BUILD_MS], 30);
	env = env_of(&n);
	assert_int_equal(env->uses, 2);
	end(&n);
}

/* Refusals alone are moved too: they have a time. */
static void what_is_no_use_has_a_time(void **state)
{
	struct node n = begin(state);
	uint64_t oldest = 0;

	count(&n, AQ_TALLY_REFUSED, 1, 700);
	count(&n, AQ_TALLY_REFUSED, 1, 800);
	assert_int_equal(aq_refs_oldest_use(n.refs, &oldest, NULL), 0);
	assert_int_equal(oldest, 700);
	move(&n);
	count(&n, AQ_TALLY_FAULT, 1, 900);
	move(&n);
	assert_int_equal(all(&n).n[AQ_TALLY_REFUSED], 2);
	assert_int_equal(all(&n).n[AQ_TALLY_FAULT], 1);
	assert_int_equal(all(&n).since, 700);
	end(&n);
}

static void each_part_may_be_missing(void **state)
{
	struct node n = begin(state);
	struct aq_tally t = { 0 }, none = { 0 };

	hit(&n, &step0, 500);
	count(&n, AQ_TALLY_ENDED, 4, 500);
	assert_int_equal(aq_store_tally(NULL, n.refs, &t, NULL), 0);
	assert_int_equal(t.n[AQ_TALLY_HIT], 1);
	assert_int_equal(t.n[AQ_TALLY_REUSE_MS], 0); /* not known */
	assert_int_equal(t.n[AQ_TALLY_ENDED], 4);
	assert_int_equal(aq_store_tally(n.store, NULL, &t, NULL), 0);
	assert_memory_equal(&t, &none, sizeof(t));
	move(&n);
	assert_int_equal(aq_store_tally(n.store, NULL, &t, NULL), 0);
	assert_int_equal(t.n[AQ_TALLY_ENDED], 4);
	assert_int_equal(aq_store_tally(NULL, NULL, &t, NULL), 0);
	assert_memory_equal(&t, &none, sizeof(t));
	end(&n);
}

/* With handles of its own, whose patience is not used up: hits, and moves; AQ_BUSY
 * is no failure.
 */
static int hit_and_move(const struct node *n)
{
	struct node mine = { .conf = n->conf, .env = n->env };
	const struct aq_tally one = { .n[AQ_TALLY_HIT] = 1 };
	int rc = aq_store_open(n->conf, AQ_STORE_WRITE, &mine.store, NULL);

	if (!rc)
		rc = aq_refs_open(n->conf, &mine.refs, NULL);
	if (!rc)
		rc = aq_refs_add_tally(mine.refs, n->env->env.name, 500, &one,
				       NULL);
	if (!rc && aq_store_take_notes(mine.conf, mine.store, mine.refs, NULL) == AQ_SYS)
		rc = AQ_SYS;
	aq_refs_close(mine.refs);
	aq_store_close(mine.store);
	return rc;
}

static int look(const struct node *n, struct aq_tally *ret)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_store_open(n->conf, AQ_STORE_READ, &store, NULL);

	if (!rc)
		rc = aq_refs_open(n->conf, &refs, NULL);
	return rc ? rc : aq_store_tally(store, refs, ret, NULL);
}

/* A process that hits and moves, while this one looks: what it sees only grows,
 * and by no more than there was.
 */
static void who_looks_while_it_moves_sees_all_of_it_once(void **state)
{
	unsigned long n_hits = count_of("AQ_COUNT_STORE_LOAD", 100);
	struct node n = begin(state);
	uint64_t last = 0;
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		for (unsigned long i = 0; i < n_hits;) {
			int rc = hit_and_move(&n);

			if (rc && rc != AQ_BUSY)
				_exit(1);
			i += !rc;
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct aq_tally t;
		int rc = look(&n, &t);

		if (rc == AQ_BUSY)
			continue;
		assert_int_equal(rc, 0);
		if (t.n[AQ_TALLY_HIT] < last || t.n[AQ_TALLY_HIT] > n_hits)
			fail_msg("%lu after %lu of %lu", t.n[AQ_TALLY_HIT],
				 last, n_hits);
		last = t.n[AQ_TALLY_HIT];
	}
	assert_int_equal(status, 0);
	move(&n);
	assert_int_equal(all(&n).n[AQ_TALLY_HIT], n_hits);
	assert_int_equal(all(&n).n[AQ_TALLY_REUSE_MS], 7 * n_hits);
	end(&n);
}

static void a_boot_loses_what_was_not_moved(void **state)
{
	const struct aq_conf *conf = *state;
	struct node n = begin(state);
	cleanup_free char *path = path_below(conf->run_dir, "refs.db");

	hit(&n, &step0, 500);
	move(&n);
	hit(&n, &step0, 600);
	aq_refs_close(n.refs);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(aq_refs_open(conf, &n.refs, NULL), 0);
	assert_int_equal(all(&n).n[AQ_TALLY_HIT], 1);
	/* but where run_dir stays, it does not */
	hit(&n, &step0, 700);
	aq_refs_close(n.refs);
	assert_int_equal(aq_refs_open(conf, &n.refs, NULL), 0);
	assert_int_equal(all(&n).n[AQ_TALLY_HIT], 2);
	end(&n);
}

static void a_database_that_is_rebuilt_counts_from_zero(void **state)
{
	const struct aq_conf *conf = *state;
	struct node n = begin(state);
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");

	hit(&n, &step0, 500);
	move(&n);
	aq_store_close(n.store);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &n.store, NULL), 0);
	assert_int_equal(all(&n).n[AQ_TALLY_HIT], 0);
	assert_int_equal(all(&n).since, 0);
	end(&n);
}

/* Another version may count more. */
static void a_count_that_is_not_known_is_left_alone(void **state)
{
	const struct aq_db_how how = { .mode = AQ_DB_WRITE, .busy_ms = 1000 };
	const struct aq_conf *conf = *state;
	struct node n = begin(state);
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	cleanup_db struct aq_db *db = NULL;

	assert_int_equal(aq_db_open(path, &aq_store_kind, &how, &db, NULL), 0);
	assert_int_equal(aq_db_script(db, "INSERT INTO counts VALUES('x', 9, 9)",
				      NULL), 0);
	for (size_t i = 0; i < AQ_TALLY_N; i++)
		assert_int_equal(all(&n).n[i], 0);
	end(&n);
}

static void totals_are_those_of_the_rows(void **state)
{
	struct node n = begin(state);
	struct sample *layer = sample(2, 1);
	struct aq_totals t;

	layer->env.kind = AQ_ENV_INHERITED;
	memcpy(layer->env.base, n.env->env.name, sizeof(layer->env.base));
	assert_int_equal(aq_store_commit(n.store, &layer->env, &layer->tie, NULL), 0);
	assert_int_equal(aq_store_totals(n.store, &t, NULL), 0);
	assert_int_equal(t.kinds[AQ_ENV_CREATED].n, 1);
	assert_int_equal(t.kinds[AQ_ENV_INHERITED].n, 1);
	assert_int_equal(t.kinds[AQ_ENV_INHERITED].size_own, 11);
	assert_int_equal(t.kinds[AQ_ENV_INHERITED].size_shared, 13);
	assert_int_equal(t.n_pinned + t.n_bases, 0);
	assert_int_equal(aq_store_base_set(n.store, "3.12", n.env->env.name, NULL), 0);
	assert_int_equal(aq_manifest_write(*state, &layer->env, &layer->tie,
					   layer->lock, NULL), 0);
	assert_int_equal(aq_store_pin(n.store, layer->env.name, true, NULL), 0);
	assert_int_equal(aq_store_totals(n.store, &t, NULL), 0);
	assert_int_equal(t.kinds[AQ_ENV_CREATED].n, 0);
	assert_int_equal(t.kinds[AQ_ENV_BASE].n, 1);
	assert_int_equal(t.n_pinned, 1);
	assert_int_equal(t.n_bases, 1);
	sample_free(layer);
	end(&n);
}

static void a_collection_is_noted(void **state)
{
	struct node n = begin(state);

	assert_int_equal(aq_collect_last(n.conf), 0);
	aq_collect_count(n.conf, 3, 4000);
	assert_int_equal(aq_collect_last(n.conf), 0);
	aq_collect_note_end(n.conf);
	assert_true(aq_collect_last(n.conf) > 1000000000);
	assert_int_equal(all(&n).n[AQ_TALLY_COLLECTED], 3);
	assert_int_equal(all(&n).n[AQ_TALLY_COLLECTED_BYTES], 4000);
	end(&n);
}

static void an_environment_says_how_it_was_made(void **state)
{
	struct aq_env env = { .kind = AQ_ENV_INHERITED, .python = "3.9.6",
			      .reason = "" };
	char made[AQ_ENV_MADE_SIZE];

	(void)state;
	aq_env_say_made(&env, made);
	assert_string_equal(made, "inherited from base 3.9");
	env.python[0] = '\0';
	aq_env_say_made(&env, made);
	assert_string_equal(made, "inherited");
	env.kind = AQ_ENV_LINKED;
	aq_env_say_made(&env, made);
	assert_string_equal(made, "linked");
	env.kind = AQ_ENV_BASE;
	aq_env_say_made(&env, made);
	assert_string_equal(made, "built as a base");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hit_saves_what_its_environment_cost),
		TEST(a_hit_of_what_is_gone_saves_nothing),
		TEST(a_hit_need_not_be_a_use),
		TEST(who_waits_uses_and_does_not_hit),
		TEST(what_is_no_use_has_a_time),
		TEST(each_part_may_be_missing),
		TEST(who_looks_while_it_moves_sees_all_of_it_once),
		TEST(a_boot_loses_what_was_not_moved),
		TEST(a_database_that_is_rebuilt_counts_from_zero),
		TEST(a_count_that_is_not_known_is_left_alone),
		TEST(totals_are_those_of_the_rows),
		TEST(a_collection_is_noted),
		cmocka_unit_test(an_environment_says_how_it_was_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
