/* SPDX-License-Identifier: Apache-2.0 */
/* pip requirements: pip.c chooses who meets them, itself or uv.c. */
#ifndef AQ_BUILDER_PIP_H
#define AQ_BUILDER_PIP_H

#include "builder/run.h"

/* Resolve the pip requirements over what b->lock has of conda: append wheels. */
AQ_CHECK int pip_solve(struct build *b, struct aq_str *lines,
		       struct aq_err *err);
/* The same over b->base: only what it lacks.  AQ_MISS as uv_solve_over_base().
 */
AQ_CHECK int pip_solve_over_base(struct build *b, struct aq_str *lines,
				 struct aq_err *err);
AQ_CHECK int pip_install(struct build *b, struct aq_err *err);
/* Whether the wheels of a whole prefix fit what is with them, as `pip check`
 * has it; as probe_user.  AQ_USER: they do not.  A layer fits by how it was
 * resolved.
 */
AQ_CHECK int pip_check(struct build *b, struct aq_err *err);

/* -- between pip.c and uv.c -- */
/* Requirements and constraints of one resolution, in bytes. */
#define PIP_TEXT_MAX (4 * 1024 * 1024)

/* What pip and uv say when the requirements cannot be met; ends with NULL. */
extern const char *const pip_refusals[];

/* Append where wheels come from; pip and uv name the index differently. */
void pip_add_sources(const struct build *b, struct command *cmd,
		     const char *index_option);
void pip_add_lines(struct aq_str *out, const struct aq_strv *lines);

/* Append the wheels of 'all' that conda does not bring already. */
void pip_add_missing(const struct aq_lock *lock, const char *all,
		     struct aq_str *lines);

/* -- uv.c -- */
/* uv's program; false: it is not there or not wanted. */
bool uv_find(const struct build *b, char *ret, size_t size);
AQ_CHECK int uv_solve(struct build *b, const char *uv, struct aq_str *lines,
		      struct aq_err *err);
/* Over the base: only what it lacks.  AQ_MISS: the requirements conflict with
 * it, and err->text says how.
 */
AQ_CHECK int uv_solve_over_base(struct build *b, const char *uv,
				struct aq_str *lines, struct aq_err *err);
AQ_CHECK int uv_install(struct build *b, const char *uv, struct aq_err *err);

#endif
