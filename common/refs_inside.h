/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of refs.db; for no one else. */
#ifndef AQ_REFS_INSIDE_H
#define AQ_REFS_INSIDE_H

#include "common/db.h"
#include "common/refs.h"

struct aq_refs {
	struct aq_db *db; /* NULL: to look only, and there is none */
	const struct aq_conf *conf;
	int lock_fd; /* aq_refs_lock(), or -1 */
};

/* Note 'n' uses of 'env', and what 'tally' counts, inside a transaction. */
AQ_CHECK int aq_refs_note(struct aq_refs *refs, const char *env, uint64_t n,
			  uint64_t now, const struct aq_tally *tally,
			  struct aq_err *err);

#endif
