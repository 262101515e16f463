/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a lock that another node published is one that this node could have
 * resolved to.  Pure.
 */
#ifndef AQ_SHARED_JUDGE_H
#define AQ_SHARED_JUDGE_H

#include "common/conf.h"
#include "common/host.h"
#include "common/lock.h"
#include "common/request.h"

/* 'lock' is hostile, parsed.  Of this platform; its conda packages from the channels
 * of 'req', and such as its specs ask for; wheels from the index's host, or below
 * `find_links`, and such as its requirements ask for, as far as their names and versions
 * tell; nothing that would be built, or that needs what 'host' is not known to have.  A
 * layer's base has the lock 'base' (NULL: none is), and whether that has the conda part is
 * the caller's to say.
 * AQ_USER with what is not so.
 */
AQ_CHECK int shared_judge(const struct aq_conf *conf,
			  const struct aq_request *req,
			  const struct aq_host *host, const struct aq_lock *base,
			  const struct aq_lock *lock, struct aq_err *err);

#endif
