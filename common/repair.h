/* SPDX-License-Identifier: Apache-2.0 */
/* What common/verify.h found, repaired as far as nobody uses it: put right where
 * that is little, else taken away and remembered, so that whoever runs
 * aq-builder can have it built again, and given back what led to it.
 *
 * Callers hold the collector's lock (aq_collect_begin()).
 */
#ifndef AQ_REPAIR_H
#define AQ_REPAIR_H

#include "common/base.h"
#include "common/conf.h"
#include "common/err.h"
#include "common/findings.h"
#include "common/store.h"
#include "common/str.h"

/* What was remembered of an environment before it was taken away. */
struct aq_repair {
	char name[AQ_ENV_NAME_SIZE];
	char base_of[AQ_BASE_PYTHON_SIZE]; /* the Python that it is the base of, or "" */
	bool is_pinned;
	bool has_manifest; /* still there, to be built again from */
	struct aq_repair_binding {
		char *key, *digest, *context, *canonical;
	} *v;
	size_t n;
};
void aq_repair_free(struct aq_repair *r);
#define cleanup_repair __attribute__((cleanup(aq_repair_free)))

/* How to repair what was found.  What stands before REBUILD is only right if
 * the contents are.
 */
enum aq_repair_how {
	AQ_REPAIR_NONE,    /* it is in order */
	AQ_REPAIR_ARCHIVE, /* what the package cache has is not used again */
	AQ_REPAIR_RECOUNT, /* its row says its size */
	AQ_REPAIR_ADOPT,   /* it gets its row, or goes */
	AQ_REPAIR_REBUILD,
};
enum aq_repair_how aq_repair_choose(const struct aq_findings *f);

/* What aq_verify_cache() finds: a damaged cache.db is set aside and made anew
 * from the manifests, rows that lead nowhere go, bases and their marks agree.
 */
AQ_CHECK int aq_repair_cache(const struct aq_conf *conf, struct aq_err *err);
/* Remove the archives that 'f' names. */
AQ_CHECK int aq_repair_archives(const struct aq_conf *conf,
				const struct aq_findings *f,
				struct aq_err *err);
/* Give the row of 'name' the size that its files have. */
AQ_CHECK int aq_repair_recount(const struct aq_conf *conf, const char *name,
			       struct aq_err *err);
/* Make the row of 'name' from its manifest, in place of one that cannot be read.
 * AQ_CORRUPT: there is no whole manifest; AQ_BUSY: somebody builds it.
 */
AQ_CHECK int aq_repair_adopt(const struct aq_conf *conf, const char *name,
			     struct aq_err *err);
/* Remember 'name' in 'ret' and take it away, but for a whole manifest; with it
 * what of the package caches 'f' says is damaged.  AQ_BUSY: it is used,
 * inherited from, or pinned without being what a request leads to.
 */
AQ_CHECK int aq_repair_take(const struct aq_conf *conf, const char *name,
			    const struct aq_findings *f, struct aq_repair *ret,
			    struct aq_err *err);
/* 'env' was built in its place: bind what led to it, pin it, make it the base. */
AQ_CHECK int aq_repair_restore(const struct aq_conf *conf,
			       const struct aq_repair *r, const char *env,
			       struct aq_err *err);
/* The names of those that inherit from 'name'; AQ_BUSY: one of them, or it
 * itself, is used.
 */
AQ_CHECK int aq_repair_children(const struct aq_conf *conf, const char *name,
				struct aq_strv *ret, struct aq_err *err);

#endif
