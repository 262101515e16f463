/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "builder/activation.h"
#include "common/envops.h"

/* What a script does to a world, by a function instead of a shell. */
typedef void script(struct aq_envmap *env);

static void set_fmt(struct aq_envmap *env, const char *name, const char *a,
		    const char *b, const char *c)
{
	char value[1024];

	snprintf(value, sizeof(value), "%s%s%s", a ? a : "", b, c ? c : "");
	aq_envmap_set(env, name, value);
}

static void start_world(struct aq_envmap *env)
{
	aq_envmap_set(env, "HOME", "/aq/home/one");
	aq_envmap_set(env, "USER", "aq-user-one");
	aq_envmap_set(env, "LOGNAME", "aq-user-one");
	aq_envmap_set(env, "PATH", "/p/bin:/usr/bin");
	aq_envmap_set(env, "CONDA_PREFIX", "/p");
}

static void free_world(struct world *w)
{
	aq_envmap_free(&w->before);
	aq_envmap_free(&w->after);
}

static int decide(script *fn, struct aq_str *ops, struct aq_err *err)
{
	__attribute__((cleanup(free_world))) struct world a = { 0 }, b = { 0 };

	start_world(&a.before);
	aq_envmap_copy(&a.after, &a.before);
	fn(&a.after);
	activation_other_world(&a, &b.before);
	aq_envmap_copy(&b.after, &b.before);
	fn(&b.after);
	return activation_decide(&a, &b, ops, err);
}

/* Decide 'fn', replay it on a task's variables, compare NAME with 'expected'
 * (NULL: unset).
 */
static void expect(script *fn, const char *former, const char *name,
		   const char *expected)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	struct aq_err err = { 0 };
	char had[256];
	char *env[] = { (char *)"HOME=/home/u", (char *)"USER=u",
			(char *)"PATH=/bin", former ? had : NULL, NULL };
	const char *got = NULL;

	if (former)
		snprintf(had, sizeof(had), "%s=%s", name, former);
	assert_int_equal(decide(fn, &ops, &err), 0);
	assert_int_equal(aq_envops_plan(env, aq_str_get(&ops), ops.len, &set,
					&unset, &err), 0);
	for (size_t i = 0; i < set.n; i++)
		if (strncmp(set.v[i], name, strlen(name)) == 0 &&
		    set.v[i][strlen(name)] == '=')
			got = set.v[i] + strlen(name) + 1;
	if (!got && former && !aq_strv_has(&unset, name))
		got = former;
	if (expected)
		assert_non_null(got);
	else
		assert_null(got);
	if (expected)
		assert_string_equal(got, expected);
}

static void sets(struct aq_envmap *e)
{
	aq_envmap_set(e, "X", "1");
}
static void prepends(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", "/p/lib", old ? ":" : "", old);
}
static void prepends_with_a_colon(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", "/p/lib", ":", old);
}
static void appends(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", old, old ? ":" : "", "/p/share");
}
static void follows_home(struct aq_envmap *e)
{
	set_fmt(e, "X", aq_envmap_get(e, "HOME"), "/.x/", aq_envmap_get(e, "USER"));
}
static void adds_flags(struct aq_envmap *e)
{
	set_fmt(e, "X", aq_envmap_get(e, "X"), " -O2", NULL);
}
static void changes_path(struct aq_envmap *e)
{
	char *old = strdup(aq_envmap_get(e, "PATH"));

	set_fmt(e, "PATH", "/p/extra", ":", old);
	free(old);
}
static int calls;
static void counts(struct aq_envmap *e)
{
	set_fmt(e, "X", calls++ ? "second" : "first", "", NULL);
}
static void counts_then_unsets(struct aq_envmap *e)
{
	if (calls++)
		aq_envmap_unset(e, "X");
	else
		aq_envmap_set(e, "X", "1");
}
static void is_the_shells_business(struct aq_envmap *e)
{
	set_fmt(e, "SHLVL", calls++ ? "1" : "2", "", NULL);
	aq_envmap_set(e, "BASH_FUNC_f%%", "() { :; }");
}

static void what_scripts_do_is_replayed(void **state)
{
	(void)state;
	expect(sets, NULL, "X", "1");
	expect(sets, "old", "X", "1");
	expect(prepends, NULL, "X", "/p/lib");
	expect(prepends, "/a:/b", "X", "/p/lib:/a:/b");
	expect(prepends_with_a_colon, NULL, "X", "/p/lib");
	expect(prepends_with_a_colon, "/a", "X", "/p/lib:/a");
	expect(appends, NULL, "X", "/p/share");
	expect(appends, "/a", "X", "/a:/p/share");
	expect(follows_home, NULL, "X", "/home/u/.x/u");
	expect(adds_flags, NULL, "X", " -O2");
	expect(adds_flags, "-g", "X", "-g -O2");
	expect(changes_path, NULL, "PATH", "/p/extra:/bin");
	expect(is_the_shells_business, NULL, "SHLVL", NULL);
}

static void what_differs_from_run_to_run_is_refused(void **state)
{
	script *const bad[] = { counts, counts_then_unsets };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
		struct aq_err err = { 0 };

		calls = 0;
		assert_int_equal(decide(bad[i], &ops, &err), AQ_USER);
		assert_non_null(strstr(err.text, "'X'"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_scripts_do_is_replayed),
		cmocka_unit_test(what_differs_from_run_to_run_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
