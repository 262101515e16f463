/* SPDX-License-Identifier: Apache-2.0 */
#include "common/vmatch.h"

#include <string.h>

#include "common/boolean.h"
#include "common/text.h"
#include "common/vorder.h"

int aq_version_compare(const char *a, const char *b, int *ret,
		       struct aq_err *err)
{
	struct aq_vorder va, vb;
	char show[AQ_SHOW_SIZE];
	bool is_a = aq_vorder_parse(a, strlen(a), &va);
	int diff;

	if (!is_a || !aq_vorder_parse(b, strlen(b), &vb))
		return aq_fail(err, AQ_USER, "'%s' is not a version",
			       aq_show(is_a ? b : a, show));
	diff = aq_vorder_compare(&va, &vb);
	*ret = diff < 0 ? -1 : diff > 0;
	return 0;
}

/* -- three values -------------------------------------------------------- */

static enum aq_match match_if(bool yes)
{
	return yes ? AQ_MATCH_YES : AQ_MATCH_NO;
}

static enum aq_match match_and(enum aq_match a, enum aq_match b)
{
	if (a == AQ_MATCH_NO || b == AQ_MATCH_NO)
		return AQ_MATCH_NO;
	return a == AQ_MATCH_YES ? b : a;
}

static enum aq_match match_not(enum aq_match a)
{
	return a == AQ_MATCH_UNSURE ? a : match_if(a == AQ_MATCH_NO);
}

static enum aq_match match_or(enum aq_match a, enum aq_match b)
{
	return match_not(match_and(match_not(a), match_not(b)));
}

/* -- versions ------------------------------------------------------------ */

struct eval {
	const char *p; /* what is left of the spec */
	const char *text;
	const struct aq_vorder *version; /* of 'text' */
	bool is_odd; /* not in normal form, or no two clients read it alike */
};

static enum aq_match give_up(struct eval *e)
{
	e->is_odd = true;
	return AQ_MATCH_UNSURE;
}

/* Segment i, counted without the local ones. */
static size_t segment_of(const struct aq_vorder *v, size_t i)
{
	return i < v->n_main ? i : v->n_all;
}

static bool is_begun_word(const struct aq_vpart *a, const struct aq_vpart *b)
{
	return a->kind == AQ_VPART_WORD && b->kind == AQ_VPART_WORD &&
	       a->len > b->len && strncasecmp(a->s, b->s, b->len) == 0;
}

/* Whether 'v' is one of prefix.*, where conda (VersionOrder.startswith) and
 * rattler (Version::starts_with) agree, also in its old releases.  Not sure:
 * 1.2rc1 in 1.2r.*, which only conda finds; 1 in 1.0.*, which old rattlers do
 * not find; 1.2a.3 in 1.2.9.*, which only those find.
 */
static enum aq_match starts_with(const struct aq_vorder *v,
				 const struct aq_vorder *prefix)
{
	bool is_sure = true;

	for (size_t i = 0; i < prefix->n_main; i++) {
		size_t at = segment_of(v, i), n = prefix->segments[i].n;

		for (size_t j = 0; j < n; j++) {
			const struct aq_vpart *a = aq_vorder_part(v, at, j);
			const struct aq_vpart *b = aq_vorder_part(prefix, i, j);

			if (is_begun_word(a, b))
				return AQ_MATCH_UNSURE;
			if (aq_vpart_compare(a, b) != 0)
				return AQ_MATCH_NO;
			is_sure = is_sure && aq_vorder_has_part(v, at, j);
		}
		if (i + 1 < prefix->n_main && aq_vorder_has_part(v, at, n))
			return AQ_MATCH_UNSURE;
	}
	return is_sure ? AQ_MATCH_YES : AQ_MATCH_UNSURE;
}

/* ~=1.2.3 is >=1.2.3,1.2.*: conda cuts the text at its last dot, rattler the
 * last segment; of a version without a dot conda can make nothing.
 */
