/* SPDX-License-Identifier: Apache-2.0 */
/* What a list says of the environments of a cache: their rows, and how each
 * stands to references, bases and others.
 */
#ifndef AQ_STORE_LIST_H
#define AQ_STORE_LIST_H

#include "common/collect.h"

/* One of them, valid only inside the callback. */
struct aq_listed {
	const struct aq_env *env; /* without its activation */
	uint64_t references;      /* jobs and steps that hold it */
	uint64_t children;        /* environments that inherit from it */
	bool is_base;             /* a current one */
	bool is_obsolete;         /* nobody will ask for it again */
};
typedef int aq_listed_fn(const struct aq_listed *listed, void *arg,
			 struct aq_err *err);

/* Call 'fn' for all environments in that order until it returns non-zero, which
 * is returned.  'refs' may be NULL: nothing is held.  What is committed
 * meanwhile may be left out.
 */
AQ_CHECK int aq_store_list(struct aq_store *store, struct aq_refs *refs,
			   enum aq_store_order order, bool is_reverse,
			   aq_listed_fn *fn, void *arg, struct aq_err *err);

/* The same of 'env' alone; AQ_MISS: it is not there any more. */
AQ_CHECK int aq_store_list_one(struct aq_store *store, struct aq_refs *refs,
			       const struct aq_env *env, struct aq_listed *ret,
			       struct aq_err *err);

#endif
