/* SPDX-License-Identifier: Apache-2.0 */
/* aq explain: what build() would make, and why. */
#include <stdio.h>
#include <string.h>

#include "builder/builder.h"

/* What the base does not have; of a layer that is all. */
static void add_difference(const struct build *b, struct aq_str *out)
{
	const struct aq_lock *base =
		b->base_manifest ? b->base_manifest->lock : NULL;

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];
		bool is_there = false;

		for (size_t k = 0; base && k < base->n_items; k++)
			is_there |= strcmp(base->items[k].sha256,
					   item->sha256) == 0;
		if (!is_there)
			aq_str_add_fmt(out, "add %s %s %s\n",
				       aq_lock_kind_name(item->kind),
				       item->name, item->version);
	}
}

/* Whether another key's environment has this very lock. */
static int find_same_lock(struct build *b, struct aq_env **ret,
			  struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	return rc ? rc :
		    aq_store_find_lock(store, b->lock->digest, ret, err);
}

int explain(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str text =
		AQ_STR_INIT(sizeof(b->answer->text) - 1);
	cleanup_env struct aq_env *same = NULL;
	struct aq_answer *a = b->answer;
	cleanup_close int caches = -1;
	int rc = build_resolve(b, &caches, err);

	if (!rc)
		rc = find_same_lock(b, &same, err);
	if (!rc)
		rc = build_answer(b, same, AQ_TALLY_BOUND, err);
	if (rc != AQ_MISS)
		return rc;
	if (b->base_manifest)
		aq_str_add_fmt(&text, "base %s %s\n", b->base.python,
			       b->base.env);
	if (b->reason[0])
		aq_str_add_fmt(&text, "because %s\n", b->reason);
	add_difference(b, &text);
	(void)!aq_copy_text(a->resolution, sizeof(a->resolution),
			    aq_env_kind_name(b->kind));
	(void)!aq_copy_text(a->key, sizeof(a->key), b->key);
	(void)!aq_copy_text(a->lock, sizeof(a->lock), b->lock->digest);
	/* a list that does not fit is cut */
	aq_answer_fail(a, AQ_OK, aq_str_get(&text));
	return 0;
}
