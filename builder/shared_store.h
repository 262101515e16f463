/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of packages that nodes share: shared_dir/packages/DD/SHA256.conda (or
 * .tar.bz2, or .whl), DD being the first two digits.  A file gets its name once it is whole and
 * flushed, and what is taken is compared with its name.
 */
#ifndef AQ_SHARED_STORE_H
#define AQ_SHARED_STORE_H

#include "builder/shared_dir.h"
#include "common/lock.h"

#define SHARED_ARCHIVE_SIZE (AQ_SHA256_HEX_SIZE + 16) /* "SHA256.tar.bz2" */

/* Who fetches does so for one group of a lock's archives, or several, as it has claimed:
 * the nodes of a step share the work, and with who ends goes a part of what was on its
 * way.  Not many more of them: each is a file that is written to once a second.
 */
#define SHARED_GROUPS 4
#define SHARED_ALL_GROUPS ((1u << SHARED_GROUPS) - 1)
/* That of an archive or its name, as a bit. */
unsigned int shared_group(const char *sha256);

struct shared_store {
	const char *path;
	uid_t owner;
	int here; /* the node's own directory of archives */
	const char *tag; /* of a half there; NULL: nobody else is there */
	/* called while much is copied (NULL: not) */
	int (*alive)(void *arg, struct aq_err *err);
	void *arg;
};

#define SHARED_WHEEL ".whl"
/* What the archive of a package, or a wheel, is called there; false: it is not shared. */
bool shared_archive_name(const struct aq_lock_item *item,
			 char ret[SHARED_ARCHIVE_SIZE]);
/* Of many, whether one is worth a shared_store_get(), for less: open packages/ (-1: it
 * cannot be opened), and ask it.
 */
int shared_store_open(const struct shared_store *s);
bool shared_store_may_have(int packages, const char *name);
/* Copy the archive 'name' to here.  AQ_MISS: it is not shared; AQ_CORRUPT: it was not
 * what its name says, or another's, or no file, and is removed.
 */
AQ_CHECK int shared_store_get(const struct shared_store *s, const char *name,
			      struct aq_err *err);
/* Share the one that is here, and remove old halves beside it of who was killed.  0 also
 * if anything is there; AQ_MISS: it is not here.
 */
AQ_CHECK int shared_store_put(const struct shared_store *s, const char *name,
			      struct aq_err *err);

/* Whether packages/ can be written too, after shared_dir_try(). */
AQ_CHECK int shared_store_try(const char *path, uid_t owner, struct aq_err *err);

#endif
