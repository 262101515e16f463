/* SPDX-License-Identifier: Apache-2.0 */
/* Several errors of one request, told together: "FILE:LINE:COLUMN: text". */
#ifndef AQ_PROBLEMS_H
#define AQ_PROBLEMS_H

#include "common/err.h"
#include "common/str.h"

/* A place in somebody's file. */
struct aq_place {
	const char *file;    /* as the user named it */
	size_t line, column; /* from 1, in characters */
};

struct aq_problems {
	struct aq_strv lines; /* at most AQ_REQUEST_ERRORS_MAX are kept */
	size_t n;	      /* all of them */
	int system;	      /* AQ_SYS once anything was that, else 0 */
};

/* Note a problem at 'at'. */
void aq_problem(struct aq_problems *p, struct aq_place at, const char *fmt, ...)
	AQ_PRINTF(3, 4);

/* Note what 'err' holds; an AQ_SYS stops everything. */
void aq_problem_err(struct aq_problems *p, struct aq_place at,
		    const struct aq_err *err);

/* Append "FILE:LINE:COLUMN: text" to 'to'. */
void aq_place_note(struct aq_strv *to, struct aq_place at, const char *text);

/* 0 if there was none; else 'err' gets the lines and its class returns. */
AQ_CHECK int aq_problems_done(const struct aq_problems *p, struct aq_err *err);

void aq_problems_free(struct aq_problems *p);
#define cleanup_problems __attribute__((cleanup(aq_problems_free)))

#endif
