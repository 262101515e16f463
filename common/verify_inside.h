/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of verify; for no one else. */
#ifndef AQ_VERIFY_INSIDE_H
#define AQ_VERIFY_INSIDE_H

#include <sys/types.h>

#include "common/manifest.h"
#include "common/verify.h"
#include "common/walk.h"

#define VERIFY_PATH_SIZE 1024

/* What is known to be in a prefix: sorted by path, a path perhaps several
 * times.
 */
struct claim {
	char *path;
	char kind; /* as struct aq_sum's; '?': a package's file, no digest */
	int package; /* of claims->packages; -1: root's own note */
	char sha256[AQ_SHA256_HEX_SIZE]; /* or "" */
	uint64_t size;                   /* of 's' */
	bool is_seen;
};
struct claims {
	struct claim *v;
	size_t n;
	struct aq_strv packages;
	bool *is_replaced; /* of each package: a wheel took its place */
	size_t n_replaced;
};
#define CLAIMS_MAX 4000000 /* files of one environment */
#define CLAIMS_INIT { .packages = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX + 1) }
void claims_free(struct claims *c);
AQ_CHECK int claims_add(struct claims *c, const char *path, char kind,
			int package, const char *sha256, uint64_t size,
			struct aq_err *err);
/* The number of a new package. */
AQ_CHECK int claims_add_package(struct claims *c, const char *name, int *ret,
				struct aq_err *err);

/* Read what root noted, and what the packages' own records say, which must be
 * those of m->lock.  verify_records.c
 */
AQ_CHECK int verify_read_records(int prefix, const struct aq_manifest *m,
				 struct claims *ret, struct aq_findings *f,
				 struct aq_err *err);

/* -- verify_contents.c -- */
struct contents {
	struct aq_verify *v;
	struct claims claims;
	struct aq_findings *f;
	bool is_growing; /* byte-code is being added */
};
/* Get ready to look at the prefix of 'm'.  AQ_CORRUPT: it cannot be said. */
AQ_CHECK int verify_contents_begin(struct contents *c, int prefix,
				   const struct aq_manifest *m,
				   struct aq_err *err);
AQ_CHECK int verify_contents_look(struct contents *c,
				  const struct aq_walk_entry *e,
				  struct aq_err *err);
/* What was not seen is missing. */
void verify_contents_finish(struct contents *c);
/* The archives of the lock that the package cache still has. */
AQ_CHECK int verify_archives(struct aq_verify *v, const struct aq_lock *lock,
			     struct aq_findings *f, struct aq_err *err);

/* -- verify_hashes.c -- */
/* aq_sums_file(); remembered if the same file 'is_met_again'. */
AQ_CHECK int verify_hash(struct aq_verify *v, int dirfd, const char *name,
			 const struct stat *st, bool is_met_again,
			 char ret[AQ_SHA256_HEX_SIZE], struct aq_err *err);
void verify_hashes_free(struct aq_verify_hashes *h);

/* Whether 'path' of cache_dir (a file) is there, or the system does not let us say. */
bool verify_is_there(const struct aq_conf *conf, const char *path);

#endif
