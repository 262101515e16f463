/* SPDX-License-Identifier: Apache-2.0 */
/* Who is called for everything there is may take its time: others commit. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_inside.h"
#include "common/workflow_rows.h"
#include "common/workflows.h"
#include "tests/unit/cachedir.h"

#define ENVIRONMENTS 600
#define USERS 3
#define FLOWS 50 /* a user; not all are read at once */

struct seen {
	const struct aq_conf *conf;
	struct aq_store *other; /* opened by who is called first */
	char last[AQ_ENV_NAME_SIZE]; /* name of the last so far */
	char gone[AQ_ENV_NAME_SIZE]; /* is removed meanwhile */
	uint64_t number;	/* of the last so far */
	size_t n;
};

static bool is_first(struct seen *s)
{
	struct aq_err err = { 0 };

	if (s->n++)
		return false;
	assert_int_equal(aq_store_open(s->conf, AQ_STORE_WRITE, &s->other,
				       &err), 0);
	return true;
}

/* -- environments -- */

static void fill(struct aq_store *store, char ret_last[AQ_ENV_NAME_SIZE])
{
	struct aq_err err = { 0 };

	assert_int_equal(aq_db_begin(store->db, &err), 0);
	for (unsigned int i = 0; i < ENVIRONMENTS; i++) {
		struct sample *s = sample(i, 1);

		if (aq_store_insert(store->db, &s->env, &err) != 0)
			fail_msg("%s", err.text);
		if (strcmp(s->env.name, ret_last) > 0)
			memcpy(ret_last, s->env.name, AQ_ENV_NAME_SIZE);
		sample_free(s);
	}
	assert_int_equal(aq_db_end(store->db, 0, &err), 0);
}

static int see_name(const struct aq_env *env, void *arg, struct aq_err *err)
{
	struct seen *s = arg;

	assert_true(strcmp(s->last, env->name) < 0);
	memcpy(s->last, env->name, sizeof(s->last));
	if (is_first(s)) {
		struct sample *new = sample(ENVIRONMENTS, 1);

		if (aq_store_commit(s->other, &new->env, &new->tie, err) != 0 ||
		    aq_store_remove(s->other, s->gone, err) != 0)
			fail_msg("%s", err->text);
		sample_free(new);
	}
	return 0;
}

static int see_newest(const struct aq_env *env, void *arg, struct aq_err *err)
{
	struct seen *s = arg;

	(void)err;
	assert_true(!s->n || env->created < s->number);
	s->number = env->created;
	s->n++;
	return 0;
}

static void environments_keep_nobody_waiting(void **state)
{
	struct seen seen = { .conf = *state }, later = { 0 };
	struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(aq_store_open(seen.conf, AQ_STORE_WRITE, &store, &err),
			 0);
	fill(store, seen.gone);
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, see_name,
				       &seen, &err), 0);
	/* all as they were */
	assert_int_equal(seen.n, ENVIRONMENTS);
	assert_string_equal(seen.last, seen.gone);
	/* one went, one came */
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_CREATED, false,
				       see_newest, &later, &err), 0);
	assert_int_equal(later.n, ENVIRONMENTS);
	aq_store_close(seen.other);
	aq_store_close(store);
}

/* -- workflows -- */

static void fill_workflows(struct aq_store *store)
{
	struct aq_err err = { 0 };

	assert_int_equal(aq_db_begin(store->db, &err), 0);
	for (uint32_t i = 0; i < USERS * FLOWS; i++) {
		char name[16];
		const struct aq_workflow_row row = {
			.uid = 1000 + i / FLOWS, .name = name, .key = "key",
			.digest = "digest", .submitted = i + 1,
		};

		snprintf(name, sizeof(name), "w%02u", i % FLOWS);
		assert_int_equal(aq_workflow_put(store->db, &row, FLOWS, &err),
				 0);
	}
	assert_int_equal(aq_db_end(store->db, 0, &err), 0);
}

static int see_workflow(const struct aq_workflow_state *w, void *arg,
			struct aq_err *err)
{
	struct seen *s = arg;

	assert_true(w->submitted == s->number + 1);
	s->number = w->submitted;
	if (is_first(s)) {
		const struct aq_workflow last = {
			.uid = 1000 + USERS - 1, .name = "w49",
			.submitted = 1000,
		};

		if (aq_store_forget_workflow(s->other, &last, err) != 0)
			fail_msg("%s", err->text);
	}
	return 0;
}

static void workflows_keep_nobody_waiting(void **state)
{
	struct seen seen = { .conf = *state };
	struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(aq_store_open(seen.conf, AQ_STORE_WRITE, &store, &err),
			 0);
	fill_workflows(store);
	assert_int_equal(aq_store_each_workflow(store, AQ_WORKFLOWS_ALL, NULL,
						see_workflow, &seen, &err), 0);
	assert_int_equal(seen.n, USERS * FLOWS - 1);
	aq_store_close(seen.other);
	aq_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(environments_keep_nobody_waiting,
						cachedir_setup,
						cachedir_teardown),
		cmocka_unit_test_setup_teardown(workflows_keep_nobody_waiting,
						cachedir_setup,
						cachedir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
