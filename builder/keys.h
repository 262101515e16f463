/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that were built for a user lately, as lines "SECONDS KEY".  Pure. */
#ifndef BUILDER_KEYS_H
#define BUILDER_KEYS_H

#include <stdbool.h>

#include "common/str.h"

/* Of a key; two that agree in them count as one. */
#define KEYS_DIGITS 16
#define KEYS_LINE_MAX (20 + 1 + KEYS_DIGITS + 1)

struct keys {
	size_t n;        /* other keys than ours of the last 'period' */
	uint64_t oldest; /* when the first of them was */
	bool has_ours;
};

/* Read 'text', from a file that may be damaged, at 'now'; what counts is appended
 * to 'kept' (may be NULL), without ours.  What is in the future was not.
 */
struct keys keys_read(const char *text, const char *ours, uint64_t now,
		      uint64_t period, struct aq_str *kept);
void keys_add(struct aq_str *text, const char *ours, uint64_t now);

#endif
