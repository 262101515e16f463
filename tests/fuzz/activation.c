/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment does to a task's variables: the recorded operations, and
 * what activation scripts print that become them.  The first byte says which of
 * three things the rest is, pieces with byte 0xff between them.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "builder/activation.h"
#include "common/deactivate.h"
#include "common/envlist.h"
#include "common/envops.h"
#include "common/undo.h"

const char fuzz_name[] = "activation";

#define MARK ((char)0xff)
#define CACHE "/var/lib/aq"
#define PREFIX CACHE "/envs/0123456789abcdef0123-1"
#define BASE CACHE "/envs/3210fedcba9876543210-1"

struct bytes {
	char *mem;
	size_t len;
};

static struct bytes piece(struct fuzz_input *in)
{
	struct bytes b = { NULL, 0 };

	b.mem = fuzz_piece(in, MARK, &b.len);
	return b;
}

/* -- an interpreter of operations, as their header explains them -- */

struct task {
	struct aq_envmap *map;
	const struct aq_envmap *initial;
};

static void fill_in(const struct task *t, const struct aq_envop *op,
		    struct aq_str *out)
{
	for (const char *p = op->value; *p;) {
		const char *end = strchr(p, AQ_ENVOPS_REF_END), *value;

		if (!op->is_template || *p != AQ_ENVOPS_REF) {
			aq_str_add_char(out, *p++);
			continue;
		}
		fuzz_check(end);
		value = aq_envmap_get(t->initial,
				      strndupa(p + 1, (size_t)(end - p - 1)));
		aq_str_add(out, value ? value : "");
		p = end + 1;
	}
}

static bool carry_out(const struct aq_envop *op, void *arg)
{
	cleanup_str struct aq_str value = AQ_STR_INIT(SIZE_MAX / 2);
	const struct task *t = arg;
	const char *old = aq_envmap_get(t->map, op->name);

	fill_in(t, op, &value);
	if (op->kind == AQ_ENVOP_UNSET) {
		aq_envmap_unset(t->map, op->name);
		return true;
	}
	if (op->kind != AQ_ENVOP_SET && !value.len)
		return true;
	if (op->kind == AQ_ENVOP_APPEND && old && *old) {
		cleanup_str struct aq_str both = AQ_STR_INIT(SIZE_MAX / 2);

		aq_str_add_fmt(&both, "%s:%s", old, aq_str_get(&value));
		aq_envmap_set(t->map, op->name, aq_str_get(&both));
		return true;
	}
	if (op->kind == AQ_ENVOP_PREPEND && old && *old)
		aq_str_add_fmt(&value, ":%s", old);
	aq_envmap_set(t->map, op->name, aq_str_get(&value));
	return true;
}

static void interpret(const struct bytes *ops, struct aq_envmap *map)
{
	cleanup_envmap struct aq_envmap initial = { 0 };
	struct task t = { map, &initial };

	aq_envmap_copy(&initial, map);
	fuzz_check(aq_envops_each(ops->mem, ops->len, carry_out, &t));
}

/* -- operations on a task's variables, and the way back -- */

static bool add_again(const struct aq_envop *op, void *arg)
{
	if (op->is_template)
		aq_envops_add_template(arg, op->kind, op->name, op->value);
	else
		aq_envops_add(arg, op->kind, op->name, op->value);
	return true;
}

/* What is sound is what would be written. */
static bool check_sound(const struct bytes *ops)
{
	cleanup_str struct aq_str again = AQ_STR_INIT(AQ_ENVOPS_MAX);

	if (!aq_envops_is_sound(ops->mem, ops->len))
		return false;
	fuzz_check(aq_envops_each(ops->mem, ops->len, add_again, &again));
	fuzz_check(!again.broken && again.len == ops->len &&
		   memcmp(aq_str_get(&again), ops->mem, ops->len) == 0);
	return true;
}

/* The environment that a plan leads to; false: there is none. */
static bool enter(const struct aq_envmap *from, const struct bytes *ops,
		  struct aq_envmap *ret)
{
	cleanup_strv struct aq_strv env = AQ_STRV_INIT(AQ_ENVMAP_MAX);
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	char *none[] = { NULL };
	struct aq_err err = { 0 };
	int rc;

