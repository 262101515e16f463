/* SPDX-License-Identifier: Apache-2.0 */
/* AQ_UNDO: how to get back from an environment to the variables that the
 * submitter had.  One printable line, hostile when read: names and values only.
 *
 *   undo   = "1" *( " " record )
 *   record = "v" NAME "," sum "," ( "-" / "+" old )     a variable
 *          / "l" NAME "," ( "-" / "e" / "n" ) *( "," edit )   a list
 *   edit   = "p" item / "a" item / "r" after "/" item
 *
 * sum: FNV-1a of the value that we gave it, "-" if we removed it.  A variable
 * is put back only if it still is as we left it: what somebody has changed
 * since is theirs.  A list was absent, empty or not; we put items in front
 * (p), at the end (a), and took some out (r), each of which had 'after' items
 * behind it.  So a list that others have added to since loses only our items.
 * Values are percent-encoded but for letters, digits and _./:@+=-
 */
#ifndef AQ_UNDO_H
#define AQ_UNDO_H

#include "common/envmap.h"
#include "common/err.h"
#include "common/str.h"

/* A list that the operations edited: how many items they added. */
struct aq_undo_list {
	char *name;
	size_t n_front, n_back;
};
struct aq_undo_lists {
	struct aq_undo_list *v;
	size_t n;
};

/* Append to 'ret' (cap: AQ_UNDO_MAX) the way back from 'after' to 'before'.
 * Fails with AQ_SYS when it does not fit.
 */
AQ_CHECK int aq_undo_write(const struct aq_envmap *before,
			   const struct aq_envmap *after,
			   const struct aq_undo_lists *lists,
			   struct aq_str *ret, struct aq_err *err);

/* Go back in 'map' as 'undo' says.  False, and nothing done, if it is not
 * well formed.
 */
bool aq_undo_apply(struct aq_envmap *map, const char *undo);

#endif
