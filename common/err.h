/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, as a class that says what to do about it and a text that
 * says it to a person.  The class is the policy; the text is for one line (or
 * a few) of a terminal or a log.  Libraries never log: the caller at the rim
 * does, once.
 */
#ifndef AQ_ERR_H
#define AQ_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#include "common/cleanup.h"

/* A function returns 0 or one of these. */
enum aq_class {
	AQ_OK = 0,
	AQ_MISS,    /* not there; no failure */
	AQ_BUSY,    /* somebody else has it: retry or skip */
	AQ_USER,    /* the user's input: show it to the user */
	AQ_SYS,     /* the system or our own: log it */
	AQ_CORRUPT, /* damaged state of ours: set aside and rebuild */
};

/* Room for a message of several lines: a request may have several errors, a
 * failed build quotes its client's last lines.  Longer ones are cut.
 */
#define AQ_ERR_TEXT_MAX 4096

struct aq_err {
	enum aq_class class;
	int errnum;                 /* errno, or 0 */
	char text[AQ_ERR_TEXT_MAX]; /* UTF-8, no newline at the end */
};

/* Set 'err' (may be NULL) and return 'class', so that a failing branch is one
 * line: return aq_fail(err, AQ_USER, "unknown key '%s'", key);
 * Messages are lower case, name their subject in quotes, have no full stop.
 */
int aq_fail(struct aq_err *err, enum aq_class class, const char *fmt, ...)
	AQ_PRINTF(3, 4);

/* The same with class AQ_SYS, errno's text appended and errno kept in it. */
int aq_fail_errno(struct aq_err *err, const char *fmt, ...) AQ_PRINTF(2, 3);

/* Put "fmt: " before the text that is there: context added on the way up.
 * Returns the class that 'err' holds.
 */
int aq_fail_prefix(struct aq_err *err, const char *fmt, ...) AQ_PRINTF(2, 3);

/* Empty it. */
void aq_err_clear(struct aq_err *err);

/* The class's name for logs and JSON: "user", "system", … */
const char *aq_class_name(enum aq_class class);

#endif
