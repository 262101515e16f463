/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a look-up or a build: counted, and said. */
#ifndef AQ_BUILDER_OUTCOME_H
#define AQ_BUILDER_OUTCOME_H

#include "builder/builder.h"

/* AQ_RESOLUTION's word, for a look-up that came out like that. */
const char *outcome_resolution(enum aq_tally_what outcome);
/* That of a build. */
enum aq_tally_what outcome_of_kind(enum aq_env_kind kind);
/* 'env' was just built and committed: note what it took, and what inheriting
 * saved.
 */
void outcome_note_build(struct build *b, struct aq_store *store,
			const struct aq_env *env);
/* The steps that wait for 'env' hold it, and nothing else, from now on; until
 * this is written they hold all that serves their digest.  Count it, and what
 * was noted of a build, and say it.
 */
void outcome_found(struct build *b, const struct aq_env *env,
		   enum aq_tally_what outcome);
/* Count a failure of class 'rc'. */
void outcome_failed(struct build *b, int rc);

#endif
