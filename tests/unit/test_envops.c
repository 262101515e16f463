/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/answer.h"
#include "common/envlist.h"
#include "common/envmap.h"
#include "common/envops.h"
#include "common/undo.h"

/* Random histories a run; the seed is fixed so that a failure comes back. */
static unsigned long histories(void)
{
	const char *n = getenv("AQ_COUNT_ENVOPS");

	return n ? strtoul(n, NULL, 10) : 20000;
}

static uint64_t rng_state;
static unsigned int rng(unsigned int below)
{
	/* xorshift64* (Vigna) */
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return (unsigned int)((rng_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* What the rim does with a plan. */
static void carry_out(struct aq_envmap *env, const char *ops, size_t len)
{
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	cleanup_strv struct aq_strv array = AQ_STRV_INIT(100000);
	struct aq_err err = { 0 };
	char *none[] = { NULL };

	for (size_t i = 0; i < env->n; i++)
		aq_strv_add_fmt(&array, "%s=%s", env->v[i].name,
				env->v[i].value);
	assert_int_equal(aq_envops_plan(array.v ? array.v : none, ops, len,
					&set, &unset, &err), 0);
	for (size_t i = 0; i < unset.n; i++)
		aq_envmap_unset(env, unset.v[i]);
	for (size_t i = 0; i < set.n; i++) {
		char *eq = strchr(set.v[i], '=');

		*eq = '\0';
		aq_envmap_set(env, set.v[i], eq + 1);
	}
}

static void assert_same(const struct aq_envmap *a, const struct aq_envmap *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		assert_string_equal(a->v[i].name, b->v[i].name);
		assert_string_equal(a->v[i].value, b->v[i].value);
	}
	assert_int_equal(a->n, b->n);
}

static void typical(struct aq_str *ops, const char *prefix)
{
	char bin[64];

	snprintf(bin, sizeof(bin), "%s/bin", prefix);
	aq_envops_add(ops, AQ_ENVOP_PREPEND, "PATH", bin);
	aq_envops_add(ops, AQ_ENVOP_SET, "CONDA_PREFIX", prefix);
	aq_envops_add(ops, AQ_ENVOP_SET, "PYTHONNOUSERSITE", "1");
	aq_envops_add_template(ops, AQ_ENVOP_SET, "DATA",
			       "\x01HOME\x02/data\x01NOT_THERE\x02");
}

static void applies_and_goes_back(void **state)
{
	char *in[] = { "HOME=/h", "PATH=/venv/bin:/usr/bin::/bin",
		       "VIRTUAL_ENV=/venv", "PYTHONHOME=/x",
		       "CONDA_PREFIX=/c/envs/e", "CONDA_PREFIX_1=/c",
		       "CONDA_SHLVL=2", "CONDA_EXE=/c/bin/conda", NULL };
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_envmap struct aq_envmap e = { 0 }, before = { 0 };

	(void)state;
	typical(&ops, "/p");
	aq_envmap_load(&e, in);
	aq_envmap_set(&e, "PATH", "/venv/bin:/c/envs/e/bin:/usr/bin::/c/bin:/bin");
	aq_envmap_copy(&before, &e);
	carry_out(&e, ops.s, ops.len);
	assert_string_equal(aq_envmap_get(&e, "PATH"), "/p/bin:/usr/bin::/bin");
	assert_string_equal(aq_envmap_get(&e, "CONDA_PREFIX"), "/p");
	assert_string_equal(aq_envmap_get(&e, "DATA"), "/h/data");
	assert_null(aq_envmap_get(&e, "VIRTUAL_ENV"));
	assert_null(aq_envmap_get(&e, "PYTHONHOME"));
	assert_null(aq_envmap_get(&e, "CONDA_PREFIX_1"));
	assert_null(aq_envmap_get(&e, "CONDA_SHLVL"));
	assert_string_equal(aq_envmap_get(&e, "CONDA_EXE"), "/c/bin/conda");
	carry_out(&e, NULL, 0);
	assert_same(&e, &before);
}

static void what_others_changed_since_is_theirs(void **state)
{
	char *in[] = { "HOME=/h", "PATH=/v/bin:/usr/bin", "VIRTUAL_ENV=/v",
		       "DATA=mine", NULL };
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_envmap struct aq_envmap e = { 0 };

	(void)state;
	typical(&ops, "/p");
	aq_envmap_load(&e, in);
	carry_out(&e, ops.s, ops.len);
	aq_envmap_set(&e, "PATH", "/module/bin:/p/bin:/usr/bin");
	aq_envmap_set(&e, "DATA", "changed");
	carry_out(&e, NULL, 0);
	assert_string_equal(aq_envmap_get(&e, "PATH"),
			    "/module/bin:/v/bin:/usr/bin");
	assert_string_equal(aq_envmap_get(&e, "DATA"), "changed");
	assert_null(aq_envmap_get(&e, "AQ_UNDO"));
}

static void none_after_nothing_changes_nothing(void **state)
{
	char *in[] = { "PATH=/v/bin", "VIRTUAL_ENV=/v", "=odd", "odd", NULL };
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	struct aq_err err = { 0 };

	(void)state;
	assert_int_equal(aq_envops_plan(in, NULL, 0, &set, &unset, &err), 0);
	assert_int_equal(set.n + unset.n, 0);
}

static const char *const pool[] = { "PATH", "A", "B", "LD_LIBRARY_PATH",
				    "CONDA_PREFIX", "VIRTUAL_ENV", "HOME",
				    "CONDA_SHLVL", "PYTHONHOME", "MANPATH" };
static const char *const values[] = { "", ":", "/a", "/a/bin:/b/bin", "/b",
				      "/a/bin", "/a/bin:", ":/b/bin", "::",
				      "x y,z%\xc3\xa4\n", "/a/bin:/a/bin:/c" };

static void random_env(struct aq_envmap *e)
{
	for (unsigned int i = 0; i < ARRAY_LEN(pool); i++)
		if (rng(3))
			aq_envmap_set(e, pool[i], values[rng(ARRAY_LEN(values))]);
}

static void random_ops(struct aq_str *ops)
{
	static const char *const templates[] = {
		"\x01HOME\x02", "\x01PATH\x02:x", "a\x01""B\x02""b\x01""A\x02"
	};

	for (unsigned int n = rng(8); n > 0; n--) {
		const char *name = pool[rng(ARRAY_LEN(pool))];
		enum aq_envop_kind kind = (enum aq_envop_kind)rng(4);

		if (rng(4))
			aq_envops_add(ops, kind, name,
				      values[rng(ARRAY_LEN(values))]);
		else
			aq_envops_add_template(ops, kind, name,
					       templates[rng(3)]);
	}
}

static void random_histories_go_back(void **state)
{
	(void)state;
	rng_state = 20260901;
	for (unsigned long i = histories(); i > 0; i--) {
		cleanup_envmap struct aq_envmap e = { 0 }, start = { 0 },
						only_b = { 0 };
		cleanup_str struct aq_str a = AQ_STR_INIT(AQ_ENVOPS_MAX);
		cleanup_str struct aq_str b = AQ_STR_INIT(AQ_ENVOPS_MAX);

		random_env(&e);
		random_ops(&a);
		random_ops(&b);
		aq_envmap_copy(&start, &e);
		aq_envmap_copy(&only_b, &e);
		carry_out(&e, aq_str_get(&a), a.len);
		assert_non_null(aq_envmap_get(&e, "AQ_UNDO"));
		carry_out(&e, aq_str_get(&b), b.len);
		carry_out(&only_b, aq_str_get(&b), b.len);
		assert_same(&e, &only_b);
		carry_out(&e, NULL, 0);
		assert_same(&e, &start);
	}
}

static void random_list_ops(struct aq_str *ops)
{
	for (unsigned int n = 1 + rng(4); n > 0; n--)
		aq_envops_add(ops, rng(2) ? AQ_ENVOP_PREPEND : AQ_ENVOP_APPEND,
			      "PATH", values[rng(ARRAY_LEN(values))]);
}

/* `module load` between coming and going: only our items go. */
static void what_was_put_in_front_of_lists_stays(void **state)
{
	static const char *const modules[] = { "/m/bin", "/a/bin", "/b", "" };

	(void)state;
	rng_state = 20260902;
	for (unsigned long i = histories(); i > 0; i--) {
		cleanup_envmap struct aq_envmap e = { 0 }, start = { 0 };
		cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
		cleanup_str struct aq_str path = AQ_STR_INIT(4096);
		cleanup_str struct aq_str expected = AQ_STR_INIT(4096);
		const char *module = modules[rng(ARRAY_LEN(modules))];
		const char *was, *is;

		random_env(&e);
		random_list_ops(&ops);
		aq_envmap_copy(&start, &e);
		carry_out(&e, aq_str_get(&ops), ops.len);
		is = aq_envmap_get(&e, "PATH");
		was = aq_envmap_get(&start, "PATH");
		if (!is || !*is)
			continue;
		aq_str_add_fmt(&path, "%s:%s", module, is);
		aq_envmap_set(&e, "PATH", aq_str_get(&path));
		carry_out(&e, NULL, 0);
		aq_str_add(&expected, module);
		if (was && *was)
			aq_str_add_fmt(&expected, ":%s", was);
		is = aq_envmap_get(&e, "PATH");
		assert_string_equal(is ? is : "(unset)",
				    aq_str_get(&expected));
	}
}

static void hostile_undo_is_dropped(void **state)
{
	static const char *const bad[] = {
		"", "2", "1 ", "1 x", "1 vA", "1 vA,-", "1 vA,zz,+x",
		"1 vA,-,x", "1 vSLURM_JOB_ID,-,+1", "1 vA=B,-,+1",
		"1 vA,-,+%0", "1 vA,-,+%00", "1 vA,-,+%zz", "1 lPATH",
		"1 lPATH,x", "1 lPATH,n,r/x", "1 lPATH,n,rx/x", "1 lPATH,n,",
		"1 lPATH,n,r9999999/x", "1 vA,-,+\x01", "1 vA,-,+1 ",
		"1 lPATH,nn", "1 vA,-,+1,2", "1 vAQ_UNDO,-,+1",
		"1 lAQ_UNDO,n,r0/x", "1 vSPANK_A,-,+1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_envmap struct aq_envmap e = { 0 }, before = { 0 };

		aq_envmap_set(&e, "PATH", "/bin");
		aq_envmap_copy(&before, &e);
		assert_false(aq_undo_apply(&e, bad[i]));
		aq_envmap_set(&e, "AQ_UNDO", bad[i]);
		carry_out(&e, NULL, 0);
		assert_same(&e, &before);
	}
}

static void undo_with_far_index_is_harmless(void **state)
{
	cleanup_envmap struct aq_envmap e = { 0 };

	(void)state;
	aq_envmap_set(&e, "PATH", "/bin");
	assert_true(aq_undo_apply(&e, "1 lPATH,n,p/nope,r999999/x"));
	assert_string_equal(aq_envmap_get(&e, "PATH"), "x:/bin");
}

static void too_much_to_take_back_is_an_error(void **state)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	static char big[AQ_UNDO_MAX + 10];
	char *env[] = { big, NULL };
	struct aq_err err = { 0 };

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[3] = '=';
	aq_envops_add(&ops, AQ_ENVOP_SET, "xxx", "1");
	assert_int_equal(aq_envops_plan(env, ops.s, ops.len, &set, &unset,
					&err), AQ_SYS);
	assert_non_null(strstr(err.text, "AQ_UNDO"));
}

static void damaged_operations_are_refused(void **state)
{
	static const struct {
		const char *ops;
		size_t len;
	} bad[] = {
		{ "S", 1 },          { "S\0", 2 },        { "SA\0", 3 },
		{ "SA\0v", 4 },      { "XA\0v\0", 5 },    { "S1\0v\0", 5 },
		{ "SA B\0v\0", 7 },  { "\0A\0v\0", 5 },   { "sA\0\x01H\0", 6 },
		{ "sA\0\x01\x02\0", 6 }, { "SA\0v\0S", 6 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(aq_envops_is_sound(bad[i].ops, bad[i].len));
	assert_true(aq_envops_is_sound("SA\0v\0", 5));
	assert_true(aq_envops_is_sound("", 0));
}

static void answers_are_checked(void **state)
{
	static struct aq_answer a;

	(void)state;
	assert_false(aq_answer_is_sound(&a));
	aq_answer_fail(&a, AQ_USER, "no");
	assert_true(aq_answer_is_sound(&a));
	assert_int_equal(a.class, AQ_USER);
	memset(a.prefix, 'x', sizeof(a.prefix));
	assert_false(aq_answer_is_sound(&a));
	memset(a.prefix, 0, sizeof(a.prefix));
	a.ops_len = sizeof(a.ops) + 1;
	assert_false(aq_answer_is_sound(&a));
	a.ops_len = 1;
	assert_false(aq_answer_is_sound(&a));
	a.ops_len = 0;
	a.class = 77;
	assert_false(aq_answer_is_sound(&a));
}

static void lists_keep_empty_items(void **state)
{
	static const char *const texts[] = { "", ":", "a::b", ":a", "a:" };
	static const size_t counts[] = { 0, 2, 3, 2, 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_strv struct aq_strv l = AQ_STRV_INIT(9);
		cleanup_str struct aq_str s = AQ_STR_INIT(99);

		aq_envlist_split(texts[i], &l);
		assert_int_equal(l.n, counts[i]);
		aq_envlist_join(&l, &s);
		assert_string_equal(aq_str_get(&s), texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(applies_and_goes_back),
		cmocka_unit_test(what_others_changed_since_is_theirs),
		cmocka_unit_test(none_after_nothing_changes_nothing),
		cmocka_unit_test(random_histories_go_back),
		cmocka_unit_test(what_was_put_in_front_of_lists_stays),
		cmocka_unit_test(hostile_undo_is_dropped),
		cmocka_unit_test(undo_with_far_index_is_harmless),
		cmocka_unit_test(too_much_to_take_back_is_an_error),
		cmocka_unit_test(damaged_operations_are_refused),
		cmocka_unit_test(answers_are_checked),
		cmocka_unit_test(lists_keep_empty_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
