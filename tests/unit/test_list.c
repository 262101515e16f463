/* SPDX-License-Identifier: Apache-2.0 */
/* What a list says of environments, and the public index. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "common/index.h"
#include "common/job.h"
#include "common/refs.h"
#include "tests/unit/cachedir.h"

#define N 4

/* Four environments, of which the first three are in the order of their names:
 * a base, what inherits from it, what inherits from another one that is gone.
 */
struct cache {
	const struct aq_conf *conf;
	struct aq_store *store;
	struct aq_refs *refs;
	struct sample *s[N];
};

static void set_up(struct cache *c, const struct aq_conf *conf)
{
	struct aq_err err = { 0 };

	*c = (struct cache){ .conf = conf };
	assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &c->store, &err), 0);
	assert_int_equal(aq_refs_open(conf, &c->refs, &err), 0);
	for (unsigned int i = 0; i < N; i++)
		c->s[i] = sample(i, 1);
	snprintf(c->s[1]->env.base, AQ_ENV_NAME_SIZE, "%s", c->s[0]->env.name);
	snprintf(c->s[2]->env.base, AQ_ENV_NAME_SIZE, "%s-1",
		 "0123456789abcdef0123");
	c->s[3]->env.pinned = true;
	for (size_t i = 0; i < N; i++) {
		c->s[i]->env.size_own = 10 + i;
		if (aq_store_commit(c->store, &c->s[i]->env, &c->s[i]->tie,
				    &err) != 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(aq_store_base_set(c->store, "3.12",
					   c->s[0]->env.name, &err), 0);
}

static void take_down(struct cache *c)
{
	for (size_t i = 0; i < N; i++)
		sample_free(c->s[i]);
	aq_refs_close(c->refs);
	aq_store_close(c->store);
}

struct seen {
	const struct cache *cache;
	size_t n;
	struct aq_listed listed[N]; /* by sample */
	char order[N + 1];	    /* numbers of the samples, as they came */
};

static int see(const struct aq_listed *l, void *arg, struct aq_err *err)
{
	struct seen *seen = arg;

	(void)err;
	for (size_t i = 0; i < N; i++)
		if (strcmp(l->env->name, seen->cache->s[i]->env.name) == 0) {
			assert_true(seen->n < N);
			seen->listed[i] = *l;
			seen->listed[i].env = NULL;
			seen->order[seen->n++] = (char)('0' + i);
			assert_int_equal(l->env->packages, 1);
			assert_int_equal(l->env->size_own, 10 + i);
			assert_int_equal(l->env->pinned, i == 3);
		}
	return 0;
}

static void a_list_says_how_each_stands(void **state)
{
	const struct aq_step steps[] = { { 7, 0, UINT32_MAX },
					 { 8, 0, UINT32_MAX } };
	struct cache c;
	struct seen seen = { .cache = &c };
	struct aq_err err = { 0 };

	set_up(&c, *state);
	/* a job and its step by digest; another's step that knows better */
	assert_int_equal(aq_job_hold(c.conf, 7, c.s[1]->digest, 0, &err), 0);
	assert_int_equal(aq_refs_take(c.refs, &steps[0], c.s[1]->digest, &err),
			 0);
	assert_int_equal(aq_refs_take(c.refs, &steps[1], c.s[3]->digest, &err),
			 0);
	assert_int_equal(hold_hit(c.refs, &steps[1], c.s[2]->env.name, 1), 0);
	assert_int_equal(aq_store_list(c.store, c.refs, AQ_STORE_BY_OWN, false,
				       see, &seen, &err), 0);
	assert_string_equal(seen.order, "3210");
	assert_int_equal(seen.listed[0].references, 0);
	assert_int_equal(seen.listed[1].references, 2);
	assert_int_equal(seen.listed[2].references, 1);
	assert_int_equal(seen.listed[3].references, 0);
	assert_int_equal(seen.listed[0].children, 1);
	assert_int_equal(seen.listed[1].children, 0);
	assert_true(seen.listed[0].is_base && !seen.listed[0].is_obsolete);
	assert_true(!seen.listed[1].is_base && !seen.listed[1].is_obsolete);
	assert_true(seen.listed[2].is_obsolete);
	assert_false(seen.listed[3].is_obsolete);
	take_down(&c);
}

static void one_is_listed_as_all_are(void **state)
{
	struct aq_listed l = { 0 };
	struct aq_err err = { 0 };
	struct cache c;

	set_up(&c, *state);
	assert_int_equal(aq_store_list_one(c.store, NULL, &c.s[0]->env, &l,
					   &err), 0);
	assert_true(l.is_base && l.children == 1 && l.references == 0);
	assert_int_equal(aq_store_remove(c.store, c.s[3]->env.name, &err), 0);
	assert_int_equal(aq_store_list_one(c.store, NULL, &c.s[3]->env, &l,
					   &err), AQ_MISS);
	take_down(&c);
}

static void the_index_says_what_the_list_does(void **state)
{
	struct cache c;
	struct seen seen = { .cache = &c };
	struct aq_err err = { 0 };
	uint64_t written = 0;
	char *path;

	set_up(&c, *state);
	assert_int_equal(aq_index_read(c.conf, AQ_STORE_BY_OWN, true, &written,
				       see, &seen, &err), AQ_MISS);
	if (aq_index_write(c.conf, &err) != 0)
		fail_msg("%s", err.text);
	path = path_below(c.conf->public_dir, "index");
	assert_int_equal(mode_of(path), 0644);
	assert_int_equal(aq_index_read(c.conf, AQ_STORE_BY_OWN, true, &written,
				       see, &seen, &err), 0);
	assert_string_equal(seen.order, "0123");
	assert_true(written > 1600000000);
	assert_true(seen.listed[0].is_base && seen.listed[2].is_obsolete);
	assert_false(seen.listed[1].is_base || seen.listed[1].is_obsolete);
	/* cut anywhere it is damaged, never half of a list */
	assert_int_equal(truncate(path, 60), 0);
	assert_int_equal(aq_index_read(c.conf, AQ_STORE_BY_NAME, false,
				       &written, see, &seen, &err), AQ_CORRUPT);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(aq_index_read(c.conf, AQ_STORE_BY_NAME, false,
				       &written, see, &seen, &err), AQ_CORRUPT);
	free(path);
	take_down(&c);
}

static void looking_at_references_makes_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };
	char *path = path_below(conf->run_dir, "refs.db");
	const struct aq_step step = { 7, 0, UINT32_MAX };
	char digest[AQ_SHA256_HEX_SIZE];
	uint64_t n = 7;

	memset(digest, 'a', sizeof(digest) - 1);
	digest[sizeof(digest) - 1] = '\0';
	assert_int_equal(aq_refs_open_to_look(conf, &refs, &err), 0);
	assert_int_equal(aq_refs_count(refs, NULL, &n, &err), 0);
	assert_int_equal(n, 0);
	aq_refs_close(steal(&refs));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(aq_refs_open(conf, &refs, &err), 0);
	assert_int_equal(aq_refs_take(refs, &step, digest, &err), 0);
	aq_refs_close(steal(&refs));
	assert_int_equal(aq_refs_open_to_look(conf, &refs, &err), 0);
	assert_int_equal(aq_refs_count(refs, NULL, &n, &err), 0);
	assert_int_equal(n, 1);
	aq_refs_close(steal(&refs));
	/* damaged, and left so: who uses it sets it aside */
	scribble(path, 0, "not a database at all", 21);
	assert_int_equal(aq_refs_open_to_look(conf, &refs, &err), AQ_CORRUPT);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_says_how_each_stands,
						cachedir_setup,
						cachedir_teardown),
		cmocka_unit_test_setup_teardown(one_is_listed_as_all_are,
						cachedir_setup,
						cachedir_teardown),
		cmocka_unit_test_setup_teardown(the_index_says_what_the_list_does,
						cachedir_setup,
						cachedir_teardown),
		cmocka_unit_test_setup_teardown(looking_at_references_makes_nothing,
						cachedir_setup,
						cachedir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
