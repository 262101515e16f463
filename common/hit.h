/* SPDX-License-Identifier: Apache-2.0 */
/* The stage's short way, without a library: what was answered before
 * (common/memo.h).
 */
#ifndef AQ_HIT_H
#define AQ_HIT_H

#include "common/phases.h"

/* The configuration of the request's domain: the node's, or of the job's user; sets
 * stage->domain.
 */
AQ_CHECK int aq_hit_load_conf(struct aq_stage *stage, struct aq_conf **ret,
			      struct aq_err *err);

/* Take the step's lease, empty: stage->ret_lease_fd. */
AQ_CHECK int aq_hit_take_lease(struct aq_stage *stage,
			       const struct aq_conf *conf, struct aq_err *err);

/* Take the lease and, if what the request gets is known, let it say so and fill in
 * the answer.  AQ_MISS, with the lease and an empty answer: aq_phase_stage() has to
 * look.
 */
AQ_CHECK int aq_hit(struct aq_stage *stage, struct aq_err *err);
/* The same for slurmstepd itself: whatever would wait for a disk, a server or a lock is
 * left alone.  False: a worker has to look; nothing is held.
 */
bool aq_hit_at_hand(struct aq_stage *stage);

#endif
