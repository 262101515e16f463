/* SPDX-License-Identifier: Apache-2.0 */
/* A lock: the exact packages and wheels that a key resolved to, and the
 * virtual packages they need.  Text, in this order; virtual packages sorted by
 * bytes, the others by name.  Its SHA-256 names the environment, so one lock is
 * one environment.
 *
 *   aq-lock 1
 *   platform linux-64
 *   python 3.9.6
 *   base <64 hex>                         (inherited only: the base's lock)
 *   virtual __glibc >=2.17
 *   conda <url> <sha256> <name> <version> <build>
 *   wheel <url> <sha256> <name> <version>
 *   source <url> <sha256> <name> <version>
 *   vcs git+<url>@<commit>[#subdirectory=<path>] <commit> <name> <version>
 *
 * URLs (http, https, file) are percent-encoded, without credentials.  The last two
 * are built where they are installed, in a private domain alone.
 */
#ifndef AQ_LOCK_H
#define AQ_LOCK_H

#include "common/err.h"
#include "common/sha256.h"
#include "common/str.h"

#define AQ_LOCK_MAX (1024 * 1024) /* 2,000 packages with long URLs */
#define AQ_LOCK_ITEMS_MAX 4096

enum aq_lock_kind {
	AQ_LOCK_CONDA,
	AQ_LOCK_WHEEL,
	AQ_LOCK_SOURCE, /* an archive of a Python package's source */
	AQ_LOCK_VCS,    /* a commit of a repository */
};
/* "conda", "wheel" …: as a lock has it. */
const char *aq_lock_kind_name(enum aq_lock_kind kind);

struct aq_lock_item {
	enum aq_lock_kind kind;
	char *name;
	char *version;
	char *build; /* conda only, else NULL */
	char *url;
	char sha256[AQ_SHA256_HEX_SIZE]; /* vcs: the commit, of 40 or 64 digits */
};

struct aq_lock {
	char *platform;
	char *python;       /* full version, or NULL */
	char base[AQ_SHA256_HEX_SIZE]; /* lock digest, or "" */
	struct aq_lock_item *items;    /* sorted as in the text */
	size_t n_items;
	struct aq_strv virtuals; /* "__glibc >=2.17" */
	char *text;              /* the canonical text */
	size_t text_len;
	char digest[AQ_SHA256_HEX_SIZE];
};

/* Build one item by item, in any order, then aq_lock_finish() sorts, drops
 * equal items, refuses two versions of one package, writes text and digest.
 * AQ_CORRUPT: what is added or set is not what the text can hold, or too much.
 */
AQ_CHECK int aq_lock_new(const char *platform, struct aq_lock **ret,
			 struct aq_err *err);
AQ_CHECK int aq_lock_add(struct aq_lock *lock, enum aq_lock_kind kind,
			 const char *url, const char *sha256, const char *name,
			 const char *version, const char *build,
			 struct aq_err *err);
AQ_CHECK int aq_lock_finish(struct aq_lock *lock, struct aq_err *err);

/* Strict parser of the text: hostile input; print(parse(x)) == x or
 * AQ_CORRUPT.
 */
AQ_CHECK int aq_lock_parse(const char *text, size_t len, struct aq_lock **ret,
			   struct aq_err *err);

/* Append the virtual packages of a lock's text, which is not parsed else. */
void aq_lock_needs(const char *text, struct aq_strv *ret);

/* The package of that kind and name, whatever version; NULL: it has none. */
const struct aq_lock_item *aq_lock_find(const struct aq_lock *lock,
					enum aq_lock_kind kind,
					const char *name);
/* How many packages of that kind it has. */
size_t aq_lock_count(const struct aq_lock *lock, enum aq_lock_kind kind);
/* How many are installed as Python packages are: all but conda's. */
size_t aq_lock_count_python(const struct aq_lock *lock);

void aq_lock_free(struct aq_lock *lock);
DEFINE_CLEANUP(aq_lock);
#define cleanup_lock __attribute__((cleanup(aq_lock_cleanup_)))

#endif
