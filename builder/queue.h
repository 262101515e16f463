/* SPDX-License-Identifier: Apache-2.0 */
/* Builds that run at once (max_builds, max_builds_user) and the queue of those
 * that do not yet, in run_dir/queue, which all builders of one run_dir share.
 *
 *   AT-UID-KEY-w  a ticket: a builder, which holds its flock, waits for KEY on
 *                 behalf of UID
 *   AT-UID-KEY-b  it builds KEY, in UID's turn
 *   served        users, the one whose turn was last at the end
 *
 * Whose lock is free is dead and counts no more; nothing else is counted.  All
 * of it changes under the lock `queue` alone.  `served` only makes turns fair:
 * damaged or lost, everybody has theirs all the same.
 *
 * Every builder of a key has a ticket while it waits, though one of them, which
 * holds the key's lock, builds for all: so a key is built when the first of its
 * users is next, and who waits behind another's long queue is not moved into it.
 */
#ifndef BUILDER_QUEUE_H
#define BUILDER_QUEUE_H

#include "builder/builder.h"

/* We wait: have a ticket, from now on.  Twice is once.  A personal build needs
 * none.
 */
AQ_CHECK int queue_join(struct build *b, struct aq_err *err);
/* The key's lock is ours and nobody has built it: wait until it may be built, and
 * say once that we do.  AQ_BUSY: our step is gone.
 */
AQ_CHECK int queue_wait(struct build *b, struct aq_err *err);
/* Built, or given up; also without a ticket. */
void queue_leave(struct build *b);

/* Open run_dir/queue and take its lock; for allowance.c, which keeps its notes
 * there too.
 */
struct queue {
	int fd, lock_fd;
};
AQ_CHECK int queue_open(struct build *b, struct queue *ret,
			struct aq_err *err);
void queue_close(struct queue *q);
#define cleanup_queue __attribute__((cleanup(queue_close)))

#endif
