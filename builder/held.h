/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says, held until no secret can be cut in two by where a read
 * ended; then redacted (common/redact.h) and passed on.
 */
#ifndef AQ_BUILDER_HELD_H
#define AQ_BUILDER_HELD_H

#include <stddef.h>

#include "common/str.h"

/* What is looked at at once, in bytes: longer than any line worth reading. */
#define HELD_MAX (16 * 1024)

struct held {
	const struct aq_strv *secrets; /* or NULL */
	void (*say)(void *arg, const char *text, size_t len);
	void *arg;
	char text[HELD_MAX];
	size_t len;
};

/* Pass on, by h->say, what ends in a whole line; of a line that is too long what
 * ends in a whole word, and "?" for a word of that length.
 */
void held_add(struct held *h, const char *text, size_t len);

/* The program has ended: pass on the rest. */
void held_end(struct held *h);

#endif
