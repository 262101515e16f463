/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes share by way of shared_dir (shared_dir.h): one lock for a key, and the
 * archives of packages.
 *
 *   shared.c          the supervisor's side of locks: asks, waits, judges, tells
 *   shared_archives.c the same of archives
 *   shared_talk.c     how it talks to
 *   shared_serve.c    a process in the cage (PHASE_SHARED)
 *   shared_wheels.c   of wheels
 *   shared_archives_serve.c  the one for archives (PHASE_ARCHIVES)
 *   shared_dir.c      files; shared_claim.c shared_store.c
 *   shared_judge.c    whether a lock is one that this node may have
 *
 * Nothing of it makes a build fail: where the file system is missing, hangs or has
 * what cannot be believed, the node goes on alone and says so.
 */
#ifndef AQ_SHARED_H
#define AQ_SHARED_H

#include "builder/dialect.h"
#include "builder/pylock.h"

/* b->lock and its kind: what another node published for the key; else what resolve()
 * finds, which is published, of a refresh to the nodes of its job alone.  Only reads
 * for `aq explain`.  Fails as resolve() does, or with BUILD_ENDED.
 */
AQ_CHECK int shared_resolve(struct build *b, struct aq_err *err);
/* Whether b->lock, of which no environment could be made for 'why', is another node's,
 * and that may be the reason: its packages are gone by now, or refused.
 */
bool shared_is_doubtful(const struct build *b, const struct aq_err *why);
/* It becomes what resolve() finds now.  Fails as that does, or, if that is the same,
 * as it was made, for *err.
 */
AQ_CHECK int shared_resolve_instead(struct build *b, struct aq_err *err);
/* The environment of b->lock is there: a refresh, and what was resolved instead of
 * another node's, is everybody's now.
 */
void shared_built(struct build *b);

/* Where shared_is_used(), before 'd' links b->lock: what of its conda packages is not
 * unpacked here comes from shared_dir to b->archives, or is fetched, there too, and
 * published.  What is not there then the client fetches as always.  Fails with
 * BUILD_ENDED alone.
 */
AQ_CHECK int shared_archives(struct build *b, const struct dialect *d,
			     const char *program, struct aq_err *err);
/* The same of b->lock's wheels, before uv installs them: from shared_dir to b->wheels,
 * which stays for later builds ('is_kept': uv knows a file that it has unpacked by its
 * path and time), or is this build's own.
 */
AQ_CHECK int shared_wheels(struct build *b, const char *program, bool is_kept,
			   struct aq_err *err);
/* Whether the file of that wheel is there, for who installs in the cage; 'arg' is the
 * struct build.  For pylock_write().
 */
bool shared_find_wheel(const struct aq_lock_item *wheel,
		       char path[PYLOCK_PATH_SIZE], char name[PYLOCK_NAME_SIZE],
		       const void *arg);
/* Whether no other node is expected to want the same at the same time. */
bool shared_fetches_alone(const struct build *b);
/* Whether dialect.download(), or bundled_download_wheels(), is to get that. */
bool shared_is_wanted(const struct build *b, const struct aq_lock_item *item);
/* Away with them, and with wheels that are this build's own. */
void shared_archives_end(struct build *b);

/* What is running for it in the cage is told to end. */
void shared_end(struct build *b);

#endif
