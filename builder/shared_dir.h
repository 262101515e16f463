/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes share: files below aq.conf's `shared_dir`, on any file system that all
 * nodes see.
 *
 *   shared_dir/locks/KE/KEY.GENERATION  the lock (common/lock.h) of a key, KE being
 *                                       the key's first two digits
 *   shared_dir/locks/KE/KEY.job-JOB     the lock that the refresh of that job led to;
 *                                       once it is built, a generation's other name
 *   shared_dir/locks/KE/KEY.claim-N     who resolves that key now
 *   shared_dir/locks/KE/KEY.claimG-N    who fetches group G (shared_store.h) of the
 *                                       archives of the lock with that digest
 *
 *   shared_dir/packages/…               archives: shared_store.h
 *
 * A file gets its name by link(2) once it is whole and flushed, so that the first of
 * several wins, and is never changed.  A lock of a higher generation is there only
 * because the one before is damaged, or because somebody built what it has: who asked
 * for a refresh, or could not build the one before.
 *
 * A claim spares others the work and promises nothing: two who both believe to have
 * it resolve twice, and one of them wins.  Its holder changes it once a second; who
 * has seen it unchanged for SHARED_STALE_MS, by their own clock, takes the next
 * number.  No lock of fcntl(2) or flock(2), for these may be missing or local to a
 * node (mount options, FUSE), hang while a server recovers, and outlive a node that
 * lost its power; no clock of two nodes is compared.
 *
 * All of this runs as builder_user, in a process that may hang with the file system,
 * and in `aq doctor`.  What is of another owner, or writable by others, is not there.
 */
#ifndef AQ_SHARED_DIR_H
#define AQ_SHARED_DIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/sha256.h"
#include "common/str.h"

/* A claim that is not renewed for so long is nobody's, in milliseconds: several
 * times the second after which it should be; a holder that is only slow loses
 * nothing by it.
 */
#define SHARED_STALE_MS 6000
#define SHARED_RENEW_MS 1000
/* Of what is there besides the newest, in seconds: names of refreshes that jobs may
 * still ask for, files of who was killed before they had a name.
 */
#define SHARED_KEEP_SECONDS (30L * 24 * 3600)
#define SHARED_NOTES_MAX 4096
/* Of generations and claims.  Nobody refreshes a key every minute for two years; more
 * is no number of ours.
 */
#define SHARED_NUMBER_MAX 999999

struct shared_dir {
	int fd; /* of locks/KE */
	uid_t owner;
	char key[AQ_SHA256_HEX_SIZE];
	uint32_t job; /* that refreshes; 0: none */
	struct aq_str notes; /* a line for each file that is ignored */
};
#define SHARED_DIR_INIT { .fd = -1, .notes = AQ_STR_INIT(SHARED_NOTES_MAX) }

/* Open the place of 'key' below 'path', whose owner must be 'owner', us, or root, and
 * which nobody else may write; it is made.  AQ_SYS otherwise.
 */
AQ_CHECK int shared_dir_open(const char *path, uid_t owner, const char *key,
			     struct shared_dir *ret, struct aq_err *err);
void shared_dir_close(struct shared_dir *d);
#define cleanup_shared_dir __attribute__((cleanup(shared_dir_close)))

/* The lock of the highest generation that is whole, to 'text'; what is not is noted.
 * AQ_MISS: none is.
 */
AQ_CHECK int shared_dir_find(struct shared_dir *d, struct aq_str *text,
			     uint64_t *ret_generation, struct aq_err *err);
/* That of d->job's refresh.  AQ_MISS: it has not published any. */
AQ_CHECK int shared_dir_find_job(struct shared_dir *d, struct aq_str *text,
				 struct aq_err *err);
/* Publish 'text' as that of d->job's refresh.  0 also if another node was first: look
 * once more.
 */
AQ_CHECK int shared_dir_publish_job(struct shared_dir *d, const char *text,
				    size_t len, struct aq_err *err);
/* Publish 'text' as the next generation, unless one above 'replaced' is whole (0:
 * unless any is; SHARED_NUMBER_MAX: in any case), or it is the newest already.  0 also
 * then, and if another was first: look once more.
 */
AQ_CHECK int shared_dir_publish(struct shared_dir *d, uint64_t replaced,
				const char *text, size_t len,
				struct aq_err *err);

#define SHARED_CLAIM "claim-" /* of who resolves */

struct shared_claim {
	const char *kind; /* of its name, before the number */
	uint64_t n;      /* its number; of another's, the last one seen; 0: none */
	int fd;          /* of ours; or -1 */
	unsigned long renewed;
	char who[80];    /* ours: "NODE PID RANDOM" */
	char seen[128];  /* what another's said */
	int64_t since;   /* when it said so first, CLOCK_MONOTONIC in ms */
};
/* 'kind' stays the caller's; 'node' is for who waits. */
void shared_claim_init(struct shared_claim *c, const char *kind, const char *node);
/* Claim the key.  AQ_BUSY: c->seen, whose first word is the node, has it; ask again
 * soon.  AQ_MISS: whom we waited for has given up, for a reason that may be ours too.
 */
AQ_CHECK int shared_claim_take(const struct shared_dir *d,
			       struct shared_claim *c, struct aq_err *err);
/* The same, without claiming it.  0: nobody has it. */
AQ_CHECK int shared_claim_look(const struct shared_dir *d, struct shared_claim *c,
			       struct aq_err *err);
void shared_claim_renew(struct shared_claim *c);
/* It is nobody's any more; 'is_over': who waits need not try the same. */
void shared_claim_drop(const struct shared_dir *d, struct shared_claim *c,
		       bool is_over);

/* Go on with the claim that another process of the same node left when it was ended: at
 * no time is it nobody's.  False: there is none.
 */
bool shared_claim_adopt(const struct shared_dir *d, struct shared_claim *c);

/* Whether all that is needed works below 'path': AQ_SYS, with what does not. */
AQ_CHECK int shared_dir_try(const char *path, uid_t owner, struct aq_err *err);

#endif
