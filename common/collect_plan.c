/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/collect.h"

const char *aq_collect_reason(enum aq_collect_why why)
{
	switch (why) {
	case AQ_COLLECT_LEFT:
		return "left";
	case AQ_COLLECT_OBSOLETE:
		return "obsolete";
	case AQ_COLLECT_AGE:
		return "age";
	case AQ_COLLECT_QUOTA:
		return "quota";
	case AQ_COLLECT_ROOM:
		return "room";
	case AQ_COLLECT_DAMAGED:
		return "damaged";
	}
	return "unknown";
}

void aq_plan_free(struct aq_plan *plan)
{
	free(plan->v);
	*plan = (struct aq_plan){ 0 };
}

struct planning {
	struct aq_candidate *v; /* by name */
	struct aq_candidate **order; /* least lately used first */
	size_t n;
	const struct aq_conf *conf;
	const struct aq_collect_state *state;
	struct aq_plan *plan;
	uint64_t *users; /* bytes for each user who has any */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, ((const struct aq_candidate *)b)->name);
}

struct aq_candidate *aq_candidates_find(struct aq_candidate *v, size_t n,
					const char *name)
{
	return *name && n ? bsearch(name, v, n, sizeof(*v), by_name) : NULL;
}

static struct aq_candidate *find(const struct planning *p, const char *name)
{
	return aq_candidates_find(p->v, p->n, name);
}

