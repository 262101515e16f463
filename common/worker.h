/* SPDX-License-Identifier: Apache-2.0 */
/* Work of a root hook in a process of its own, with a deadline: whatever
 * touches disk or a foreign library may hang or crash, and in the hook itself
 * that would drain a node or strand a job.
 */
#ifndef AQ_WORKER_H
#define AQ_WORKER_H

#include "common/err.h"

/* A hook waits this long for its worker, in milliseconds.  Fork and wait cost
 * 0.1; a busy database is waited for one second; srun gives up after 600.
 */
#define AQ_WORKER_DEADLINE_MS 2000

/* Run 'fn(arg, err)' in a forked child that first comes clean: umask 077,
 * directory /, no signal blocked, default dispositions.  The child's class and
 * text come back; everything else by memory that 'arg' shares or descriptors
 * that it names.
 * Returns what fn returned, or AQ_SYS: it was killed, or ran out of time (then
 * it is killed, and left to init if even that takes time: a process in a disk
 * wait cannot be waited for).
 * Only from a single-threaded part of the host, or with an 'fn' that may run
 * after fork(2) in a threaded one.
 */
AQ_CHECK int aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
			   int deadline_ms, struct aq_err *err);

/* What the child does first; for processes forked in other ways too. */
void aq_come_clean(void);

#endif
