/* SPDX-License-Identifier: Apache-2.0 */
/* Bases, workflows, the index and lists, with each call of the C library failing once:
 * what the next one finds is what was there, or what was asked for.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/index.h"
#include "common/manifest.h"
#include "common/notes.h"
#include "common/refs_asked.h"
#include "common/store_list.h"
#include "common/tally.h"
#include "common/workflows.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"

#define UID 1001
#define SAMPLES 3

struct node {
	struct aq_conf *conf;
	struct sample *samples[SAMPLES]; /* the second inherits from the first */
};

static void begin(struct node *n, void **state)
{
	cleanup_store struct aq_store *store = NULL;

	n->conf = *state;
	n->conf->max_workflows = 2;
	assert_int_equal(aq_store_open(n->conf, AQ_STORE_WRITE, &store, NULL), 0);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		n->samples[i] = sample(i + 1, 1);
		n->samples[i]->tie.is_of_workflow = true;
		if (i == 1) {
			n->samples[i]->env.kind = AQ_ENV_INHERITED;
			memcpy(n->samples[i]->env.base, n->samples[0]->env.name,
			       sizeof(n->samples[i]->env.base));
		}
		assert_int_equal(aq_manifest_write(n->conf, &n->samples[i]->env,
						   &n->samples[i]->tie,
						   n->samples[i]->lock, NULL), 0);
		assert_int_equal(aq_store_commit(store, &n->samples[i]->env,
						 &n->samples[i]->tie, NULL), 0);
	}
}

static void end(struct node *n)
{
	for (unsigned int i = 0; i < SAMPLES; i++)
		sample_free(n->samples[i]);
}

static int open_write(const struct node *n, struct aq_store **ret,
		      struct aq_err *err)
{
	return aq_store_open(n->conf, AQ_STORE_WRITE, ret, err);
}

/* -- the parts -- */

static int change_bases(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_store struct aq_store *store = NULL;
	struct aq_bases bases = { 0 };
	const char *name = n->samples[0]->env.name;
	uint64_t children = 0;
	int rc = open_write(n, &store, err);

	if (!rc)
		rc = aq_store_base_set(store, "3.12", name, err);
	if (!rc)
		rc = aq_store_bases(store, &bases, err);
	if (!rc) {
		assert_int_equal(bases.n, 1);
		assert_string_equal(bases.v[0].env, name);
		rc = aq_store_children(store, name, &children, err);
	}
	if (!rc) {
		assert_int_equal(children, 1);
		rc = aq_store_base_unset(store, "3.12", err);
	}
	if (!rc)
		rc = aq_store_pin(store, name, true, err);
	return rc ? rc : aq_store_pin(store, name, false, err);
}

static int count(const struct aq_listed *listed, void *arg, struct aq_err *err)
{
	(void)listed;
	(void)err;
	++*(unsigned int *)arg;
	return 0;
}

static int list(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	unsigned int listed = 0, indexed = 0;
	uint64_t written;
	int rc = aq_refs_open(n->conf, &refs, err);

	if (!rc)
		rc = aq_store_open(n->conf, AQ_STORE_READ, &store, err);
	for (int by = AQ_STORE_BY_NAME; !rc && by <= AQ_STORE_BY_CREATED; by++)
		rc = aq_store_list(store, refs, (enum aq_store_order)by, by % 2,
				   count, &listed, err);
	if (!rc) {
		assert_int_equal(listed, SAMPLES * (AQ_STORE_BY_CREATED + 1));
		rc = aq_index_write(n->conf, err);
	}
	if (!rc)
		rc = aq_index_read(n->conf, AQ_STORE_BY_SIZE, false, &written,
				   count, &indexed, err);
	if (!rc)
		assert_int_equal(indexed, SAMPLES);
	return rc;
}

