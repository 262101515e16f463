/* SPDX-License-Identifier: Apache-2.0 */
#include "common/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/request.h"
#include "common/text.h"

/* All lines together: what does not fit is counted only. */
#define PROBLEMS_TEXT_MAX (AQ_ERR_TEXT_MAX - 32)

void aq_place_note(struct aq_strv *to, struct aq_place at, const char *text)
{
	char file[AQ_SHOW_PATH_SIZE];

	aq_strv_add_fmt(to, "%s:%zu:%zu: %s", aq_show_path(at.file, file),
			at.line, at.column, text);
}

static void add(struct aq_problems *p, struct aq_place at, const char *text)
{
	p->lines.max = AQ_REQUEST_ERRORS_MAX;
	if (p->n++ < AQ_REQUEST_ERRORS_MAX)
		aq_place_note(&p->lines, at, text);
}

void aq_problem(struct aq_problems *p, struct aq_place at, const char *fmt, ...)
{
	char text[AQ_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(p, at, text);
}

void aq_problem_err(struct aq_problems *p, struct aq_place at,
		    const struct aq_err *err)
{
	add(p, at, err->text);
	if (err->class != AQ_USER)
		p->system = AQ_SYS;
}

int aq_problems_done(const struct aq_problems *p, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PROBLEMS_TEXT_MAX);
	char more[32] = "";
	size_t told = 0;

	if (!p->n)
		return 0;
	while (told < p->lines.n && !text.broken) {
		aq_str_add_fmt(&text, "%s%s", told ? "\n" : "",
			       p->lines.v[told]);
		told += !text.broken;
	}
	if (p->n > told)
		snprintf(more, sizeof(more), "%sand %zu more", told ? "\n" : "",
			 p->n - told);
	return aq_fail(err, p->system ? AQ_SYS : AQ_USER, "%s%s",
		       aq_str_get(&text), more);
}

void aq_problems_free(struct aq_problems *p)
{
	aq_strv_free(&p->lines);
}
