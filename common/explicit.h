/* SPDX-License-Identifier: Apache-2.0 */
/* Explicit lock files, which conda clients write and read: behind a line
 * "@EXPLICIT" a package's URL with its SHA-256 a line, pip's as comments.
 *
 *   # platform: linux-64
 *   @EXPLICIT
 *   https://…/linux-64/python-3.9.6-h1_0.conda#sha256:<64 hex>
 *   # pip six @ https://…/six-1.17.0-py2.py3-none-any.whl#sha256=<64 hex>
 *
 * Behind '#' conda, mamba and rattler take 32 digits (MD5), or 64 (SHA-256)
 * with or without "sha256:": conda/misc.py, libmamba's package_info.cpp,
 * rattler_conda_types' explicit_environment_spec.rs.  The pip lines are
 * conda-lock's, and micromamba's.
 */
#ifndef AQ_EXPLICIT_H
#define AQ_EXPLICIT_H

#include <stdbool.h>

#include "common/lock.h"
#include "common/sections.h"
#include "common/str.h"

/* Append 'lock' to 'out' as an explicit file, so that what runs while others
 * are linked is linked first.  With 'base' (NULL: none), the lock that
 * lock->base names, its packages come too, but those that 'lock' has in its
 * own version.  AQ_LOCK_MAX bytes a lock are enough for 'out'.
 */
void aq_explicit_print(const struct aq_lock *lock, const struct aq_lock *base,
		       struct aq_str *out);

/* Whether 'text' is such a file: its first line that is neither blank nor a
 * comment is "@EXPLICIT".
 */
bool aq_explicit_is(const char *text);

/* Read 'text', such a file, into r->req, unsorted: each package a spec of its
 * channel, version, build and SHA-256, each pip line "name==version"; their
 * channels in the map's order.  What is wrong goes to r->problems, all of it.
 */
void aq_explicit_read(struct aq_reading *r, const char *text);

#endif
