/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment in an order.  Who is called may take its time, as a list
 * does whose reader is a pager; builders that want to commit must not wait for
 * it.  So all are read before anybody is called: some 350 bytes each.
 */
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "common/store_inside.h"

struct one {
	uint64_t key;
	struct aq_env *env;
};

struct all {
	struct one *v;
	size_t n;
	enum aq_store_order order;
	bool is_reverse;
};

static void all_free(struct all *a)
{
	for (size_t i = 0; i < a->n; i++)
		aq_env_free(a->v[i].env);
	free(a->v);
}
#define cleanup_all __attribute__((cleanup(all_free)))

uint64_t aq_store_sort_key(const struct aq_env *env, enum aq_store_order order,
			   bool is_reverse)
{
	uint64_t key = 0;

	switch (order) {
	case AQ_STORE_BY_NAME:
		return 0;
	case AQ_STORE_BY_SIZE:
		key = env->size_own + env->size_shared;
		break;
	case AQ_STORE_BY_OWN:
		key = env->size_own;
		break;
	case AQ_STORE_BY_USES:
		key = env->uses;
		break;
	case AQ_STORE_BY_USED:
		key = env->last_used;
		break;
	case AQ_STORE_BY_CREATED:
		key = env->created;
		break;
	}
	return is_reverse ? key : UINT64_MAX - key;
}

static int add_row(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct all *a = arg;
	struct one *new;
	int rc;

	if (!aq_grow(a->v, a->n, AQ_STORE_ENVS_MAX))
		return aq_fail_errno(err, "cannot list the environments");
	new = &a->v[a->n];
	rc = aq_store_read_env(row, &new->env, err);
	if (rc)
		return rc;
	new->key = aq_store_sort_key(new->env, a->order, a->is_reverse);
	a->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct one *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return strcmp(x->env->name, y->env->name);
}

int aq_store_each(struct aq_store *store, enum aq_store_order order,
		  bool is_reverse, aq_store_each_fn fn, void *arg,
		  struct aq_err *err)
{
	cleanup_all struct all all = { .order = order,
				       .is_reverse = is_reverse };
	bool is_backward = order == AQ_STORE_BY_NAME && is_reverse;
	int rc = aq_db_run(store->db,
			   "SELECT " AQ_STORE_ENV_COLUMNS("NULL")
			   " FROM environments e",
			   NULL, 0, add_row, &all, err);

	if (rc == AQ_MISS)
		rc = 0;
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), compare);
	for (size_t i = 0; !rc && i < all.n; i++)
		rc = fn(all.v[is_backward ? all.n - 1 - i : i].env, arg, err);
	return rc;
}