static enum aq_match compatible(struct eval *e, struct aq_vorder *limit,
				const char *p, size_t len)
{
	if (limit->n_main <= 2 || memchr(p, '_', len) || memchr(p, '-', len))
		return give_up(e);
	if (aq_vorder_compare(e->version, limit) < 0)
		return AQ_MATCH_NO;
	limit->n_all = --limit->n_main;
	return starts_with(e->version, limit);
}

/* 'op' on the version p[0..len), which has lost its ".*". */
static enum aq_match match_condition(struct eval *e, const char *op,
				     const char *p, size_t len, bool star)
{
	struct aq_vorder limit;
	int diff;

	if (!aq_vorder_parse(p, len, &limit) || limit.is_odd)
		return give_up(e);
	if ((star || *op == '~') && limit.n_all > limit.n_main)
		return give_up(e); /* local ones: too rare to compare */
	if (star && !*op)
		return starts_with(e->version, &limit);
	if (star && strcmp(op, "!=") == 0)
		return match_not(starts_with(e->version, &limit));
	if (star || !*op)
		return give_up(e);
	if (*op == '~')
		return compatible(e, &limit, p, len);
	diff = aq_vorder_compare(e->version, &limit);
	if (strcmp(op, "==") == 0 && !diff)
		return strlen(e->text) == len && strncmp(e->text, p, len) == 0
			       ? AQ_MATCH_YES
			       : AQ_MATCH_UNSURE;
	if (*op == '>')
		return match_if(diff > 0 || (op[1] && !diff));
	if (*op == '<')
		return match_if(diff < 0 || (op[1] && !diff));
	return match_if(*op == '!' && diff);
}

static enum aq_match eval_atom(struct eval *e)
{
	static const char *const ops[] = { "==", "!=", ">=", "<=",
					   "~=", ">",  "<",  "" };
	size_t len = strcspn(e->p, ",|()");
	const char *op = NULL, *p;
	bool star;

	for (size_t i = 0; !op; i++)
		if (aq_starts_with(e->p, ops[i]))
			op = ops[i];
	p = e->p + strlen(op);
	e->p += len;
	len -= strlen(op);
	star = len > 2 && strncmp(p + len - 2, ".*", 2) == 0;
	return match_condition(e, op, p, star ? len - 2 : len, star);
}

static enum aq_match eval_or(struct eval *e, int depth);

static enum aq_match eval_primary(struct eval *e, int depth)
{
	enum aq_match match;

	if (*e->p != '(')
		return eval_atom(e);
	if (depth >= AQ_BOOLEAN_DEPTH_MAX)
		return give_up(e);
	e->p++;
	match = eval_or(e, depth + 1);
	if (*e->p != ')')
		return give_up(e);
	e->p++;
	return match;
}

static enum aq_match eval_and(struct eval *e, int depth)
{
	enum aq_match match = eval_primary(e, depth);

	while (*e->p == ',') {
		e->p++;
		match = match_and(match, eval_primary(e, depth));
	}
	return match;
}

static enum aq_match eval_or(struct eval *e, int depth)
{
	enum aq_match match = eval_and(e, depth);

	while (*e->p == '|') {
		e->p++;
		match = match_or(match, eval_and(e, depth));
	}
	return match;
}

enum aq_match aq_vspec_matches(const char *spec, const char *version)
{
	struct aq_vorder v;
	struct eval e = { .p = spec, .text = version, .version = &v };
	enum aq_match match;

	if (strcmp(spec, "*") == 0)
		return AQ_MATCH_YES;
	if (!aq_vorder_parse(version, strlen(version), &v) || v.is_odd)
		return AQ_MATCH_UNSURE;
	match = eval_or(&e, 0);
	/* a client that refuses a part refuses the whole, even an "or" */
	return e.is_odd || *e.p ? AQ_MATCH_UNSURE : match;
}
