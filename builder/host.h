/* SPDX-License-Identifier: Apache-2.0 */
/* What this node has of what packages may need of one (common/host.h): the client that
 * resolves says so, and what it says is kept for those who look up.  A build, or a step,
 * that needs to know waits for that; where it cannot be had an environment fits that was
 * made here, and another node's lock does not.
 */
#ifndef AQ_BUILDER_HOST_H
#define AQ_BUILDER_HOST_H

#include "builder/builder.h"
#include "common/host.h"

/* Ask the client, unless somebody has while we waited for our turn; 'is_anew': in any
 * case, once a builder.
 */
void host_ask(struct build *b, bool is_anew);
/* What this node has; the client is asked if it is not known whether that is what 'lock'
 * needs.
 */
void host_find(struct build *b, const struct aq_lock *lock, struct aq_host *ret);
/* AQ_USER: 'lock' needs what this node has not. */
AQ_CHECK int host_check(struct build *b, const struct aq_lock *lock,
			struct aq_err *err);
/* The client has just resolved to b->lock here: this node has what that needs. */
void host_note_lock(struct build *b);
/* aq.conf's virtual_packages, for clients to take as they are. */
void host_add_overrides(const struct build *b, struct aq_strv *env);

#endif
