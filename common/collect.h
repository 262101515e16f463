/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting: which environments go (collect_plan.c), and how (collect.c).
 *
 * An environment can go that no reference holds, nothing inherits from, nobody
 * pinned, and that is no base.  What its workflow left (common/workflows.h), and
 * what nobody will ask for again, goes at once; then what was not used for
 * max_age; then what was used least lately: of a user's while they hold more than
 * user_quota, and of all while max_size or min_free asks for room, but for what
 * was just built or used.
 *
 * It goes in steps, of which each leaves what the next collector can go on
 * from: its row, while no reference can be taken; its manifest; its files to
 * trash/; and these at last, when nobody waits.
 */
#ifndef AQ_COLLECT_H
#define AQ_COLLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/refs.h"
#include "common/store.h"

/* What the plan is made from. */
struct aq_candidate {
	char name[AQ_ENV_NAME_SIZE];
	char base[AQ_ENV_NAME_SIZE]; /* or "" */
	enum aq_env_kind kind;
	uint64_t last_used, uses; /* as struct aq_env */
	uint64_t bytes;           /* that it alone holds */
	uint32_t uid;             /* as struct aq_env */
	bool is_pinned, is_base;  /* is_base: a current one */
	bool is_held;             /* by a reference */
	uint64_t n_references;
	bool is_left;             /* by the workflows that asked for it */
	/* made by the plan */
	bool is_victim;
	uint32_t n_children; /* aq_candidates_count_children() too */
	uint64_t *user_bytes; /* of all environments for its user, or NULL */
};

/* Among 'v', sorted by name: the one of that name, or NULL; how many inherit
 * from each; and whether nobody will ask for it again, so that it goes at once.
 */
struct aq_candidate *aq_candidates_find(struct aq_candidate *v, size_t n,
					const char *name);
void aq_candidates_count_children(struct aq_candidate *v, size_t n);
bool aq_candidate_is_obsolete(struct aq_candidate *v, size_t n,
			      const struct aq_candidate *c);

enum aq_collect_why {
	AQ_COLLECT_LEFT,     /* its workflow moved on, or was removed */
	AQ_COLLECT_OBSOLETE, /* its base was replaced, or is none any more */
	AQ_COLLECT_AGE,      /* max_age */
	AQ_COLLECT_QUOTA,    /* user_quota */
	AQ_COLLECT_ROOM,     /* max_size, min_free */
	AQ_COLLECT_DAMAGED,  /* in no plan: aq_collect_damaged() */
};
const char *aq_collect_reason(enum aq_collect_why why);

struct aq_victim {
	char name[AQ_ENV_NAME_SIZE];
	enum aq_collect_why why;
	uint64_t last_used;
	uint64_t bytes; /* by its row */
};
struct aq_plan {
	struct aq_victim *v; /* in the order in which they go */
	size_t n;
	uint64_t bytes;  /* of all of them */
	uint64_t wanted; /* bytes that max_size and min_free ask for */
	uint64_t n_held; /* environments that references hold */
};
void aq_plan_free(struct aq_plan *plan);
#define cleanup_plan __attribute__((cleanup(aq_plan_free)))

/* What the limits are compared with. */
struct aq_collect_state {
	uint64_t now;       /* Unix seconds */
	uint64_t size;      /* bytes that cache_dir holds */
	uint64_t free;      /* bytes free on its file system */
	uint64_t max_freed; /* no more than these go; UINT64_MAX: any */
};

/* Choose among 'v', sorted by name, by conf's limits.  Pure.  A time of last use
 * in the future is now; if it is further off than 'grace', not a recent one.
 */
AQ_CHECK int aq_plan_make(struct aq_candidate *v, size_t n,
			  const struct aq_conf *conf,
			  const struct aq_collect_state *state,
			  struct aq_plan *ret, struct aq_err *err);

/* All environments, sorted by name, with what 'refs' (NULL: nothing) hold; the
 * caller frees *ret.
 */
AQ_CHECK int aq_store_candidates(struct aq_store *store, struct aq_refs *refs,
				 struct aq_candidate **ret, size_t *ret_n,
				 struct aq_err *err);
/* Remove the victim's row if it still is no base, not pinned, without children,
 * left if that is why it goes, and 'refs', which are locked, do not hold it;
 * else AQ_BUSY.  One that is damaged may be pinned, or a base: it is none from
 * then on.  AQ_MISS: it is gone.
 */
AQ_CHECK int aq_store_collect(struct aq_store *store, struct aq_refs *refs,
			      const struct aq_victim *victim,
			      struct aq_err *err);
/* Whether something was left (common/workflows.h) and could go. */
AQ_CHECK int aq_store_has_left(struct aq_store *store, struct aq_refs *refs,
			       bool *ret, struct aq_err *err);
/* Pin or unpin: in its manifest's directory too, from which the row can be
 * rebuilt.  AQ_MISS: not there.
 */
AQ_CHECK int aq_store_pin(struct aq_store *store, const char *name, bool is_on,
			  struct aq_err *err);

/* -- doing -- */

/* One collector at a time: AQ_BUSY otherwise.  *ret_fd is its lock.  AQ_SYS:
 * refs.db was damaged, so that what runs may be held by no reference.
 */
AQ_CHECK int aq_collect_begin(const struct aq_conf *conf, int *ret_fd,
			      struct aq_err *err);
/* The same, waiting for one that is at work until 'is_cancelled' says so. */
AQ_CHECK int aq_collect_begin_after(const struct aq_conf *conf,
				    bool (*is_cancelled)(void *arg), void *arg,
				    int *ret_fd, struct aq_err *err);

