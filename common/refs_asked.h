/* SPDX-License-Identifier: Apache-2.0 */
/* Who asked for what, until cache.db says so too: noted in refs.db, so that a
 * step's start waits for no disk, and moved there by an epilog or a collector
 * (aq_store_take_notes() of common/notes.h).
 */
#ifndef AQ_REFS_ASKED_H
#define AQ_REFS_ASKED_H

#include "common/refs.h"
#include "common/workflow.h"
#include "common/workflow_rows.h"

/* 'w' asks for 'key' with the request 'digest', unless something that was
 * submitted later did; or, w->is_removed, it is to be forgotten.  A user has
 * conf->max_workflows of them.  Also while aq_refs_lock() is held.
 */
AQ_CHECK int aq_refs_ask(struct aq_refs *refs, const struct aq_workflow *w,
			 const char *key, const char *digest,
			 struct aq_err *err);
/* 'key' was asked for outside of any workflow; also under that lock. */
AQ_CHECK int aq_refs_ask_plainly(struct aq_refs *refs, const char *key,
				 struct aq_err *err);

/* Call 'fn' for each workflow / for each key that was asked for plainly. */
AQ_CHECK int aq_refs_each_asked(struct aq_refs *refs, aq_workflow_row_fn *fn,
				void *arg, struct aq_err *err);
typedef int aq_refs_plain_fn(const char *key, void *arg, struct aq_err *err);
AQ_CHECK int aq_refs_each_plain(struct aq_refs *refs, aq_refs_plain_fn *fn,
				void *arg, struct aq_err *err);

/* Whether anybody asked for 'key' (NULL: for anything). */
AQ_CHECK int aq_refs_is_asked(struct aq_refs *refs, const char *key, bool *ret,
			      struct aq_err *err);

AQ_CHECK int aq_refs_clear_asked(struct aq_refs *refs, struct aq_err *err);

#endif
