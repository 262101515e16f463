/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of byte-code; for no one else. */
#ifndef AQ_BUILDER_BYTECODE_INSIDE_H
#define AQ_BUILDER_BYTECODE_INSIDE_H

#include "builder/builder.h"
#include "builder/bytecode.h"

/* What compiles for b->lock: a base's interpreter where it is shared, else the
 * environment's own.
 */
enum phase bytecode_compiler_phase(const struct build *b);
/* The directory of what is compiled, below work/ as it is seen at 'work'. */
void bytecode_name_trees(const struct build *b, const char *work,
			 char ret[BUILD_PATH_MAX]);

/* -- bytecode_compile.c -- */
/* Compile those packages of b->lock for which missing[i] is set. */
AQ_CHECK int bytecode_compile(struct build *b, const bool *missing,
			      struct aq_err *err);

/* -- bytecode_link.c -- */
/* Link what there is of all of b->lock, from the trees below 'work' to the
 * prefix at 'site'.  missing[i]: package i of the lock wants compiling.
 */
AQ_CHECK int bytecode_link_all(const struct build *b, const char *work,
			       const char *site, bool *missing,
			       struct aq_err *err);
/* What only this environment has: copy it to a directory of our own, from which it is
 * linked from now on.  Whoever compiled it may still have the file open.
 */
AQ_CHECK int bytecode_take(struct build *b, struct aq_err *err);

#endif
