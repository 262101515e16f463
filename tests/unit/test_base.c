/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "common/manifest.h"
#include "tests/unit/cachedir.h"

static struct aq_store *must_open(const struct aq_conf *conf)
{
	return must_open_store(conf, AQ_STORE_EXAMINE);
}

/* Commit an environment of Python 'full', with prefix and manifest. */
static struct sample *commit(const struct aq_conf *conf, unsigned int n,
			     const char *full)
{
	cleanup_store struct aq_store *store = must_open(conf);
	cleanup_free char *envs = path_below(conf->cache_dir, "envs");
	cleanup_free char *prefix = NULL;
	struct sample *s = sample(n, 1);

	snprintf(s->env.python, sizeof(s->env.python), "%s", full);
	prefix = path_below(envs, s->env.name);
	assert_int_equal(mkdir(prefix, 0755), 0);
	assert_int_equal(aq_manifest_write(conf, &s->env, &s->tie, s->lock,
					   NULL), 0);
	assert_int_equal(aq_store_commit(store, &s->env, &s->tie, NULL), 0);
	return s;
}

static void set(const struct aq_conf *conf, const char *python,
		const char *name)
{
	cleanup_store struct aq_store *store = must_open(conf);
	struct aq_err err = { 0 };

	if (aq_store_base_set(store, python, name, &err) != 0)
		fail_msg("%s", err.text);
}

/* The environment that is the base of 'python' now, or "". */
static const char *base_of(const struct aq_conf *conf, const char *python)
{
	cleanup_store struct aq_store *store = must_open(conf);
	static struct aq_bases bases;

	assert_int_equal(aq_store_bases(store, &bases, NULL), 0);
	for (size_t i = 0; i < bases.n; i++)
		if (strcmp(bases.v[i].python, python) == 0)
			return bases.v[i].env;
	return "";
}

static void what_bases_are_called(void **state)
{
	(void)state;
	assert_true(aq_base_is_name("3.9"));
	assert_true(aq_base_is_name("3.14"));
	assert_false(aq_base_is_name("3"));
	assert_false(aq_base_is_name("3.9.6"));
	assert_false(aq_base_is_name("../3.9"));
	assert_false(aq_base_is_name("3."));
	assert_false(aq_base_is_name(""));
	assert_false(aq_base_is_name("3.11111111111111111"));
}

static void one_takes_anothers_place(void **state)
{
	struct sample *a = commit(*state, 1, "3.9.6");
	struct sample *b = commit(*state, 2, "3.9.7");

	assert_string_equal(base_of(*state, "3.9"), "");
	set(*state, "3.9", a->env.name);
	assert_string_equal(base_of(*state, "3.9"), a->env.name);
	set(*state, "3.9", b->env.name);
	assert_string_equal(base_of(*state, "3.9"), b->env.name);
	sample_free(a);
	sample_free(b);
}

static void only_what_is_of_that_python(void **state)
{
	struct sample *a = commit(*state, 1, "3.9.6");
	cleanup_store struct aq_store *store = must_open(*state);
	struct aq_err err = { 0 };

	assert_int_equal(aq_store_base_set(store, "3.12", a->env.name, &err),
			 AQ_USER);
	assert_non_null(strstr(err.text, "python=3.12"));
	/* 3.1 is no beginning of 3.12 */
	assert_int_equal(aq_store_base_set(store, "3.1", a->env.name, &err),
			 AQ_USER);
	assert_int_equal(aq_store_base_set(store, "3.9.6", a->env.name, &err),
			 AQ_USER);
	assert_int_equal(aq_store_base_set(store, "3.9",
					   "0123456789abcdef0123-1", &err),
			 AQ_MISS);
	assert_int_equal(aq_store_base_unset(store, "3.9", &err), AQ_MISS);
	sample_free(a);
}

