/* SPDX-License-Identifier: Apache-2.0 */
/* Where an environment is made: below work/envs, until it is moved to its place. */
#ifndef AQ_BUILDER_PREFIX_H
#define AQ_BUILDER_PREFIX_H

#include "builder/builder.h"

/* The prefix 'name' with what b->lock has of conda packages, or an empty layer;
 * away with what was there.
 */
AQ_CHECK int prefix_start(struct build *b, const char *name,
			  struct aq_err *err);
AQ_CHECK int prefix_drop(struct build *b, struct aq_err *err);
/* Open it where it is built. */
AQ_CHECK int prefix_open(const struct build *b, int *ret_fd,
			 struct aq_err *err);
/* Call 'fn' with such a prefix, which is then dropped. */
AQ_CHECK int prefix_try(struct build *b,
			int (*fn)(struct build *b, void *arg,
				  struct aq_err *err),
			void *arg, struct aq_err *err);
/* Drop what builds of b->lock left that were killed between manifest and row,
 * under generations before 'generation'.  Its lock is held: nobody builds there.
 */
AQ_CHECK int prefix_drop_earlier(struct build *b, uint32_t generation,
				 struct aq_err *err);
/* From work/envs, where it was built, to its place: the very directory that was
 * sealed, or AQ_SYS.
 */
AQ_CHECK int prefix_move_in(struct build *b, struct aq_err *err);

#endif
