/* SPDX-License-Identifier: Apache-2.0 */
/* Inheriting: a request that a base meets but for some pip requirements gets a
 * layer over that base (PEP 405), with the difference in it.
 *
 *   inherit.c  whether the base meets the conda part; the difference
 *   stubs.c    what Python packages the base has, as pip's resolvers want it
 *   bare.c     the base's interpreter without them
 *   layer.c    the layer's files
 */
#ifndef AQ_BUILDER_INHERIT_H
#define AQ_BUILDER_INHERIT_H

#include "builder/builder.h"

/* Hold b->base for as long as this process lives, so that nobody collects it,
 * and read its lock.  AQ_MISS: it is gone, and the key with it.
 */
AQ_CHECK int inherit_hold_base(struct build *b, struct aq_err *err);

/* Whether b->base has the request's conda part.  AQ_MISS: it has not, and
 * err->text says why.
 */
AQ_CHECK int inherit_check(struct build *b, struct aq_err *err);

/* Resolve over b->base: b->lock, b->kind.  AQ_MISS: it cannot be inherited
 * from, and err->text, if it has any, says why.
 */
AQ_CHECK int inherit_solve(struct build *b, struct aq_err *err);

/* AQ_MISS with "not inherited from base NAME: WHAT: DETAIL" in one line. */
int inherit_miss(struct aq_err *err, const char *what, const char *detail);

/* -- stubs.c -- */
/* Make b->stubs, a directory for resolvers to read: for each Python package of
 * the base a wheel that has nothing but its metadata, and constraints.txt with
 * their versions.  Once for each base.
 */
AQ_CHECK int stubs_make(struct build *b, struct aq_err *err);
/* The same of b->prefix, which has what b->lock has of conda; and of a prefix that
 * is linked for it and dropped.
 */
AQ_CHECK int stubs_make_of_prefix(struct build *b, struct aq_err *err);
AQ_CHECK int stubs_make_of_conda(struct build *b, struct aq_err *err);
/* Their names and their constraints. */
AQ_CHECK int stubs_read(struct build *b, struct aq_strv *names,
			struct aq_str *constraints, struct aq_err *err);

/* -- bare.c -- */
/* The base whose interpreter speaks for b->prefix; "": none does. */
const char *bare_env(const struct build *b);
/* A venv over the base 'env' with no packages in it, for programs in the cage that
 * ask an interpreter what it is; its path there.
 */
AQ_CHECK int bare_make(const struct build *b, const char *env,
		       struct aq_err *err);
void bare_name(const struct build *b, const char *env,
	       char ret_inside[BUILD_PATH_MAX]);

/* -- layer.c -- */
/* The empty layer in b->prefix. */
AQ_CHECK int layer_start(struct build *b, struct aq_err *err);
/* What its pyvenv.cfg is. */
AQ_CHECK int layer_write_cfg(const struct build *b, struct aq_str *ret,
			     struct aq_err *err);
/* What the base has and the layer lacks: wrappers for its programs, links to
 * its files.
 */
AQ_CHECK int layer_complete(struct build *b, struct aq_err *err);
/* Of a whole prefix: the programs that were written for a bare interpreter are its
 * own's.
 */
AQ_CHECK int layer_own_programs(struct build *b, struct aq_err *err);

#endif
