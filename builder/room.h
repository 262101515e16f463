/* SPDX-License-Identifier: Apache-2.0 */
/* Room on the disk for a build. */
#ifndef AQ_BUILDER_ROOM_H
#define AQ_BUILDER_ROOM_H

#include "builder/builder.h"

/* Before a build: while less than min_free is free, collect what can go.  In
 * vain is no failure, and nobody who collects already is waited for.
 */
void room_prepare(struct build *b);
/* A try begins. */
void room_start(struct build *b);
/* Whether it has taken what min_free keeps, and must be ended; to be asked while
 * it runs.  What was less before it began it is not held to.
 */
bool room_is_crossed(struct build *b);
/* It failed: note whether for want of room, before it is cleaned up. */
void room_note(struct build *b, const struct aq_err *err);
/* It was ended for what it wrote: that goes from the package caches too, unless
 * somebody else builds; else with the next collection.
 */
void room_give_back(struct build *b);
/* If it failed for want of room, collect: true, there is more than before, and it is
 * worth another try; else 'err', if that is of room, says what is full.  The lock
 * `caches` must not be held.
 */
bool room_make(struct build *b, struct aq_err *err);

#endif
