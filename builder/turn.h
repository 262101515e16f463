/* SPDX-License-Identifier: Apache-2.0 */
/* One build a key: wait for one's turn, notice who still waits. */
#ifndef AQ_BUILDER_TURN_H
#define AQ_BUILDER_TURN_H

#include "builder/builder.h"

/* Wait until it is our turn: nobody else builds the key, until turn_leave().  Fails as
 * aq_flock_wait(), also when nobody waits for us any more.
 */
AQ_CHECK int turn_take(struct build *b, struct aq_err *err);
/* The next one's turn, if there is one. */
void turn_leave(struct build *b);
/* Whether nobody waits for this build any more, or room_is_crossed(). */
bool turn_is_over(void *build);
/* From now on another build of b->lock, which we wait for, goes on for us; until
 * the descriptor is closed that is returned, or -1.
 */
int turn_want_lock(const struct build *b);
void turn_unwant_lock(const struct build *b, int *fd);
/* Whether nobody of our own step does. */
bool turn_is_step_gone(const struct build *b);

#endif