static int by_use(const void *a, const void *b)
{
	const struct aq_candidate *x = *(struct aq_candidate *const *)a;
	const struct aq_candidate *y = *(struct aq_candidate *const *)b;

	if (x->last_used != y->last_used)
		return x->last_used < y->last_used ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool can_go(const struct aq_candidate *c)
{
	return !c->is_victim && !c->is_held && !c->is_pinned && !c->is_base &&
	       !c->n_children;
}

static bool is_left(const struct planning *p, const struct aq_candidate *c)
{
	(void)p;
	return c->is_left;
}

/* Keys name the current base: what inherits from another one, and a former base
 * that nobody asked for but as a base, will not be asked for again.
 */
bool aq_candidate_is_obsolete(struct aq_candidate *v, size_t n,
			      const struct aq_candidate *c)
{
	const struct aq_candidate *base = aq_candidates_find(v, n, c->base);

	if (c->kind == AQ_ENV_BASE)
		return !c->is_base && !c->uses;
	return c->base[0] && !(base && base->is_base);
}

static bool is_obsolete(const struct planning *p, const struct aq_candidate *c)
{
	return aq_candidate_is_obsolete(p->v, p->n, c);
}

static uint64_t age_of(const struct planning *p, const struct aq_candidate *c)
{
	return c->last_used < p->state->now ? p->state->now - c->last_used : 0;
}

static bool is_old(const struct planning *p, const struct aq_candidate *c)
{
	return p->conf->max_age && age_of(p, c) > p->conf->max_age;
}

/* What was used at a time to come was either used after this collector looked
 * at its clock, or before a clock was set back by years: that must not keep it
 * for as long.
 */
static bool is_recent(const struct planning *p, const struct aq_candidate *c)
{
	uint64_t now = p->state->now;

	return (c->last_used > now ? c->last_used - now : now - c->last_used) <
	       p->conf->grace;
}

static bool is_over_quota(const struct planning *p,
			  const struct aq_candidate *c)
{
	return c->user_bytes && *c->user_bytes > p->conf->user_quota &&
	       !is_recent(p, c);
}

static bool makes_room(const struct planning *p, const struct aq_candidate *c)
{
	return p->plan->bytes < p->plan->wanted && !is_recent(p, c);
}

static bool take(struct planning *p, struct aq_candidate *c,
		 enum aq_collect_why why)
{
	struct aq_candidate *base = find(p, c->base);
	struct aq_plan *plan = p->plan;

	if (c->bytes > p->state->max_freed - plan->bytes)
		return false;
	c->is_victim = true;
	if (base)
		base->n_children--;
	if (c->user_bytes)
		*c->user_bytes -= c->bytes;
	plan->v[plan->n] = (struct aq_victim){ .why = why,
					       .last_used = c->last_used,
					       .bytes = c->bytes };
	memcpy(plan->v[plan->n++].name, c->name, sizeof(c->name));
	plan->bytes += c->bytes;
	return true;
}

/* A base can go once its children do: again, until nothing more does. */
static void choose(struct planning *p, enum aq_collect_why why,
		   bool (*is_one)(const struct planning *p,
				  const struct aq_candidate *c))
{
	bool has_changed = true;

	while (has_changed) {
		has_changed = false;
		for (size_t i = 0; i < p->n; i++)
			if (can_go(p->order[i]) && is_one(p, p->order[i]))
				has_changed |= take(p, p->order[i], why);
	}
}

static uint64_t over(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void aq_candidates_count_children(struct aq_candidate *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i].n_children = 0;
	for (size_t i = 0; i < n; i++) {
		struct aq_candidate *base = aq_candidates_find(v, n, v[i].base);

		if (base)
			base->n_children++;
	}
}

static int by_user(const void *a, const void *b)
{
	const struct aq_candidate *x = *(struct aq_candidate *const *)a;
	const struct aq_candidate *y = *(struct aq_candidate *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* What root built is for everybody. */
static void add_users(struct planning *p)
{
	uint64_t *user = p->users;

	qsort(p->order, p->n, sizeof(*p->order), by_user);
	for (size_t i = 0; i < p->n; i++) {
		struct aq_candidate *c = p->order[i];

		if (!c->uid)
			continue;
		if (i && p->order[i - 1]->uid != c->uid)
			user++;
		c->user_bytes = user;
		*user += c->bytes;
	}
}

static void prepare(struct planning *p)
{
	const struct aq_collect_state *s = p->state;
	uint64_t size = p->conf->max_size ? over(s->size, p->conf->max_size) : 0;
	uint64_t room = over(p->conf->min_free, s->free);

	p->plan->wanted = size > room ? size : room;
	for (size_t i = 0; i < p->n; i++) {
		p->order[i] = &p->v[i];
		p->v[i].is_victim = false;
		p->v[i].user_bytes = NULL;
		p->plan->n_held += p->v[i].is_held;
	}
	aq_candidates_count_children(p->v, p->n);
	if (p->conf->user_quota)
		add_users(p);
	qsort(p->order, p->n, sizeof(*p->order), by_use);
}

int aq_plan_make(struct aq_candidate *v, size_t n, const struct aq_conf *conf,
		 const struct aq_collect_state *state, struct aq_plan *ret,
		 struct aq_err *err)
{
	struct planning p = { .v = v, .n = n, .conf = conf, .state = state,
			      .plan = ret };

	*ret = (struct aq_plan){ .v = calloc(n + 1, sizeof(*ret->v)) };
	p.order = calloc(n + 1, sizeof(struct aq_candidate *));
	p.users = calloc(n + 1, sizeof(*p.users));
	if (!ret->v || !p.order || !p.users) {
		free(p.order);
		free(p.users);
		aq_plan_free(ret);
		return aq_fail(err, AQ_SYS, "out of memory");
	}
	prepare(&p);
	choose(&p, AQ_COLLECT_LEFT, is_left);
	choose(&p, AQ_COLLECT_OBSOLETE, is_obsolete);
	choose(&p, AQ_COLLECT_LEFT, is_left); /* what those inherited from */
	choose(&p, AQ_COLLECT_AGE, is_old);
	choose(&p, AQ_COLLECT_QUOTA, is_over_quota);
	choose(&p, AQ_COLLECT_ROOM, makes_room);
	free(p.order);
	free(p.users);
	return 0;
}
