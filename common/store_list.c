/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store_list.h"

#include <stdlib.h>

struct listing {
	struct aq_candidate *v; /* by name */
	size_t n;
	aq_listed_fn *fn;
	void *arg;
};

static bool fill(const struct listing *l, const struct aq_env *env,
		 struct aq_listed *ret)
{
	const struct aq_candidate *c =
		aq_candidates_find(l->v, l->n, env->name);

	if (!c)
		return false;
	*ret = (struct aq_listed){
		.env = env,
		.references = c->n_references,
		.children = c->n_children,
		.is_base = c->is_base,
		.is_obsolete = aq_candidate_is_obsolete(l->v, l->n, c),
	};
	return true;
}

static int list_one(const struct aq_env *env, void *arg, struct aq_err *err)
{
	const struct listing *l = arg;
	struct aq_listed listed;

	/* not there: committed since we looked */
	return fill(l, env, &listed) ? l->fn(&listed, l->arg, err) : 0;
}

static int read_candidates(struct aq_store *store, struct aq_refs *refs,
			   struct listing *l, struct aq_err *err)
{
	int rc = aq_store_candidates(store, refs, &l->v, &l->n, err);

	if (!rc)
		aq_candidates_count_children(l->v, l->n);
	return rc;
}

int aq_store_list(struct aq_store *store, struct aq_refs *refs,
		  enum aq_store_order order, bool is_reverse, aq_listed_fn *fn,
		  void *arg, struct aq_err *err)
{
	struct listing l = { .fn = fn, .arg = arg };
	int rc = read_candidates(store, refs, &l, err);

	if (!rc)
		rc = aq_store_each(store, order, is_reverse, list_one, &l, err);
	free(l.v);
	return rc;
}

int aq_store_list_one(struct aq_store *store, struct aq_refs *refs,
		      const struct aq_env *env, struct aq_listed *ret,
		      struct aq_err *err)
{
	struct listing l = { 0 };
	int rc = read_candidates(store, refs, &l, err);

	if (!rc && !fill(&l, env, ret))
		rc = aq_fail(err, AQ_MISS, "'%s' is not there any more",
			     env->name);
	free(l.v);
	return rc;
}
