/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-code, compiled once for each package and Python on a node and shared by
 * hard links: work/bytecode/X.Y/SHA256/ has N.pyc for the package with that
 * archive, and `index`: for each the source's inode, size, time of change and
 * SHA-256, and its path in a prefix.  A prefix whose source is not that very
 * file, or one with its content, does not get it, so that what is shared is
 * what that source gives.
 *
 * The base's interpreter compiles, with -I -S: no package's code runs.  Without
 * a base of that Python each environment compiles for itself (probe.c).
 */
#ifndef AQ_BUILDER_BYTECODE_H
#define AQ_BUILDER_BYTECODE_H

#include "builder/builder.h"

/* Whether b->lock's environment shares byte-code. */
bool bytecode_is_shared(const struct build *b);

/* Link what is there into the prefix that is being built; if some is missing
 * leave a mark: it is made once nobody waits (bytecode_catch_up()).
 */
AQ_CHECK int bytecode_link(struct build *b, struct aq_err *err);

/* Make what is missing for every marked environment that is committed, and
 * link it there.  Nobody waits for this; killed, the next one goes on.
 */
void bytecode_catch_up(struct build *b);

#endif
