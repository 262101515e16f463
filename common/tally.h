/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of a cache, for `aq stats`: since when cache.db was made, of
 * all nodes that share its run_dir.
 *
 * Counted in refs.db, as uses are, since who counts is a step that starts or
 * waits, and must wait for no disk; moved to cache.db with them
 * (aq_store_take_notes()).  What was not moved is lost with run_dir.
 *
 * A hit saves what the environment that it found took to build, and the disk
 * that it holds; both are looked up when uses are moved, not while a step
 * starts.  A hit whose environment is gone by then saves nothing.
 */
#ifndef AQ_TALLY_H
#define AQ_TALLY_H

#include <stdint.h>

#include "common/db.h"
#include "common/refs.h"
#include "common/store.h"

enum aq_tally_what {
	/* look-ups of steps, and of aq build and aq run, by how they came out */
	AQ_TALLY_HIT,       /* it was there */
	AQ_TALLY_CREATED,   /* it was built */
	AQ_TALLY_LINKED,
	AQ_TALLY_INHERITED,
	AQ_TALLY_WAITED,    /* somebody else built it meanwhile */
	AQ_TALLY_BOUND,     /* another request had led to the same lock */
	AQ_TALLY_REFUSED,   /* the request cannot be met */
	AQ_TALLY_FAULT,     /* network, disk, us */
	AQ_TALLY_ENDED,     /* cancelled, timed out, over a limit */
	AQ_TALLY_OUTCOMES,  /* how many these are */

	AQ_TALLY_BUILD_MS = AQ_TALLY_OUTCOMES, /* of builds that succeeded */
	AQ_TALLY_BUILD_BYTES,                  /* that those alone hold */
	AQ_TALLY_REUSE_MS, /* saved by hits */
	AQ_TALLY_REUSE_BYTES,
	/* saved by inheriting, against what creating takes here on average;
	 * nothing while nothing was created here
	 */
	AQ_TALLY_INHERIT_MS,
	AQ_TALLY_INHERIT_BYTES,
	AQ_TALLY_COLLECTED, /* environments */
	AQ_TALLY_COLLECTED_BYTES,

	/* hooks of jobs that used a cache: how many, and what they took in
	 * microseconds until they noted it; stages are those that hit
	 */
	AQ_TALLY_PROLOGS,
	AQ_TALLY_PROLOG_US,
	AQ_TALLY_STAGES,
	AQ_TALLY_STAGE_US,
	AQ_TALLY_EPILOGS,
	AQ_TALLY_EPILOG_US,
	AQ_TALLY_N
};

struct aq_tally {
	uint64_t n[AQ_TALLY_N];
	uint64_t since; /* Unix seconds; 0: nothing was counted */
};

/* What a count is called, in databases and in JSON: "hit", "build_ms". */
const char *aq_tally_name(enum aq_tally_what what);

/* Add the rows of db's table 'counts' to 'ret'; those of another version, which
 * this one does not know, are left out.
 */
AQ_CHECK int aq_tally_read(struct aq_db *db, struct aq_tally *ret,
			   struct aq_err *err);
/* Add 'tally' to them, inside a transaction. */
AQ_CHECK int aq_tally_write(struct aq_db *db, const struct aq_tally *tally,
			    struct aq_err *err);

/* All that was counted, moved or not.  'store' and 'refs' may each be NULL: not
 * there.  'refs' are locked meanwhile, for some milliseconds.
 */
AQ_CHECK int aq_store_tally(struct aq_store *store, struct aq_refs *refs,
			    struct aq_tally *ret, struct aq_err *err);
/* Move what 'refs' counted, inside transactions of both; clearing it is the
 * caller's, and so are uses.
 */
AQ_CHECK int aq_store_take_tally(struct aq_store *store, struct aq_refs *refs,
				 struct aq_err *err);

/* What the cache holds. */
struct aq_totals {
	struct {
		uint64_t n;
		uint64_t size_own, size_shared; /* bytes, as struct aq_env */
	} kinds[AQ_ENV_BASE + 1];
	uint64_t n_pinned;
	uint64_t n_bases; /* current ones */
};
AQ_CHECK int aq_store_totals(struct aq_store *store, struct aq_totals *ret,
			     struct aq_err *err);

#endif