	for (size_t i = 0; i < from->n; i++)
		aq_strv_add_fmt(&env, "%s=%s", from->v[i].name,
				from->v[i].value);
	rc = aq_envops_plan(env.v ? env.v : none, ops ? ops->mem : NULL,
			    ops ? ops->len : 0, &set, &unset, &err);
	if (rc) {
		fuzz_check_text(rc == AQ_SYS, err.text);
		return false;
	}
	aq_envmap_copy(ret, from);
	for (size_t i = 0; i < unset.n; i++)
		aq_envmap_unset(ret, unset.v[i]);
	aq_envmap_load(ret, NULL);
	for (size_t i = 0; i < set.n; i++) {
		char *eq = strchr(set.v[i], '=');

		fuzz_check(eq);
		*eq = '\0';
		aq_envmap_set(ret, set.v[i], eq + 1);
	}
	return true;
}

/* Slurm's own are never taken back, whoever set them. */
static bool is_slurms(const char *name)
{
	return aq_starts_with(name, "SLURM") || aq_starts_with(name, "SPANK");
}

static void check_same(const struct aq_envmap *a, const struct aq_envmap *b)
{
	for (int turn = 0; turn < 2; turn++) {
		const struct aq_envmap *x = turn ? b : a, *y = turn ? a : b;

		for (size_t i = 0; i < x->n; i++) {
			const char *name = x->v[i].name;

			if (!is_slurms(name))
				fuzz_check_text(fuzz_same(aq_envmap_get(y, name),
							  x->v[i].value), name);
		}
	}
}

/* What the operations lead to, but for the way back. */
static void check_entered(const struct aq_envmap *submitter,
			  const struct bytes *ops, const struct aq_envmap *is)
{
	cleanup_envmap struct aq_envmap want = { 0 }, without = { 0 };
	const char *undo = aq_envmap_get(is, "AQ_UNDO");

	fuzz_check(undo && strlen(undo) <= AQ_UNDO_MAX);
	aq_envmap_copy(&want, submitter);
	aq_deactivate(&want);
	interpret(ops, &want);
	aq_envmap_unset(&want, "AQ_UNDO");
	aq_envmap_copy(&without, is);
	aq_envmap_unset(&without, "AQ_UNDO");
	check_same(&want, &without);
}

static void check_operations(struct fuzz_input *in)
{
	struct bytes env = piece(in), a = piece(in), b = piece(in);
	cleanup_envmap struct aq_envmap start = { 0 }, submitter = { 0 },
					in_a = { 0 }, back = { 0 },
					in_b = { 0 }, a_b = { 0 };

	activation_read_env(env.mem, env.len, &start);
	if (check_sound(&a) && check_sound(&b) &&
	    enter(&start, NULL, &submitter) && enter(&start, &a, &in_a)) {
		check_entered(&submitter, &a, &in_a);
		fuzz_check(enter(&in_a, NULL, &back));
		check_same(&submitter, &back);
		if (enter(&start, &b, &in_b)) {
			fuzz_check(enter(&in_a, &b, &a_b));
			check_same(&in_b, &a_b);
		}
	}
	free(env.mem);
	free(a.mem);
	free(b.mem);
}

/* -- what scripts print -- */

static void free_world(struct world *w)
{
	aq_envmap_free(&w->before);
	aq_envmap_free(&w->after);
}
#define cleanup_world __attribute__((cleanup(free_world)))

static void first_world(struct aq_envmap *ret)
{
	aq_envmap_set(ret, "PATH", PREFIX "/bin:/usr/bin:/bin");
	aq_envmap_set(ret, "HOME", "/aq/home/one");
	aq_envmap_set(ret, "USER", "aq-user-one");
	aq_envmap_set(ret, "LOGNAME", "aq-user-one");
	aq_envmap_set(ret, "LANG", "C.UTF-8");
	aq_envmap_set(ret, "CONDA_PREFIX", PREFIX);
}

/* A shell's own, and what no other program sees. */
static bool is_left_out(const char *name)
{
	return !aq_is_env_name(name, strlen(name)) ||
	       strcmp(name, "_") == 0 || strcmp(name, "SHLVL") == 0 ||
	       strcmp(name, "PWD") == 0 || strcmp(name, "OLDPWD") == 0;
}

/* 'is' what 'was', but for the colon that "NEW:$OLD" leaves without OLD. */
static bool is_same_list(const char *is, const char *was)
{
	size_t n, m;

	if (!is || !was)
		return is == was;
	n = strlen(is);
	m = strlen(was);
	return strcmp(is, was) == 0 ||
	       (*was == ':' && strcmp(is, was + 1) == 0) ||
	       (n + 1 == m && was[n] == ':' && strncmp(is, was, n) == 0);
}

