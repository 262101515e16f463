/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/activation.h"

#include <stdio.h>
#include <string.h>

#include "common/envops.h"

#define VALUE_MAX (64 * 1024)

void activation_read_env(const char *text, size_t len, struct aq_envmap *ret)
{
	const char *end = text + len;

	while (text < end) {
		size_t n = strnlen(text, (size_t)(end - text));
		cleanup_free char *entry = strndup(text, n);
		char *one[] = { entry, NULL };

		ret->is_broken |= !entry;
		aq_envmap_load(ret, one);
		text += n + 1;
	}
}

/* Variables that every shell changes by itself (bash(1)). */
static bool is_the_shells(const char *name)
{
	static const char *const names[] = { "_", "SHLVL", "PWD", "OLDPWD" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool is_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void give_former_value(struct aq_envmap *map, const char *name)
{
	cleanup_str struct aq_str value = AQ_STR_INIT(VALUE_MAX);
	const char *old = aq_envmap_get(map, name);

	aq_str_add_fmt(&value, "/aq/former/%s", name);
	if (old && *old)
		aq_str_add_fmt(&value, ":%s", old);
	aq_envmap_set(map, name, aq_str_get(&value));
}

void activation_other_world(const struct world *a, struct aq_envmap *ret)
{
	aq_envmap_copy(ret, &a->before);
	aq_envmap_set(ret, "HOME", "/aq/home/other");
	aq_envmap_set(ret, "USER", "aq-user-other");
	aq_envmap_set(ret, "LOGNAME", "aq-user-other");
	for (size_t i = 0; i < a->after.n; i++) {
		const char *name = a->after.v[i].name;

		if (!is_the_shells(name) && strcmp(name, "CONDA_PREFIX") != 0 &&
		    !is_equal(a->after.v[i].value,
			      aq_envmap_get(&a->before, name)))
			give_former_value(ret, name);
	}
}

/* What comes before ":former", if 'value' is that; else NULL. */
static const char *in_front_of(const char *value, const char *former,
			       struct aq_str *ret)
{
	size_t n = strlen(value), m = former ? strlen(former) : 0;

	if (!m)
		return value;
	if (n <= m + 1 || strcmp(value + n - m, former) != 0 ||
	    value[n - m - 1] != ':')
		return NULL;
	aq_str_add_mem(ret, value, n - m - 1);
	return aq_str_get(ret);
}

static const char *behind(const char *value, const char *former)
{
	size_t m = former ? strlen(former) : 0;

	if (!m)
		return value;
	return strncmp(value, former, m) == 0 && value[m] == ':' ?
		       value + m + 1 : NULL;
}

/* A list that got items in front of or behind its former value. */
static bool is_list_edit(const char *name, const struct world *a,
			 const struct world *b, struct aq_str *ops)
{
	cleanup_str struct aq_str pa = AQ_STR_INIT(VALUE_MAX);
	cleanup_str struct aq_str pb = AQ_STR_INIT(VALUE_MAX);
	const char *va = aq_envmap_get(&a->after, name);
	const char *vb = aq_envmap_get(&b->after, name);
	const char *fa = aq_envmap_get(&a->before, name);
	const char *fb = aq_envmap_get(&b->before, name);
	const char *x = in_front_of(va, fa, &pa), *y = in_front_of(vb, fb, &pb);
	cleanup_free char *bare = NULL;

	/* an empty item alone is no edit that can be recorded: a template is */
	if (x && y && *y) {
		/* "new:$OLD" with no OLD leaves a colon */
		bare = strdup(x);
		if (bare && !fa && *bare && bare[strlen(bare) - 1] == ':')
			bare[strlen(bare) - 1] = '\0';
		if (is_equal(bare, y)) {
			aq_envops_add(ops, AQ_ENVOP_PREPEND, name, y);
			return true;
		}
	}
	x = behind(va, fa);
	y = behind(vb, fb);
	if (!x || !y || !*y ||
	    (strcmp(x, y) != 0 && (x[0] != ':' || strcmp(x + 1, y))))
		return false;
	aq_envops_add(ops, AQ_ENVOP_APPEND, name, y);
	return true;
}

/* The longest variable value of 'before' among those that templates may refer
 * to, that 'text' begins with.
 */
static const char *reference_at(const char *text, const char *name,
				const struct aq_envmap *before, size_t *ret_len)
{
	const char *const names[] = { "HOME", "USER", "LOGNAME", name };
	const char *found = NULL;

	*ret_len = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = aq_envmap_get(before, names[i]);
		size_t len = value ? strlen(value) : 0;

		if (len > *ret_len && strncmp(text, value, len) == 0) {
			found = names[i];
			*ret_len = len;
		}
	}
	return found;
}

/* The value in the other world with its references made explicit, and what
 * that gives in the first.
 */
static bool is_template(const char *name, const struct world *a,
			const struct world *b, struct aq_str *ops)
{
	cleanup_str struct aq_str template = AQ_STR_INIT(VALUE_MAX);
	cleanup_str struct aq_str filled = AQ_STR_INIT(VALUE_MAX);
	const char *p = aq_envmap_get(&b->after, name);

	while (*p) {
		size_t len;
		const char *ref = reference_at(p, name, &b->before, &len);

		if (ref) {
			const char *value = aq_envmap_get(&a->before, ref);

			aq_str_add_fmt(&template, "%c%s%c", AQ_ENVOPS_REF, ref,
				       AQ_ENVOPS_REF_END);
			aq_str_add(&filled, value ? value : "");
			p += len;
		} else {
			aq_str_add_char(&template, *p);
			aq_str_add_char(&filled, *p++);
		}
	}
	if (!is_equal(aq_str_get(&filled), aq_envmap_get(&a->after, name)))
		return false;
	aq_envops_add_template(ops, AQ_ENVOP_SET, name, aq_str_get(&template));
	return true;
}

static int decide_one(const char *name, const struct world *a,
		      const struct world *b, struct aq_str *ops,
		      struct aq_err *err)
{
	const char *va = aq_envmap_get(&a->after, name);
	const char *vb = aq_envmap_get(&b->after, name);

	if (!aq_is_env_name(name, strlen(name)))
		return 0; /* an exported function: no program but bash sees it */
	if (!va && !vb) {
		aq_envops_add(ops, AQ_ENVOP_UNSET, name, "");
		return 0;
	}
	if (va && vb && !strpbrk(va, "\x01\x02")) {
		if (strcmp(va, vb) == 0) {
			aq_envops_add(ops, AQ_ENVOP_SET, name, va);
			return 0;
		}
		if (is_list_edit(name, a, b, ops) || is_template(name, a, b, ops))
			return 0;
	}
	return aq_fail(err, AQ_USER,
		       "an activation script sets '%s' to what differs from run to run, and not by HOME, USER or its former value",
		       name);
}

static bool is_changed(const struct world *w, const char *name)
{
	return !is_equal(aq_envmap_get(&w->before, name),
			 aq_envmap_get(&w->after, name));
}

/* Of what 'map' has, decide what was changed in the first world, or in the second
 * only.
 */
static int decide_each(const struct aq_envmap *map, bool is_first,
		       const struct world *a, const struct world *b,
		       struct aq_str *ops, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < map->n; i++) {
		const char *name = map->v[i].name;
		bool in_a = is_changed(a, name);

		if (!is_the_shells(name) &&
		    (is_first ? in_a : !in_a && is_changed(b, name)))
			rc = decide_one(name, a, b, ops, err);
	}
	return rc;
}

/* What was taken away, which is in 'before' alone. */
static void removed(const struct world *w, struct aq_envmap *ret)
{
	for (size_t i = 0; i < w->before.n; i++)
		if (!aq_envmap_get(&w->after, w->before.v[i].name))
			aq_envmap_set(ret, w->before.v[i].name, "");
}

int activation_decide(const struct world *a, const struct world *b,
		      struct aq_str *ops, struct aq_err *err)
{
	const struct world *const worlds[] = { a, b };
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(worlds); i++) {
		cleanup_envmap struct aq_envmap gone = { 0 };

		removed(worlds[i], &gone);
		rc = gone.is_broken ?
			     aq_fail(err, AQ_SYS, "out of memory") :
			     decide_each(&gone, i == 0, a, b, ops, err);
		if (!rc)
			rc = decide_each(&worlds[i]->after, i == 0, a, b, ops,
					 err);
	}
	return rc ? rc : aq_str_done(ops, "the environment's activation", err);
}
