/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the cache is what it should be: rows against manifests against files,
 * and (verify_contents.c) files against what packages and locks say.
 *
 * It opens the databases to read, briefly and for one environment at a time,
 * holds no lock that jobs wait for, runs nothing, and opens what is in a prefix
 * by descriptors without following links.  What somebody builds or collects
 * meanwhile is no finding.
 */
#ifndef AQ_VERIFY_H
#define AQ_VERIFY_H

#include "common/conf.h"
#include "common/err.h"
#include "common/findings.h"
#include "common/store.h"
#include "common/str.h"

/* Environments, and names of entries without a row, that are looked at. */
#define AQ_VERIFY_NAMES_MAX 1000000

struct aq_verify_hashes;
struct aq_verify {
	const struct aq_conf *conf;
	bool has_contents;
	/* time passes, in 'env'; or NULL */
	void (*tick)(const char *env, void *arg);
	void *arg;
	/* environments that were built just now: their files are not noted yet,
	 * so nothing is compared
	 */
	uint64_t n_unnoted;
	/* of files with several names, and archives: looked at once */
	struct aq_verify_hashes *hashes;
};
void aq_verify_end(struct aq_verify *v);
#define cleanup_verify __attribute__((cleanup(aq_verify_end)))

/* What belongs to no one environment: cache.db itself, bases, references. */
AQ_CHECK int aq_verify_cache(const struct aq_verify *v, struct aq_findings *ret,
			     struct aq_err *err);

/* Sorted: what has a row, a manifest, or files in envs/. */
AQ_CHECK int aq_verify_names(const struct aq_conf *conf, struct aq_strv *ret,
			     struct aq_err *err);

/* One of these.  AQ_MISS: there is nothing of that name (any more). */
AQ_CHECK int aq_verify_env(struct aq_verify *v, const char *name,
			   struct aq_findings *ret, struct aq_err *err);

/* What waits to be removed: entries of trash/, and of work/envs while nobody
 * builds.
 */
AQ_CHECK int aq_verify_leftovers(const struct aq_conf *conf, uint64_t *ret_trash,
				 uint64_t *ret_work, struct aq_err *err);

#endif