static void check_replay(const struct world *w, const struct bytes *ops,
			 bool (*is_same)(const char *a, const char *b))
{
	cleanup_envmap struct aq_envmap is = { 0 };

	aq_envmap_copy(&is, &w->before);
	interpret(ops, &is);
	for (int turn = 0; turn < 2; turn++) {
		const struct aq_envmap *all = turn ? &is : &w->after;

		for (size_t i = 0; i < all->n; i++) {
			const char *name = all->v[i].name;

			if (!is_left_out(name))
				fuzz_check_text(is_same(aq_envmap_get(&is, name),
							aq_envmap_get(&w->after, name)),
						name);
		}
	}
}

static void check_decided(const struct world *a, const struct world *b)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct aq_err err = { 0 };
	struct bytes ops;
	int rc = activation_decide(a, b, &out, &err);

	if (rc) {
		fuzz_check_text(rc == AQ_USER || out.broken, err.text);
		return;
	}
	ops = (struct bytes){ (char *)aq_str_get(&out), out.len };
	fuzz_check(check_sound(&ops));
	check_replay(b, &ops, fuzz_same);
	check_replay(a, &ops, is_same_list);
}

/* Two outputs, whatever they are. */
static void check_outputs(struct fuzz_input *in)
{
	cleanup_world struct world a = { 0 }, b = { 0 };
	struct bytes x = piece(in), y = piece(in);

	first_world(&a.before);
	activation_read_env(x.mem, x.len, &a.after);
	activation_other_world(&a, &b.before);
	activation_read_env(y.mem, y.len, &b.after);
	check_decided(&a, &b);
	free(x.mem);
	free(y.mem);
}

/* What a script that does these operations prints in both worlds. */
static void check_script(struct fuzz_input *in)
{
	cleanup_world struct world a = { 0 }, b = { 0 };
	struct bytes script = piece(in);

	first_world(&a.before);
	if (check_sound(&script)) {
		aq_envmap_copy(&a.after, &a.before);
		interpret(&script, &a.after);
		activation_other_world(&a, &b.before);
		aq_envmap_copy(&b.after, &b.before);
		interpret(&script, &b.after);
		check_decided(&a, &b);
	}
	free(script.mem);
}

/* -- whether others may use them -- */

static bool is_inside(const char *path)
{
	static const char *const dirs[] = { PREFIX, BASE };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		size_t len = strlen(dirs[i]);

		if (aq_starts_with(path, dirs[i]) &&
		    (!path[len] || path[len] == '/'))
			return true;
	}
	return false;
}

/* What is loaded unasked is the environment's own, what is ours is not set. */
static bool check_loaded(const struct aq_envop *op, void *arg)
{
	static const char *const loaded[] = { "LD_PRELOAD", "LD_AUDIT",
					      "BASH_ENV", "PYTHONSTARTUP",
					      "PYTHONHOME", "GCONV_PATH" };

	(void)arg;
	fuzz_check_text(!is_slurms(op->name) && strncmp(op->name, "AQ_", 3) != 0,
			op->name);
	for (size_t i = 0; i < ARRAY_LEN(loaded); i++) {
		const char *p = op->value;

		if (strcmp(op->name, loaded[i]) != 0)
			continue;
		for (; *p; p += strcspn(p, ": "), p += strspn(p, ": "))
			fuzz_check_text(is_inside(p) || *p == ':' ||
					*p == AQ_ENVOPS_REF ||
					op->kind == AQ_ENVOP_UNSET ||
					strcmp(op->name, "LD_PRELOAD") != 0, p);
	}
	return true;
}

static void check_allowed(struct fuzz_input *in)
{
	static const struct places where = { PREFIX, BASE, CACHE };
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct bytes b = piece(in);
	struct aq_err err = { 0 };

	aq_str_add_mem(&ops, b.mem, b.len);
	if (activation_check(&where, &ops, &err) == 0)
		fuzz_check(aq_envops_each(b.mem, b.len, check_loaded, NULL));
	free(b.mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(struct fuzz_input *in) = {
		check_operations, check_outputs, check_script, check_allowed
	};
	struct fuzz_input in = fuzz_input(data, size);

	checks[fuzz_byte(&in) % ARRAY_LEN(checks)](&in);
	return 0;
}
