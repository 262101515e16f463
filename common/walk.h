/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a tree, by descriptors: it follows no link and opens nothing by
 * more than one name at a time, so that nobody leads it elsewhere.
 */
#ifndef AQ_WALK_H
#define AQ_WALK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/err.h"

/* Levels of directories; no package nests as deep. */
#define AQ_WALK_DEPTH_MAX 128
/* Bytes of a path below the root. */
#define AQ_WALK_PATH_MAX 4096

struct aq_walk_entry {
	int dirfd;             /* what it is in */
	const char *name;      /* there */
	const char *path;      /* below the root, which is "" */
	const struct stat *st; /* of itself, no link's target */
	int fd;                /* a directory's own, once it is open; else -1 */
	bool is_end;           /* a directory, when all in it was visited */
	bool is_too_deep;      /* a directory that is not opened any more */
};

/* What a visitor returns of a directory that is not to be opened; all else but 0
 * ends the walk.
 */
#define AQ_WALK_SKIP (-1)

typedef int aq_walk_fn(const struct aq_walk_entry *e, void *arg,
		       struct aq_err *err);

/* Call 'fn' for 'name' in 'dirfd' and all that is below it: for a directory
 * before what is in it and once more behind.  What goes meanwhile is left out;
 * AQ_MISS: 'name' itself is not there.  Returns what 'fn' returned, or AQ_SYS.
 */
AQ_CHECK int aq_walk(int dirfd, const char *name, aq_walk_fn *fn, void *arg,
		     struct aq_err *err);

#endif
