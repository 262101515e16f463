/* SPDX-License-Identifier: Apache-2.0 */
/* What a terminal gets that a pipe does not: colours, and a line that moves.
 * And for both: no text from elsewhere (package names, a client's output)
 * reaches them with its control characters.
 */
#ifndef AQ_CLI_TERM_H
#define AQ_CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/str.h"

enum term_colour { TERM_BOLD, TERM_DIM, TERM_RED, TERM_YELLOW };

/* Whether 'out' is a terminal that understands escapes. */
bool term_is(FILE *out);

/* Print 'text', control characters and what is not UTF-8 as \xNN; newlines
 * stay.
 */
void term_print(FILE *out, const char *text);

/* The same in a colour, where 'out' is a terminal and NO_COLOR
 * (no-color.org) is not set.
 */
void term_print_in(FILE *out, enum term_colour colour, const char *text);

/* Progress on standard error.  A pipe gets each line as it is, with "aq: "
 * before it; a terminal gets one line, after the first second, which moves and
 * says the last one and the seconds so far, and is gone at the end; with NO_COLOR
 * it is treated as a pipe.
 */
struct term_progress {
	bool is_moving;     /* a terminal */
	bool is_shown;
	unsigned int frame;
	int64_t start_ms;   /* CLOCK_MONOTONIC */
	struct aq_str line; /* what has no newline yet */
	char last[256];
	unsigned int done, of; /* of what was said last; of 0: not known */
};

void term_progress_begin(struct term_progress *p);
/* Bytes as they come from a builder: lines, and "[DONE/OF]" (builder/builder.h: say_done). */
void term_progress_add(struct term_progress *p, const char *mem, size_t len);
/* Time has passed: call it every TERM_TICK_MS. */
#define TERM_TICK_MS 100
void term_progress_tick(struct term_progress *p);
void term_progress_end(struct term_progress *p);

/* How many columns the terminal 'out' has; 0: it is none. */
size_t term_columns(FILE *out);

#endif
