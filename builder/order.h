/* SPDX-License-Identifier: Apache-2.0 */
/* Which build begins next.  Pure: queue.c keeps the tickets.
 *
 * Users take turns: the next is the one who was served least recently, of those
 * who wait and have a build left that they may run; within a user who came
 * first is first.  A key is built once: when its turn comes by any of its
 * tickets, all of them are through.
 */
#ifndef BUILDER_ORDER_H
#define BUILDER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a key, to tell keys of one node's queue apart. */
#define ORDER_KEY_DIGITS 32

enum ticket_state {
	TICKET_WAITS,  /* for who holds the key's lock */
	TICKET_QUEUES, /* holds it, and waits until the key may be built */
	TICKET_BUILDS,
};

struct ticket {
	uint64_t at;  /* the place in order of arrival */
	uint32_t uid; /* who asks; of a build that goes on: whose turn it was */
	char key[ORDER_KEY_DIGITS + 1];
	enum ticket_state state;
	/* made here */
	size_t served; /* when its user was, 0: not yet */
	bool is_past;  /* its turn has come, in what is thought through */
};

/* All that is decided from.  uid 0 is root: its builds wait for nobody, and do
 * not count.
 */
struct order {
	struct ticket *v; /* in any order; sorted here by arrival */
	size_t n;
	uint32_t *served; /* users, the one served last at the end */
	size_t n_served;
	uint64_t max_builds, max_builds_user; /* at once; 0: any number */
};

/* The ticket whose turn it is now, or NULL: nobody waits, or limits are reached.
 * Only keys count that somebody holds, who can build them.
 */
struct ticket *order_next(struct order *o);
/* Who holds 'key' and waits to build it, or NULL. */
struct ticket *order_holder(struct order *o, const char *key);

/* How many builds begin before that of 'key', were nobody to come or go; and how
 * many go on that count.
 */
size_t order_count_before(struct order *o, const char *key);
size_t order_count_building(const struct order *o);

#endif
