/* SPDX-License-Identifier: Apache-2.0 */
/* One lock for a key on all nodes, by way of shared_dir (shared_dir.h).
 *
 *   shared.c        the supervisor's side: asks, waits, judges, tells
 *   shared_serve.c  the other one, in a process in the cage (PHASE_SHARED)
 *   shared_dir.c    files; shared_claim.c
 *   shared_judge.c  whether a lock is one that this node may have
 *
 * Nothing of it makes a build fail: where the file system is missing, hangs or has
 * what cannot be believed, the node resolves alone and says so.
 */
#ifndef AQ_SHARED_H
#define AQ_SHARED_H

#include "builder/builder.h"

/* b->lock and its kind: what another node published for the key; else what resolve()
 * finds, which is published.  Only reads for `aq explain`.  Fails as resolve() does,
 * or with BUILD_ENDED.
 */
AQ_CHECK int shared_resolve(struct build *b, struct aq_err *err);

/* What is running for it in the cage is told to end. */
void shared_end(struct build *b);

/* -- shared_serve.c -- */
/* What the process in the cage says, a line each: */
#define SHARED_SAYS_WAITS "waits "     /* and the node that resolves */
#define SHARED_SAYS_ALIVE "alive"      /* it still waits */
#define SHARED_SAYS_CLAIMED "claimed"  /* resolve, and then tell */
#define SHARED_SAYS_ALONE "alone"      /* nobody will tell */
#define SHARED_SAYS_NOTE "note "       /* what is ignored */
#define SHARED_SAYS_LOCK "lock "       /* GENERATION LENGTH, and the lock */
/* What it is told, until end of file; nothing: the build ended. */
#define SHARED_TELL_OVER "over\n"     /* it could not be resolved */
#define SHARED_TELL_LOCK "publish\n"  /* and the lock */

struct shared_job {
	const char *path, *key, *node;
	uid_t owner;
	uint32_t job;
	bool is_refresh;
	bool may_claim; /* else it says "alone" at once */
	bool is_told;   /* there is a lock to be published */
};
/* For run_start(): 'arg' is a struct shared_job. */
int shared_serve(void *arg, struct aq_str *out, struct aq_err *err);

#endif
