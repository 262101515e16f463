/* SPDX-License-Identifier: Apache-2.0 */
/* Room that a node wants of all its domains: each gives what was used least lately,
 * whoever's it is, so that none lives at another's cost.
 */
#ifndef AQ_SHARE_H
#define AQ_SHARE_H

#include <stdint.h>

#include "common/collect.h"

/* An environment that could go to make room. */
struct aq_claim {
	uint64_t last_used, bytes;
	uint32_t uid; /* whose domain has it; 0: the shared one */
};
struct aq_claims {
	struct aq_claim *v;
	size_t n;
};
void aq_claims_free(struct aq_claims *claims);
#define cleanup_claims __attribute__((cleanup(aq_claims_free)))

/* Those of one domain, as things are now. */
AQ_CHECK int aq_claims_add(struct aq_claims *claims, const struct aq_conf *conf,
			   struct aq_err *err);

/* How many of 'wanted' bytes domain 'uid' gives.  Sorts the claims; pure. */
uint64_t aq_claims_share(struct aq_claims *claims, uint32_t uid,
			 uint64_t wanted);

#endif