/* The same once another one is through, who may have looked before something
 * could go.  AQ_BUSY: somebody waits for that already, and will see it.
 */
AQ_CHECK int aq_collect_begin_next(const struct aq_conf *conf, int *ret_fd,
				   struct aq_err *err);

/* What one collection is to do, and did. */
struct aq_collection {
	bool is_dry_run;    /* only say what would go */
	bool is_idle;       /* nobody waits: files are removed at idle priority */
	uint64_t max_freed; /* as in struct aq_collect_state */
	/* for each environment that goes; what that frees besides those before
	 * it, or NULL
	 */
	void (*on_victim)(const struct aq_victim *v, uint64_t frees, void *arg);
	void *arg;
	/* set */
	struct aq_collect_state state;
	struct aq_plan plan; /* the caller frees it */
	uint64_t n_gone, n_orphans;
	uint64_t freed;  /* bytes that these environments alone held */
	uint64_t caches; /* and those of the package caches */
	uint64_t lacks;  /* and those that the limits ask for beyond that */
};
/* Collect, between aq_collect_begin() and the closing of its lock: what of the
 * package caches no environment shares; environments by conf's limits, no more
 * for room than that needs; what was left without a row; trash/; and what is
 * now unused of the caches.
 */
AQ_CHECK int aq_collect_run(const struct aq_conf *conf, struct aq_collection *c,
			    struct aq_err *err);
/* Set now, size and free.  It walks the whole cache. */
AQ_CHECK int aq_collect_measure(const struct aq_conf *conf,
				struct aq_collect_state *ret,
				struct aq_err *err);
/* The plan, from the store and the references as they are. */
AQ_CHECK int aq_collect_plan(const struct aq_conf *conf,
			     const struct aq_collect_state *state,
			     struct aq_plan *ret, struct aq_err *err);
/* Move one environment to trash/.  AQ_BUSY: it is used again. */
AQ_CHECK int aq_collect_one(const struct aq_conf *conf,
			    const struct aq_victim *victim, struct aq_err *err);
/* Remove one that is damaged and not used, even if it is pinned or a base, but
 * for its manifest, from which it can be built again.  AQ_BUSY: it is used, or
 * inherited from.
 */
AQ_CHECK int aq_collect_damaged(const struct aq_conf *conf, const char *name,
				struct aq_err *err);
/* Its files alone, of one that has no row. */
AQ_CHECK int aq_collect_files(const struct aq_conf *conf, const char *name,
			      struct aq_err *err);
/* Move what has no row to trash/.  AQ_BUSY: somebody builds or uses it; AQ_MISS:
 * it has one.  'is_mine': the lock that builds of its lock take is the caller's.
 */
AQ_CHECK int aq_collect_orphan(const struct aq_conf *conf, const char *name,
			       bool is_mine, struct aq_err *err);
/* Move to trash/ what a collector or builder that was killed left in envs/ and
 * meta/: no row names it, nobody builds its lock, nothing uses it.  *ret_n such
 * entries were there.
 */
AQ_CHECK int aq_collect_orphans(const struct aq_conf *conf, uint64_t *ret_n,
				struct aq_err *err);
/* Remove package caches' entries that no environment shares, and what clients that
 * were killed left unfinished, unless somebody builds; *ret_bytes were freed, or
 * would be.
 */
AQ_CHECK int aq_collect_caches(const struct aq_conf *conf, bool is_dry,
			       uint64_t *ret_bytes, struct aq_err *err);
/* Remove those entries that have one of the files 'inodes': they are damaged,
 * and what is built from them would be.  Waits for builds; AQ_BUSY: too long.
 */
AQ_CHECK int aq_collect_inodes(const struct aq_conf *conf, const ino_t *inodes,
			       size_t n, struct aq_err *err);
/* Remove what is in trash/; 'is_idle': at idle priority, which this process then
 * keeps.
 */
AQ_CHECK int aq_collect_empty_trash(const struct aq_conf *conf, bool is_idle,
				    struct aq_err *err);
/* Have the file in trash/ that aq_collect_begin() gives up where the disk is
 * full, so that the journal of cache.db has room; if there is room for it.
 */
void aq_collect_keep_reserve(const struct aq_conf *conf);
/* Bytes free on cache_dir's file system, to who is not root. */
AQ_CHECK int aq_collect_get_free(const struct aq_conf *conf, uint64_t *ret,
				 struct aq_err *err);
/* Count what a collection took, also one that failed half-way; note that one has
 * ended well; when the last one did, in Unix seconds (0: never).  For `aq stats`:
 * what cannot be written is not.
 */
void aq_collect_count(const struct aq_conf *conf, uint64_t n, uint64_t bytes);
void aq_collect_note_end(const struct aq_conf *conf);
uint64_t aq_collect_last(const struct aq_conf *conf);
/* If a limit is passed, as far as that can be said at once (of user_quota: by
 * user 'uid'), or something was left that 'refs' do not hold (NULL: that is not
 * asked), start `aq gc` in a session of its own, its output to logs/gc.log.  For
 * an epilog's worker, which has no descriptors that anybody waits for.
 */
AQ_CHECK int aq_collect_start_if_due(const struct aq_conf *conf, uint32_t uid,
				     struct aq_refs *refs, struct aq_err *err);
/* The same if something was left that 'refs' do not hold, whatever the limits. */
AQ_CHECK int aq_collect_start_if_left(const struct aq_conf *conf,
				      struct aq_refs *refs, struct aq_err *err);

#endif