static void they_are_rebuilt_with_the_store(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	struct sample *a = commit(conf, 1, "3.9.6");
	struct sample *b = commit(conf, 2, "3.12.1");
	struct sample *c = commit(conf, 3, "3.12.1");

	set(conf, "3.9", a->env.name);
	set(conf, "3.12", b->env.name);
	set(conf, "3.12", c->env.name);
	assert_int_equal(unlink(path), 0);
	assert_string_equal(base_of(conf, "3.9"), a->env.name);
	assert_string_equal(base_of(conf, "3.12"), c->env.name);
	/* one that was removed does not come back */
	aq_store_close(must_open(conf));
	{
		cleanup_store struct aq_store *store = must_open(conf);

		assert_int_equal(aq_store_base_unset(store, "3.12", NULL), 0);
	}
	assert_int_equal(unlink(path), 0);
	assert_string_equal(base_of(conf, "3.12"), "");
	assert_string_equal(base_of(conf, "3.9"), a->env.name);
	/* nor one whose environment is gone */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(aq_manifest_remove(conf, a->env.name, NULL), 0);
	assert_string_equal(base_of(conf, "3.9"), "");
	sample_free(a);
	sample_free(b);
	sample_free(c);
}

/* -- choosing -- */

static struct aq_bases three = {
	.v = { { .python = "3.12", .full = "3.12.1", .env = "c" },
	       { .python = "3.9", .full = "3.9.6", .env = "b" },
	       { .python = "3.1", .full = "3.1.4", .env = "a" } },
	.n = 3,
};

static const char *chosen(const char *python, bool is_isolated)
{
	struct aq_request req = { .python = (char *)(uintptr_t)python,
				  .is_isolated = is_isolated };
	const struct aq_base *base = aq_base_choose(&three, &req);

	return base ? base->env : "";
}

static void the_newest_python_that_is_admitted(void **state)
{
	(void)state;
	assert_string_equal(chosen("3.9.*", false), "b");
	assert_string_equal(chosen("3.12.*", false), "c");
	assert_string_equal(chosen("3.1.*", false), "a");
	assert_string_equal(chosen(">=3.9", false), "c");
	assert_string_equal(chosen(">=3.9,<3.12", false), "b");
	assert_string_equal(chosen("==3.9.6", false), "b");
	assert_string_equal(chosen("==3.9.7", false), "");
	assert_string_equal(chosen("3.11.*", false), "");
	assert_string_equal(chosen("3.9.*", true), "");
	assert_string_equal(chosen(NULL, false), "");
}

static void the_base_is_in_the_context(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_request req = { .python = (char[]){ "3.9.*" } };
	struct sample *a = commit(conf, 1, "3.9.6");
	cleanup_free char *none = NULL, *with = NULL, *isolated = NULL;
	cleanup_store struct aq_store *store = must_open(conf);
	struct aq_base base;

	assert_int_equal(aq_base_context(store, conf, &req, &none, &base, NULL),
			 0);
	assert_string_equal(base.env, "");
	assert_int_equal(aq_store_base_set(store, "3.9", a->env.name, NULL), 0);
	assert_int_equal(aq_base_context(store, conf, &req, &with, &base, NULL),
			 0);
	assert_string_equal(base.env, a->env.name);
	assert_non_null(strstr(with, a->env.lock));
	req.is_isolated = true;
	assert_int_equal(aq_base_context(store, conf, &req, &isolated, &base,
					 NULL), 0);
	assert_string_equal(isolated, none);
	sample_free(a);
}

static void children_are_counted(void **state)
{
	const struct aq_conf *conf = *state;
	struct sample *a = commit(conf, 1, "3.9.6"), *b = sample(2, 1);
	cleanup_store struct aq_store *store = must_open(conf);
	uint64_t n = 7;

	assert_int_equal(aq_store_children(store, a->env.name, &n, NULL), 0);
	assert_int_equal(n, 0);
	snprintf(b->env.base, sizeof(b->env.base), "%s", a->env.name);
	assert_int_equal(aq_store_commit(store, &b->env, &b->tie, NULL), 0);
	assert_int_equal(aq_store_children(store, a->env.name, &n, NULL), 0);
	assert_int_equal(n, 1);
	sample_free(a);
	sample_free(b);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_bases_are_called),
		cmocka_unit_test(the_newest_python_that_is_admitted),
		TEST(one_takes_anothers_place),
		TEST(only_what_is_of_that_python),
		TEST(they_are_rebuilt_with_the_store),
		TEST(the_base_is_in_the_context),
		TEST(children_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
