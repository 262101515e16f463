/* SPDX-License-Identifier: Apache-2.0 */
#include "common/share.h"

#include <stdlib.h>
#include <time.h>

#include "common/grow.h"

#define CLAIMS_MAX 1000000 /* environments of a node */

void aq_claims_free(struct aq_claims *claims)
{
	free(claims->v);
	*claims = (struct aq_claims){ 0 };
}

/* Of what was just used nothing goes for room; a time to come is now. */
static bool can_go(const struct aq_candidate *c, uint64_t now, uint64_t grace)
{
	uint64_t age = c->last_used < now ? now - c->last_used : 0;

	return !c->is_held && !c->is_pinned && !c->is_base && !c->n_children &&
	       age >= grace;
}

static int add_all(struct aq_claims *claims, const struct aq_conf *conf,
		   const struct aq_candidate *v, size_t n, struct aq_err *err)
{
	uint64_t now = (uint64_t)time(NULL);

	for (size_t i = 0; i < n; i++) {
		if (!can_go(&v[i], now, conf->grace))
			continue;
		if (!aq_grow(claims->v, claims->n, CLAIMS_MAX))
			return aq_fail_errno(err, "cannot list what could go");
		claims->v[claims->n++] = (struct aq_claim){
			.last_used = v[i].last_used,
			.bytes = v[i].bytes,
			.uid = conf->domain.uid,
		};
	}
	return 0;
}

int aq_claims_add(struct aq_claims *claims, const struct aq_conf *conf,
		  struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_candidate *v = NULL;
	size_t n = 0;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (rc) /* no cache yet has nothing */
		return rc == AQ_MISS ? 0 : rc;
	rc = aq_refs_open(conf, &refs, err);
	if (!rc)
		rc = aq_store_candidates(store, refs, &v, &n, err);
	if (!rc) {
		aq_candidates_count_children(v, n);
		rc = add_all(claims, conf, v, n, err);
	}
	free(v);
	return rc;
}

static int by_use(const void *a, const void *b)
{
	const struct aq_claim *x = a, *y = b;

	if (x->last_used != y->last_used)
		return x->last_used < y->last_used ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

uint64_t aq_claims_share(struct aq_claims *claims, uint32_t uid,
			 uint64_t wanted)
{
	uint64_t sum = 0, share = 0;

	if (claims->n > 1)
		qsort(claims->v, claims->n, sizeof(*claims->v), by_use);
	for (size_t i = 0; i < claims->n && sum < wanted; i++) {
		sum += claims->v[i].bytes;
		share += claims->v[i].uid == uid ? claims->v[i].bytes : 0;
	}
	return share;
}
