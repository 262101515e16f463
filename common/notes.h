/* SPDX-License-Identifier: Apache-2.0 */
/* What steps note in refs.db, where nothing waits for a disk, and what cache.db is
 * told of it later: uses, counts (common/tally.h), workflows, and keys that were
 * asked for plainly.
 */
#ifndef AQ_NOTES_H
#define AQ_NOTES_H

#include "common/refs.h"
#include "common/store.h"

/* Move it all, in one transaction; then let the users whose workflows were among
 * it read them (common/workflows.h).  Where that fails they see those of before.
 */
AQ_CHECK int aq_store_take_notes(const struct aq_conf *conf,
				 struct aq_store *store, struct aq_refs *refs,
				 struct aq_err *err);

/* Whether something of it bears on what is obsolete: a workflow asked for
 * another key than cache.db knows, or somebody asked for one plainly.  The same
 * request submitted again does not.
 */
AQ_CHECK int aq_store_has_news(struct aq_store *store, struct aq_refs *refs,
			       bool *ret, struct aq_err *err);

#endif
