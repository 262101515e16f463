/* SPDX-License-Identifier: Apache-2.0 */
/* Work of a root hook in a process of its own, with a deadline: whatever
 * touches disk or a foreign library may hang or crash, and in the hook itself
 * that would drain a node or strand a job.
 */
#ifndef AQ_WORKER_H
#define AQ_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

/* A hook waits this long for its worker, in milliseconds.  Fork and wait cost
 * 0.1; a busy database is waited for one second; srun gives up after 600.
 */
#define AQ_WORKER_DEADLINE_MS 2000
/* A worker may map so much beyond what its host has, in bytes: a look-up takes 2
 * MiB.  What is damaged, or of somebody who means harm, could take a node's.
 */
#define AQ_WORKER_MEMORY_MAX (256L * 1024 * 1024)

/* Run 'fn(arg, err)' in a forked child that first comes clean: as
 * aq_come_clean() and aq_close_others() do, keeping 'keep_fd' (3 or more, or
 * -1) alone, and whose memory is bounded (where there is /proc).  The child's
 * class and text come back, the text also with AQ_OK: a note for the log;
 * everything else by memory that 'arg' shares or over 'keep_fd'.
 * Returns what fn returned, or AQ_SYS: it was killed, or ran out of time
 * (err->errnum is ETIMEDOUT; then it is killed, and left to init if even that
 * takes time: a process in a disk wait cannot be waited for).
 * Only from a single-threaded part of the host, or with an 'fn' that may run
 * after fork(2) in a threaded one.
 */
AQ_CHECK int aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
			   int deadline_ms, int keep_fd, struct aq_err *err);

/* In what a worker, or a task of a user's, starts and nobody waits for: the bound
 * on memory is lifted, as far as the hard limit.  Async-signal-safe.
 */
void aq_worker_lift_bound(void);

/* Wait for child 'pid' to end until 'until_ms' (CLOCK_MONOTONIC): whether it
 * has, with *ret_status as of waitpid(2).  Also false: somebody else has reaped it.
 */
AQ_CHECK bool aq_reap(pid_t pid, int64_t until_ms, int *ret_status);

/* What a child of a hook does first, since all that it inherits is the
 * submitter's: default dispositions, no signal blocked, umask 077, directory
 * /; as root also no group but root's.  Ends the process where that fails.
 * Async-signal-safe.
 */
void aq_come_clean(void);

/* Point the standard descriptors at /dev/null (in a prolog they are closed, and
 * the next file opened would become one), and close all others but
 * keep[0..n), each of which is 3 or more, or -1.  A lock that slurmstepd
 * holds, or a pipe that Slurm waits on, would otherwise live as long as we do.
 * Returns false with errno set.  Async-signal-safe.
 */
AQ_CHECK bool aq_close_others(const int keep[], size_t n);

#endif
