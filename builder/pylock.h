/* SPDX-License-Identifier: Apache-2.0 */
/* pylock.toml (PEP 751) as uv writes and reads it: just what locks of ours need.
 * Pure.
 */
#ifndef AQ_PYLOCK_H
#define AQ_PYLOCK_H

#include <stdbool.h>

#include "common/err.h"
#include "common/lock.h"
#include "common/str.h"

/* Append a line "wheel URL SHA256 NAME VERSION" for each package of 'text', or one
 * of another kind as a lock has it (common/lock.h).  Of several wheels uv names the
 * one that it prefers for this platform first.
 * A package that 'known' names (may be NULL) is left out; one that 'sources' names
 * (the same) may be an archive of its source.
 * AQ_USER: a package has no wheel with a hash (other sources are not built).
 * AQ_CORRUPT: no pylock.
 */
AQ_CHECK int pylock_read(const char *text, const struct aq_strv *known,
			 const struct aq_strv *sources, struct aq_str *lines,
			 struct aq_err *err);

/* Wheels that are here as files. */
#define PYLOCK_PATH_SIZE 1024
#define PYLOCK_NAME_SIZE 256 /* NAME_MAX, and the NUL */
struct pylock_files {
	/* Whether this one is: its path, and the wheel's own name. */
	bool (*find)(const struct aq_lock_item *wheel,
		     char path[PYLOCK_PATH_SIZE], char name[PYLOCK_NAME_SIZE],
		     const void *arg);
	const void *arg;
};
/* Append the Python packages of 'lock' as a pylock; 'files' may be NULL: none. */
void pylock_write(const struct aq_lock *lock, const struct pylock_files *files,
		  struct aq_str *out);

#endif
