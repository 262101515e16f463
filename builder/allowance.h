/* SPDX-License-Identifier: Apache-2.0 */
/* What a user may have built on a node: so many new keys within an hour
 * (max_new_keys), and so many bytes (user_quota).  A refusal is about whose job
 * it is and never remembered: the same key may be built for others, and what is
 * there may be used by everybody.  Root, and a cache of one's own, have no such
 * limits.
 */
#ifndef BUILDER_ALLOWANCE_H
#define BUILDER_ALLOWANCE_H

#include "builder/builder.h"

/* Whether b's key may be built for its user; else AQ_USER, with what there is and
 * what to do.  What can go of an environment too many is collected first.
 */
AQ_CHECK int allowance_check(struct build *b, struct aq_err *err);
/* It is built: it counts from now on.  AQ_USER: one too many. */
AQ_CHECK int allowance_take(struct build *b, struct aq_err *err);
/* It was tried, and is built under another key, which counts instead. */
void allowance_give_back(struct build *b);

#endif
