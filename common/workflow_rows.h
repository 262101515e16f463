/* SPDX-License-Identifier: Apache-2.0 */
/* The table that cache.db and refs.db both have: which request of a workflow
 * was submitted last.  Between the files of the store and of references; for
 * no one else.
 */
#ifndef AQ_WORKFLOW_ROWS_H
#define AQ_WORKFLOW_ROWS_H

#include "common/db.h"

/* A row without a key is that of a workflow that was removed: what was
 * submitted earlier does not bring it back.
 */
#define AQ_WORKFLOW_TABLE                                                      \
	"CREATE TABLE workflows("                                              \
	"  uid INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,"       \
	"  digest TEXT NOT NULL, submitted INTEGER NOT NULL,"                  \
	"  PRIMARY KEY(uid, name)"                                             \
	") WITHOUT ROWID;"

struct aq_workflow_row {
	uint32_t uid;
	const char *name, *key, *digest;
	uint64_t submitted; /* Unix nanoseconds */
};

/* Insert 'row', or let it replace the user's row of that name, unless that was
 * submitted later.  Of the user's rows with a key, and of those without, 'max'
 * stay: those submitted last.
 */
AQ_CHECK int aq_workflow_put(struct aq_db *db,
			     const struct aq_workflow_row *row, uint64_t max,
			     struct aq_err *err);

/* Call 'fn' for each row, until it returns non-zero, which is returned.  The
 * texts are valid inside it only.
 */
typedef int aq_workflow_row_fn(const struct aq_workflow_row *row, void *arg,
			       struct aq_err *err);
AQ_CHECK int aq_workflow_each_row(struct aq_db *db, aq_workflow_row_fn *fn,
				  void *arg, struct aq_err *err);

#endif
