/* SPDX-License-Identifier: Apache-2.0 */
/* What a cache does, with each call of the C library failing once. */
#ifndef AQ_CALLS_H
#define AQ_CALLS_H

#include "common/conf.h"
#include "common/err.h"
#include "tests/unit/faults.h"

struct calls_part {
	const char *name;
	int (*fn)(void *arg, struct aq_err *err);
};
/* Parts that are done one after the other, whatever each says of itself: 0 or a
 * class.
 */
struct calls_life {
	const struct calls_part *parts;
	size_t n;
	/* Nothing fails in these, or NULL: what each life finds, and what must be
	 * so after one.
	 */
	void (*begin)(void *arg), (*check)(void *arg);
};

/* Live once for each call of 'kind' that a life makes, of many calls every
 * 'stride'th, with that call failing; and once more after each, when nothing may
 * fail.  'begin' comes before all of these and 'check' after.  Nothing crashes, and
 * no descriptor stays open.
 */
void calls_each_fails(const struct calls_life *life, void *arg,
		      enum fault_kind kind, unsigned int stride);
/* The same for all kinds that return an error: of calls for memory, which are most,
 * one in AQ_COUNT_CALLS_STRIDE, or in CALLS_STRIDE where that does not say; and of
 * the others a CALLS_FEWER-th of that.
 */
#define CALLS_STRIDE 101
#define CALLS_FEWER 7
void calls_all_fail(const struct calls_life *life, void *arg);
/* The same with every call: for a life that makes few. */
void calls_every_one_fails(const struct calls_life *life, void *arg);

/* The entries of a directory. */
unsigned int calls_entries(const char *dir, const char *name);

#endif
