/* SPDX-License-Identifier: Apache-2.0 */
/* Fill in an answer from what the store says: the same for a hit and for what
 * a build has just committed.
 */
#ifndef AQ_ANSWER_FILL_H
#define AQ_ANSWER_FILL_H

#include "common/answer.h"
#include "common/request.h"
#include "common/store.h"

/* 'env' serves 'req' under 'key' on conf->node.  The operations are the
 * environment's own, then AQ_ENV_PREFIX, AQ_ENV_KEY, AQ_LOCK, AQ_RESOLUTION,
 * then the request's variables.  Marks the answer done.
 * Fails with AQ_SYS (over AQ_ENVOPS_MAX) or AQ_MISS (it is gone), 'a' then not done.
 */
AQ_CHECK int aq_answer_fill(struct aq_answer *a, const struct aq_conf *conf,
			    const struct aq_env *env, const char *key,
			    const struct aq_request *req,
			    const char *resolution, struct aq_err *err);

#endif
