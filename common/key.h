/* SPDX-License-Identifier: Apache-2.0 */
/* The key: what decides which environment a request gets on this node.
 *
 *   context = everything of the node that matters: format version, platform
 *             subdir, domain, channel and index map, base; as text lines
 *   key     = SHA-256 of "aq-key 1\n", the request's package part (python,
 *             channels, specs, pip, constraints; not its variables), context
 *
 * A hit is looked up by (digest, context) and needs no libcrypto.
 */
#ifndef AQ_KEY_H
#define AQ_KEY_H

#include "common/conf.h"
#include "common/err.h"
#include "common/request.h"

#define AQ_KEY_CONTEXT_MAX (16 * 1024)

/* The context of this node as text.  'base_lock' is the lock digest of the
 * base that the request would inherit from, or NULL: none.
 * Returns 0 and sets *ret (malloc'ed), or AQ_SYS.
 */
AQ_CHECK int aq_key_context(const struct aq_conf *conf,
			    const struct aq_domain *domain,
			    const char *base_lock, char **ret,
			    struct aq_err *err);

/* The key of 'req' in 'context'. */
AQ_CHECK int aq_key(const struct aq_request *req, const char *context,
		    char ret_key[AQ_SHA256_HEX_SIZE], struct aq_err *err);

/* conda's name of this platform: "linux-64", "linux-aarch64", … */
const char *aq_platform_subdir(void);

#endif
