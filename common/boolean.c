/* SPDX-License-Identifier: Apache-2.0 */
#include "common/boolean.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

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

static int compare(const char *a, const char *b,
		   const struct aq_boolean_style *style)
{
	int diff = style->rank ? style->rank(a) - style->rank(b) : 0;

	return diff ? diff : strcmp(a, b);
}

/* Put 'text' where it belongs among the sorted, unless it is there. */
static void put(struct aq_strv *v, const char *text,
		const struct aq_boolean_style *style)
{
	size_t from = 0, to = v->n;
	char *added;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int diff = compare(v->v[mid], text, style);

		if (!diff)
			return;
		if (diff < 0)
			from = mid + 1;
		else
			to = mid;
	}
	aq_strv_add(v, text);
	if (v->broken)
		return;
	added = v->v[v->n - 1];
	memmove(v->v + from + 1, v->v + from,
		(v->n - 1 - from) * sizeof(*v->v));
	v->v[from] = added;
}

/* Make 'b' a list of operands of 'kind': one, its text, if it is of the other
 * kind.
 */
static void make_operands(struct aq_boolean *b, enum aq_boolean_kind kind,
			  const struct aq_boolean_style *style)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PART_MAX);
	bool is_and = kind == AQ_BOOLEAN_AND;

	if (b->kind != kind && b->kind != AQ_BOOLEAN_ATOM) {
		aq_str_add(&text, is_and ? "(" : "");
		aq_boolean_print(b, style, &text);
		aq_str_add(&text, is_and ? ")" : "");
		aq_strv_free(&b->parts);
		aq_strv_add(&b->parts, aq_str_get(&text));
		if (text.broken)
			b->parts.broken = text.broken;
	}
	b->kind = kind;
}

static bool is_same(const struct aq_boolean *a, const struct aq_boolean *b)
{
	if (a->kind != b->kind || a->parts.n != b->parts.n)
		return false;
	for (size_t i = 0; i < a->parts.n; i++)
		if (strcmp(a->parts.v[i], b->parts.v[i]) != 0)
			return false;
	return true;
}

static void combine(struct aq_boolean *left, struct aq_boolean *right,
		    enum aq_boolean_kind kind,
		    const struct aq_boolean_style *style)
{
	if (!is_same(left, right)) {
		make_operands(left, kind, style);
		make_operands(right, kind, style);
		for (size_t i = 0; i < right->parts.n; i++)
			put(&left->parts, right->parts.v[i], style);
	}
	if (right->parts.broken && !left->parts.broken)
		left->parts.broken = right->parts.broken;
	aq_boolean_free(right);
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
	return aq_text_list_done(&b->parts, "an expression", err);
}
