/* SPDX-License-Identifier: Apache-2.0 */
#include "common/boolean.h"

#include <stdlib.h>
#include <string.h>

/* One operand's text: a whole spec is shorter (AQ_SPEC_MAX). */
#define PART_MAX 4096

struct aq_boolean aq_boolean_atom(const char *text)
{
	struct aq_boolean b = {
		.kind = AQ_BOOLEAN_ATOM,
		.parts = AQ_STRV_INIT(AQ_BOOLEAN_PARTS_MAX),
	};

	aq_strv_add(&b.parts, text);
	return b;
}

void aq_boolean_free(struct aq_boolean *b)
{
	aq_strv_free(&b->parts);
	b->kind = AQ_BOOLEAN_ANY;
}

static void join(const struct aq_strv *parts, const char *with,
		 struct aq_str *out)
{
	for (size_t i = 0; i < parts->n; i++) {
		if (i)
			aq_str_add(out, with);
		aq_str_add(out, parts->v[i]);
	}
}

void aq_boolean_print(const struct aq_boolean *b,
		      const struct aq_boolean_style *style, struct aq_str *out)
{
	if (b->kind == AQ_BOOLEAN_ANY)
		aq_str_add_char(out, '*');
	else
		join(&b->parts,
		     b->kind == AQ_BOOLEAN_OR ? style->disjunction
					      : style->conjunction,
		     out);
}

/* Append 'b' to 'to' as operands of 'kind': its own parts if it is of that
 * kind already (or an atom), else its text as one operand.
 */
static void add_operands(struct aq_strv *to, const struct aq_boolean *b,
			 enum aq_boolean_kind kind,
			 const struct aq_boolean_style *style)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PART_MAX);

	if (b->kind == kind || b->kind == AQ_BOOLEAN_ATOM) {
		for (size_t i = 0; i < b->parts.n; i++)
			aq_strv_add(to, b->parts.v[i]);
	} else {
		if (kind == AQ_BOOLEAN_AND)
			aq_str_add_char(&text, '(');
		aq_boolean_print(b, style, &text);
		if (kind == AQ_BOOLEAN_AND)
			aq_str_add_char(&text, ')');
		aq_strv_add(to, aq_str_get(&text));
		if (text.broken)
			to->broken = text.broken;
	}
	if (b->parts.broken)
		to->broken = b->parts.broken;
}

static int by_rank(const void *a, const void *b, void *arg)
{
	const char *s = *(char *const *)a, *t = *(char *const *)b;
	const struct aq_boolean_style *style = arg;
	int diff = style->rank ? style->rank(s) - style->rank(t) : 0;

	return diff ? diff : strcmp(s, t);
}

static void sort_unique(struct aq_strv *v, const struct aq_boolean_style *style)
{
	size_t out = 0;

	if (v->n < 2)
		return;
	qsort_r(v->v, v->n, sizeof(*v->v), by_rank, (void *)style);
	for (size_t i = 0; i < v->n; i++) {
		if (out && strcmp(v->v[out - 1], v->v[i]) == 0)
			free(v->v[i]);
		else
			v->v[out++] = v->v[i];
	}
	v->n = out;
	v->v[out] = NULL;
}

static void combine(struct aq_boolean *left, struct aq_boolean *right,
		    enum aq_boolean_kind kind,
		    const struct aq_boolean_style *style)
{
	struct aq_strv parts = AQ_STRV_INIT(AQ_BOOLEAN_PARTS_MAX);

	add_operands(&parts, left, kind, style);
	add_operands(&parts, right, kind, style);
	sort_unique(&parts, style);
	aq_boolean_free(right);
	if (parts.n == 1 && !parts.broken) {
		aq_strv_free(&parts); /* both were the same: keep the left */
		return;
	}
	aq_boolean_free(left);
	left->kind = kind;
	left->parts = parts;
}

void aq_boolean_and(struct aq_boolean *left, struct aq_boolean *right,
		    const struct aq_boolean_style *style)
{
	if (right->kind == AQ_BOOLEAN_ANY)
		return;
	if (left->kind == AQ_BOOLEAN_ANY) {
		*left = *right;
		*right = (struct aq_boolean){ .kind = AQ_BOOLEAN_ANY };
		return;
	}
	combine(left, right, AQ_BOOLEAN_AND, style);
}

void aq_boolean_or(struct aq_boolean *left, struct aq_boolean *right,
		   const struct aq_boolean_style *style)
{
	if (left->kind == AQ_BOOLEAN_ANY) {
		aq_boolean_free(right);
		return;
	}
	if (right->kind == AQ_BOOLEAN_ANY) {
		aq_boolean_free(left);
		return;
	}
	combine(left, right, AQ_BOOLEAN_OR, style);
}

int aq_boolean_done(const struct aq_boolean *b, struct aq_err *err)
{
	return aq_strv_done(&b->parts, "an expression's operands", err);
}
