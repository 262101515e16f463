/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the seal; for no one else. */
#ifndef AQ_SEAL_INSIDE_H
#define AQ_SEAL_INSIDE_H

#include "builder/builder.h"
#include "common/usage.h"

/* -- seal_refuse.c -- */
/* AQ_USER: 'name' is something that no environment may have; 'what' goes on
 * "…, which is set-id".
 */
int seal_refuse(struct build *b, const char *name, const char *what,
		struct aq_err *err);

/* -- seal_links.c -- */
/* Judge the link 'path' of the closed prefix 'root', which nobody can change any
 * more.  It may lead, over however many links, to what is in the prefix, in its
 * base, or to a path that nobody but root can change (aq_trust_lasting()); what it
 * leads to need not be there.
 */
AQ_CHECK int seal_judge_link(struct build *b, int root, const char *path,
			     struct aq_err *err);
/* All links of the prefix 'root', between two phases, when nothing of its build
 * runs; not of a personal cache.
 */
AQ_CHECK int seal_judge_links(struct build *b, int root, struct aq_err *err);

/* -- seal_forged.c -- */
/* Whether what says which packages there are, and whose interpreter this is, is
 * what seal_note_metadata() saw, and nothing says more than the lock.
 */
AQ_CHECK int seal_judge_metadata(struct build *b, int root,
				 struct aq_err *err);

/* -- seal_xattr.c -- */
/* Judge and drop the extended attributes of the open file or directory 'fd'. */
AQ_CHECK int seal_judge_xattrs(struct build *b, int fd, const char *name,
			       struct aq_err *err);

/* -- seal_managed.c -- */
/* Say to pip and uv that nothing can be installed here, and what to do instead
 * (EXTERNALLY-MANAGED, PEP 668); a layer's pip is layer.c's.  'usage' counts it.
 */
AQ_CHECK int seal_mark_managed(struct build *b, int root,
			       struct aq_usage *usage, struct aq_err *err);

#endif
