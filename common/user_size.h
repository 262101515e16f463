/* SPDX-License-Identifier: Apache-2.0 */
/* What one user's environments hold on a node: those that were built for them in
 * the shared domain, and all of their private one.
 */
#ifndef AQ_USER_SIZE_H
#define AQ_USER_SIZE_H

#include <stdint.h>

#include "common/conf.h"

/* Bytes, of user 'uid'; 'site' is the node's configuration. */
AQ_CHECK int aq_user_size(const struct aq_conf *site, uint32_t uid,
			  uint64_t *ret, struct aq_err *err);

/* What user_quota leaves to 'conf': of a private domain, what its user's shared
 * ones leave, so that a private one goes first; else all of it.  0: no such limit.
 */
uint64_t aq_user_quota(const struct aq_conf *conf);

#endif
