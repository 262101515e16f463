/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/deactivate.h"
#include "common/envlist.h"
#include "common/envmap.h"
#include "common/envops.h"
#include "common/grow.h"
#include "common/undo.h"

/* No variable of a task is longer: MAX_ARG_STRLEN, execve(2). */
#define VALUE_MAX (128 * 1024)

struct plan {
	struct aq_envmap map;     /* what the environment is becoming */
	struct aq_envmap initial; /* what templates refer to */
	struct aq_undo_lists lists;
	bool is_broken;
};

static void plan_free(struct plan *p)
{
	aq_envmap_free(&p->map);
	aq_envmap_free(&p->initial);
	for (size_t i = 0; i < p->lists.n; i++)
		free(p->lists.v[i].name);
	free(p->lists.v);
}

/* The record of edits to list 'name', made if it is not there. */
static struct aq_undo_list *list_of(struct plan *p, const char *name)
{
	struct aq_undo_list *new;

	for (size_t i = 0; i < p->lists.n; i++)
		if (strcmp(p->lists.v[i].name, name) == 0)
			return &p->lists.v[i];
	if (!aq_grow(p->lists.v, p->lists.n, AQ_ENVMAP_MAX))
		return NULL;
	new = &p->lists.v[p->lists.n];
	*new = (struct aq_undo_list){ .name = strdup(name) };
	if (!new->name)
		return NULL;
	p->lists.n++;
	return new;
}

/* A template with its references filled in. */
static void fill_in(const struct plan *p, const char *template,
		    struct aq_str *out)
{
	const char *ref, *end;

	while ((ref = strchr(template, AQ_ENVOPS_REF))) {
		cleanup_free char *name = NULL;
		const char *value;

		aq_str_add_mem(out, template, (size_t)(ref - template));
		end = strchr(ref, AQ_ENVOPS_REF_END);
		if (!end) /* aq_envops_each() has seen to it */
			return;
		name = strndup(ref + 1, (size_t)(end - ref - 1));
		value = name ? aq_envmap_get(&p->initial, name) : NULL;
		if (value)
			aq_str_add(out, value);
		template = end + 1;
	}
	aq_str_add(out, template);
}

static void add_to_list(struct plan *p, const struct aq_envop *op,
			const char *value)
{
	cleanup_strv struct aq_strv items = AQ_STRV_INIT(AQ_ENVLIST_ITEMS_MAX);
	cleanup_str struct aq_str text = AQ_STR_INIT(VALUE_MAX);
	struct aq_undo_list *list = list_of(p, op->name);
	const char *old = aq_envmap_get(&p->map, op->name);
	bool is_front = op->kind == AQ_ENVOP_PREPEND;

	aq_envlist_split(value, &items);
	if (!list || items.broken) {
		p->is_broken = true;
		return;
	}
	if (!items.n)
		return;
	aq_str_add(&text, old && *old && !is_front ? old : value);
	if (old && *old) {
		aq_str_add_char(&text, ':');
		aq_str_add(&text, is_front ? old : value);
	}
	*(is_front ? &list->n_front : &list->n_back) += items.n;
	p->is_broken |= text.broken;
	aq_envmap_set(&p->map, op->name, aq_str_get(&text));
}

/* A list that is set as a whole is a plain variable from then on. */
static void forget_list(struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->lists.n; i++)
		if (strcmp(p->lists.v[i].name, name) == 0)
			p->lists.v[i].n_front = p->lists.v[i].n_back = SIZE_MAX / 4;
}

static bool apply(const struct aq_envop *op, void *arg)
{
	cleanup_str struct aq_str filled = AQ_STR_INIT(VALUE_MAX);
	struct plan *p = arg;
	const char *value = op->value;

	if (op->is_template) {
		fill_in(p, op->value, &filled);
		p->is_broken |= filled.broken;
		value = aq_str_get(&filled);
	}
	switch (op->kind) {
	case AQ_ENVOP_SET:
		forget_list(p, op->name);
		aq_envmap_set(&p->map, op->name, value);
		break;
	case AQ_ENVOP_UNSET:
		forget_list(p, op->name);
		aq_envmap_unset(&p->map, op->name);
		break;
	case AQ_ENVOP_PREPEND:
	case AQ_ENVOP_APPEND:
		add_to_list(p, op, value);
		break;
	}
	return !p->is_broken;
}

/* From 'submitter', the environment with nothing of ours in it, by 'ops'. */
static int apply_ops(struct plan *p, const struct aq_envmap *submitter,
		     const char *ops, size_t len, struct aq_err *err)
{
	cleanup_str struct aq_str undo = AQ_STR_INIT(AQ_UNDO_MAX);
	int rc;

	aq_deactivate(&p->map);
	aq_envmap_copy(&p->initial, &p->map);
	if (!list_of(p, "PATH"))
		p->is_broken = true;
	if (!aq_envops_is_sound(ops, len))
		return aq_fail(err, AQ_SYS, "the environment's activation is damaged");
	if (!aq_envops_each(ops, len, apply, p) || p->map.is_broken ||
	    p->initial.is_broken)
		return aq_fail(err, AQ_SYS,
			       "a variable of the activated environment would be over %d bytes, or memory ran out",
			       VALUE_MAX);
	aq_envmap_unset(&p->map, "AQ_UNDO");
	rc = aq_undo_write(submitter, &p->map, &p->lists, &undo, err);
	if (rc)
		return rc;
	aq_envmap_set(&p->map, "AQ_UNDO", aq_str_get(&undo));
	return 0;
}

struct changes {
	struct aq_strv *set, *unset;
};

static void add_change(const char *name, const char *was, const char *is,
		       void *arg)
{
	const struct changes *c = arg;

	(void)was;
	if (is)
		aq_strv_add_fmt(c->set, "%s=%s", name, is);
	else
		aq_strv_add(c->unset, name);
}

static int differences(const struct aq_envmap *from, const struct aq_envmap *to,
		       struct aq_strv *ret_set, struct aq_strv *ret_unset,
		       struct aq_err *err)
{
	struct changes c = { ret_set, ret_unset };
	int rc;

	aq_envmap_differ(from, to, add_change, &c);
	rc = aq_strv_done(ret_set, "the list of variables", err);
	return rc ? rc : aq_strv_done(ret_unset, "the list of variables", err);
}

int aq_envops_plan(char *const env[], const char *ops, size_t len,
		   struct aq_strv *ret_set, struct aq_strv *ret_unset,
		   struct aq_err *err)
{
	__attribute__((cleanup(plan_free))) struct plan p = { 0 };
	cleanup_envmap struct aq_envmap old = { 0 }, submitter = { 0 };
	const char *undo;
	int rc = 0;

	aq_envmap_load(&old, env);
	aq_envmap_copy(&submitter, &old);
	undo = aq_envmap_get(&old, "AQ_UNDO");
	if (undo) {
		aq_envmap_unset(&submitter, "AQ_UNDO");
		/* a damaged one is only dropped */
		(void)aq_undo_apply(&submitter, undo);
	}
	aq_envmap_copy(&p.map, &submitter);
	if (ops && !p.map.is_broken)
		rc = apply_ops(&p, &submitter, ops, len, err);
	if (rc)
		return rc;
	if (p.map.is_broken || old.is_broken || submitter.is_broken)
		return aq_fail(err, AQ_SYS, "out of memory for the task's variables");
	ret_set->max = ret_unset->max = AQ_ENVMAP_MAX;
	return differences(&old, &p.map, ret_set, ret_unset, err);
}
