/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/order.h"

#include <stdlib.h>
#include <string.h>

static int by_arrival(const void *a, const void *b)
{
	const struct ticket *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static size_t last_served(const struct order *o, uint32_t uid)
{
	for (size_t i = o->n_served; i > 0; i--)
		if (o->served[i - 1] == uid)
			return i;
	return 0;
}

/* All tickets of a key whose turn has come are through. */
static void pass(struct order *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->v[i].key, key) == 0)
			o->v[i].is_past = true;
}

static void prepare(struct order *o)
{
	if (o->n)
		qsort(o->v, o->n, sizeof(*o->v), by_arrival);
	for (size_t i = 0; i < o->n; i++) {
		o->v[i].served = last_served(o, o->v[i].uid);
		o->v[i].is_past = false;
	}
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].state == TICKET_BUILDS)
			pass(o, o->v[i].key);
}

static size_t count_building(const struct order *o, uint32_t uid)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += o->v[i].state == TICKET_BUILDS && o->v[i].uid &&
		     (!uid || o->v[i].uid == uid);
	return n;
}

size_t order_count_building(const struct order *o)
{
	return count_building(o, 0);
}

static bool may_have_more(const struct order *o, const struct ticket *t)
{
	return !o->max_builds_user ||
	       count_building(o, t->uid) < o->max_builds_user;
}

/* Whether 'a' is before 'b', which came before it. */
static bool is_before(const struct ticket *a, const struct ticket *b)
{
	if (!a->uid || !b->uid)
		return !a->uid && b->uid;
	return a->served < b->served;
}

struct ticket *order_holder(struct order *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].state == TICKET_QUEUES &&
		    strcmp(o->v[i].key, key) == 0)
			return &o->v[i];
	return NULL;
}

/* Whose turn it is, or NULL; with 'is_now' only of those who may build now. */
static struct ticket *choose(struct order *o, bool is_now)
{
	struct ticket *next = NULL;
	const bool is_full = o->max_builds &&
			     count_building(o, 0) >= o->max_builds;

	for (size_t i = 0; i < o->n; i++) {
		struct ticket *t = &o->v[i];

		if (t->is_past || (next && !is_before(t, next)))
			continue;
		if (!is_now || !t->uid || (!is_full && may_have_more(o, t)))
			next = t;
	}
	return next;
}

struct ticket *order_next(struct order *o)
{
	struct ticket *next;

	prepare(o);
	while ((next = choose(o, true)) && !order_holder(o, next->key))
		next->is_past = true;
	return next;
}

size_t order_count_before(struct order *o, const char *key)
{
	const struct ticket *next;
	size_t now = o->n_served, n = 0;

	prepare(o);
	while ((next = choose(o, false)) && strcmp(next->key, key) != 0) {
		const uint32_t uid = next->uid;

		n++;
		now++;
		pass(o, next->key);
		for (size_t i = 0; i < o->n; i++)
			if (o->v[i].uid == uid)
				o->v[i].served = now;
	}
	return n;
}
