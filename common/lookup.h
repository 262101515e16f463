/* SPDX-License-Identifier: Apache-2.0 */
/* Is there an environment for a request?  The same question from the stage
 * hook, from aq-builder once its turn has come, and from `aq run`.
 */
#ifndef AQ_LOOKUP_H
#define AQ_LOOKUP_H

#include "common/answer.h"
#include "common/conf.h"
#include "common/request.h"

/* Look 'req' up in conf->cache_dir and fill in 'answer' with resolution
 * "reused"; *ret_is_plain: its key was asked for outside of workflows before.  It
 * fits this node as that is now (common/host.h).
 * Who wants what is found to stay takes a reference first.
 * Fails with AQ_MISS (not there, or it is not known whether it fits), AQ_BUSY or AQ_CORRUPT (the cache: a miss
 * too), AQ_SYS.
 */
AQ_CHECK int aq_look_up(const struct aq_conf *conf,
			const struct aq_request *req, struct aq_answer *answer,
			bool *ret_is_plain, struct aq_err *err);

#endif