static int look(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_store struct aq_store *store = NULL;
	cleanup_strv struct aq_strv digests = AQ_STRV_INIT(16);
	cleanup_env struct aq_env *by_lock = NULL, *by_name = NULL;
	const struct aq_env *env = &n->samples[2]->env;
	struct aq_totals totals = { 0 };
	struct aq_tally tally = { 0 };
	uint64_t size, envs, ms;
	int rc = aq_store_open(n->conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = aq_store_find_lock(store, env->lock, &by_lock, err);
	if (!rc)
		rc = aq_store_find_name(store, env->name, &by_name, err);
	if (!rc)
		rc = aq_store_digests(store, env->name, &digests, err);
	if (!rc)
		rc = aq_store_size(store, 0, &size, err);
	if (!rc)
		rc = aq_store_typical(store, AQ_ENV_CREATED, &envs, &ms, &size,
				      err);
	if (!rc)
		rc = aq_store_totals(store, &totals, err);
	if (!rc)
		rc = aq_store_tally(store, NULL, &tally, err);
	if (!rc)
		assert_string_equal(by_lock->name, env->name);
	return rc;
}

static int fail_and_use(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	struct aq_err why = { .class = AQ_USER, .text = "no such package" };
	struct aq_err said;
	cleanup_store struct aq_store *store = NULL;
	uint32_t generation = 0;
	uint64_t left = 0;
	int rc = open_write(n, &store, err);

	if (!rc)
		rc = aq_store_fail_put(store, "key", &why, 100, 60, err);
	if (!rc && aq_store_fail_get(store, "key", 120, &left, &said) == AQ_USER) {
		assert_string_equal(said.text, why.text);
		assert_int_equal(left, 40);
	}
	if (!rc)
		rc = aq_store_used(store, n->samples[2]->env.name, 5000, err);
	if (!rc)
		rc = aq_store_next_generation(store, n->samples[2]->env.lock,
					      &generation, err);
	if (!rc)
		assert_int_equal(generation, 2);
	return rc;
}

static int count_workflow(const struct aq_workflow_state *w, void *arg,
			  struct aq_err *err)
{
	(void)err;
	assert_int_equal(w->uid, UID);
	++*(unsigned int *)arg;
	return 0;
}

static int ask(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	struct aq_workflow w = { .uid = UID, .name = "w", .submitted = 7 };
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	unsigned int stored = 0, published = 0;
	bool is_left;
	int rc = aq_refs_open(n->conf, &refs, err);

	if (!rc)
		rc = open_write(n, &store, err);
	if (!rc)
		rc = aq_refs_ask(refs, &w, n->samples[2]->key,
				 n->samples[2]->digest, err);
	if (!rc)
		rc = aq_store_take_notes(n->conf, store, refs, err);
	if (!rc)
		rc = aq_store_has_left(store, refs, &is_left, err);
	if (!rc)
		rc = aq_store_each_workflow(store, UID, NULL, count_workflow,
					    &stored, err);
	if (!rc)
		rc = aq_workflows_publish_all(n->conf, store, err);
	if (!rc)
		rc = aq_workflows_read(n->conf, UID, NULL, count_workflow,
				       &published, err);
	if (!rc) {
		assert_int_equal(stored, 1);
		assert_int_equal(published, 1);
		rc = aq_store_forget_workflow(store, &w, err);
	}
	return rc;
}

static void check(void *arg)
{
	struct node *n = arg;
	cleanup_store struct aq_store *store = NULL;
	struct aq_bases bases = { 0 };

	assert_int_equal(open_write(n, &store, NULL), 0);
	assert_int_equal(aq_store_check(store, NULL), 0);
	assert_int_equal(aq_store_bases(store, &bases, NULL), 0);
	assert_int_equal(bases.n, 0);
	assert_int_equal(calls_entries(n->conf->cache_dir, "meta"), SAMPLES);
}

static void a_cache_whose_calls_fail(void **state)
{
	static const struct calls_part parts[] = {
		{ "bases", change_bases }, { "list", list },
		{ "look", look },	   { "fail and use", fail_and_use },
		{ "ask", ask },
	};
	struct node n;

	begin(&n, state);
	/* one after the other: together their calls would be too many */
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct calls_life life = { &parts[i], 1, NULL, check };

		calls_all_fail(&life, &n);
	}
	end(&n);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cache_whose_calls_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
