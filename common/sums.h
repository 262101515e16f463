/* SPDX-License-Identifier: Apache-2.0 */
/* meta/NAME/sums: what root saw in a prefix once it was built and no package's
 * record speaks for, or not for this copy: byte-code, links, what installers
 * write, programs of a layer.  `aq verify` compares with it; nothing else needs
 * it, and an environment is whole without.
 *
 *   aq-sums 1 SHA256\n, of what follows; then entries that end with NUL:
 *   f SHA256 PATH    a file
 *   s SIZE PATH      a big file that is this environment's alone
 *   l SHA256 PATH    a link, and the digest of where it leads
 */
#ifndef AQ_SUMS_H
#define AQ_SUMS_H

#include "common/conf.h"
#include "common/err.h"
#include "common/sha256.h"
#include "common/str.h"
#include "common/usage.h"
#include "common/walk.h"

/* Below work/: a file for each environment that is still to be noted, or noted
 * again, since byte-code is made for it.
 */
#define AQ_SUMS_BYTECODE "bytecode"
#define AQ_SUMS_PENDING_NAME "pending"
#define AQ_SUMS_PENDING AQ_SUMS_BYTECODE "/" AQ_SUMS_PENDING_NAME

/* Bytes of all entries: 500,000 of them. */
#define AQ_SUMS_MAX (64 * 1024 * 1024)

/* Append what is to be remembered of the file or link that 'e' is: of byte-code,
 * of links, and of files with no other name.  Reads it.
 */
AQ_CHECK int aq_sums_add(struct aq_str *sums, const struct aq_walk_entry *e,
			 struct aq_err *err);
/* The same for all of the prefix 'name' in 'dirfd', with what it takes on disk. */
AQ_CHECK int aq_sums_make(int dirfd, const char *name, struct aq_str *sums,
			  struct aq_usage *usage, struct aq_err *err);

/* Whether 'path' is where byte-code lies: in a __pycache__ (PEP 3147). */
bool aq_sums_is_bytecode(const char *path);

/* Write them beside the manifest of 'env', which is there, in place of others:
 * all or nothing.  On disk when it returns 0.
 */
AQ_CHECK int aq_sums_write(const struct aq_conf *conf, const char *env,
			   const struct aq_str *sums, struct aq_err *err);
/* Append them to 'ret'.  AQ_MISS: there are none; AQ_CORRUPT: damaged. */
AQ_CHECK int aq_sums_read(const struct aq_conf *conf, const char *env,
			  struct aq_str *ret, struct aq_err *err);

struct aq_sum {
	char kind; /* 'f', 's', 'l' */
	char sha256[AQ_SHA256_HEX_SIZE]; /* or "" */
	uint64_t size;                   /* of 's' */
	const char *path;
};
/* Call 'fn' for every entry until it returns non-zero, which is returned. */
AQ_CHECK int aq_sums_each(const struct aq_str *sums,
			  int (*fn)(const struct aq_sum *sum, void *arg,
				    struct aq_err *err),
			  void *arg, struct aq_err *err);

/* The digest of the file 'name' in 'dirfd' (no link is followed), of where the
 * link leads.  AQ_MISS: gone meanwhile.
 */
AQ_CHECK int aq_sums_file(int dirfd, const char *name,
			  char ret[AQ_SHA256_HEX_SIZE], struct aq_err *err);
AQ_CHECK int aq_sums_link(int dirfd, const char *name,
			  char ret[AQ_SHA256_HEX_SIZE], struct aq_err *err);

#endif
