/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions of and, or and parentheses in normal form: operands flattened,
 * in a fixed order, each once; parentheses only where they are needed.
 * Version specs and environment markers are made of these.
 */
#ifndef AQ_BOOLEAN_H
#define AQ_BOOLEAN_H

#include "common/err.h"
#include "common/str.h"

#define AQ_BOOLEAN_DEPTH_MAX 8	  /* parentheses inside each other */
#define AQ_BOOLEAN_PARTS_MAX 1024 /* operands of one and, or one or */

enum aq_boolean_kind {
	AQ_BOOLEAN_ANY,	 /* always true */
	AQ_BOOLEAN_ATOM, /* parts: the one */
	AQ_BOOLEAN_AND,	 /* parts: two or more, atoms or "(a or b)" */
	AQ_BOOLEAN_OR,	 /* parts: two or more, atoms or "a and b" */
};

struct aq_boolean {
	enum aq_boolean_kind kind;
	struct aq_strv parts;
};

struct aq_boolean_style {
	const char *conjunction, *disjunction; /* "," and "|" */
	int (*rank)(const char *atom); /* sorts before bytes do, or NULL */
};

/* An atom of 'text'. */
struct aq_boolean aq_boolean_atom(const char *text);

void aq_boolean_free(struct aq_boolean *b);
#define cleanup_boolean __attribute__((cleanup(aq_boolean_free)))

/* 'left' becomes "left and right" / "left or right"; 'right' is emptied. */
void aq_boolean_and(struct aq_boolean *left, struct aq_boolean *right,
		    const struct aq_boolean_style *style);
void aq_boolean_or(struct aq_boolean *left, struct aq_boolean *right,
		   const struct aq_boolean_style *style);

/* Append the text; ANY is "*". */
void aq_boolean_print(const struct aq_boolean *b,
		      const struct aq_boolean_style *style, struct aq_str *out);

/* 0, or AQ_USER: too many operands; or AQ_SYS. */
AQ_CHECK int aq_boolean_done(const struct aq_boolean *b, struct aq_err *err);

#endif
