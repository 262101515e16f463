/* SPDX-License-Identifier: Apache-2.0 */
/* File locks in run_dir/locks: 0600 files in a 0700 directory, since whoever
 * can open a file can hold its lock.
 */
#ifndef AQ_FLOCK_H
#define AQ_FLOCK_H

#include "common/conf.h"
#include "common/err.h"

/* Names that more than one program part locks. */
#define AQ_FLOCK_HOLD "hold-"  /* and an environment: held shared, it stays */
#define AQ_FLOCK_LOCK "lock-"  /* and a lock's digest: one build of it */
#define AQ_FLOCK_CACHES "caches" /* shared: who builds; alone: who collects */
#define AQ_FLOCK_BYTECODE "bytecode" /* who changes what is shared of it */

#define AQ_FLOCK_REFS "refs" /* shared: who looks up; alone: who collects */

enum aq_flock_mode { AQ_FLOCK_SHARED, AQ_FLOCK_EXCLUSIVE };

/* Open (create) and flock(2) run_dir/locks/NAME without waiting.
 * Returns 0 and sets *ret_fd (close it to release; the kernel does when the
 * process dies), AQ_BUSY (held), or AQ_SYS.  A lock file that was unlinked
 * between open and flock is opened again.
 */
AQ_CHECK int aq_flock_try(const struct aq_conf *conf, const char *name,
			  enum aq_flock_mode mode, int *ret_fd,
			  struct aq_err *err);

/* The same, waiting; gives up with AQ_BUSY when 'is_cancelled', asked every
 * AQ_FLOCK_POLL_MS, returns true.  NULL gives up after AQ_FLOCK_WAIT_MAX_MS.
 */
#define AQ_FLOCK_POLL_MS 50
#define AQ_FLOCK_WAIT_MAX_MS 60000 /* no wait is without an end */
AQ_CHECK int aq_flock_wait(const struct aq_conf *conf, const char *name,
			   enum aq_flock_mode mode,
			   bool (*is_cancelled)(void *arg), void *arg,
			   int *ret_fd, struct aq_err *err);

/* As aq_flock_try(), shared, AQ_FLOCK_HOLD of the environment 'env'.  AQ_BUSY: it is
 * just being collected.
 */
AQ_CHECK int aq_flock_hold(const struct aq_conf *conf, const char *env,
			   int *ret_fd, struct aq_err *err);

/* Remove the file 'name' of the lock 'fd', open to read and write, if nobody else holds
 * it: by flock(2), or by fcntl(2) as one of builder/turn.c's.
 */
void aq_flock_remove(int dirfd, const char *name, int fd);

/* Give up *fd, the lock 'name' in whatever mode (-1: nothing), and remove its file if
 * nobody else holds it: there is one for each key that is asked for, and in memory.
 * Who waits for it opens it again.  In a cache of one's own it stays, which other hosts
 * may use: NFS tells late that a file is another.
 */
void aq_flock_drop(const struct aq_conf *conf, const char *name, int *fd);

/* AQ_FLOCK_REFS, waiting as long as a hook may. */
AQ_CHECK int aq_flock_refs(const struct aq_conf *conf, enum aq_flock_mode mode,
			   int *ret_fd, struct aq_err *err);

/* AQ_BUSY: somebody builds environment 'env', or another of the same lock. */
AQ_CHECK int aq_flock_check_build(const struct aq_conf *conf, const char *env,
				  struct aq_err *err);

/* As aq_flock_try() for the file 'name' below 'dirfd' (or a path, with AT_FDCWD), which
 * is made 0600 whatever the umask; waits at most 'wait_ms', 0: not at all.
 */
AQ_CHECK int aq_flock_at(int dirfd, const char *name, enum aq_flock_mode mode,
			 int wait_ms, int *ret_fd, struct aq_err *err);

#endif
