/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-code, compiled once for each package and Python on a node and shared by
 * hard links: work/bytecode/X.Y/SHA256/ has N.pyc for the package with that
 * archive, and `index`: for each the source's inode, size, time of change and
 * SHA-256, and its path in a prefix.  A prefix whose source is not that very
 * file, or one with its content, does not get it, so that what is shared is
 * what that source gives.
 *
 * The interpreter of the node's base of that Python compiles, with -I -S: no
 * package's code runs.  Without such a base each environment is compiled by its
 * own, as probe_user, and shares nothing of it.
 *
 *   bytecode.c          whose interpreter, for which environments, when
 *   bytecode_compile.c  what the interpreter is told
 *   bytecode_link.c     beside which sources the result belongs
 */
#ifndef AQ_BUILDER_BYTECODE_H
#define AQ_BUILDER_BYTECODE_H

#include "builder/builder.h"

/* Choose whose interpreter compiles for b->lock: b->compiler, which is held from
 * then on; "": there is no base of that Python.
 */
void bytecode_choose_compiler(struct build *b, const struct aq_bases *bases);

/* Link what is there into the prefix that is being built, and leave a mark: what
 * is missing is made once nobody waits (bytecode_catch_up()).
 */
AQ_CHECK int bytecode_link(struct build *b, struct aq_err *err);

/* Make what is missing for every marked environment that is committed, link it
 * there, and note what the environment holds then (seal_note()).  Nobody waits for
 * this; killed, the next one goes on.
 */
void bytecode_catch_up(struct build *b);

#endif
