/* SPDX-License-Identifier: Apache-2.0 */
#include "common/workflow_rows.h"

/* Of two that were submitted at once, a job and its step, the one that comes
 * later counts: the node's base may have changed, and the key with it.
 */
int aq_workflow_put(struct aq_db *db, const struct aq_workflow_row *row,
		    uint64_t max, struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(row->uid), AQ_TEXT(row->name), AQ_TEXT(row->key),
		AQ_TEXT(row->digest), AQ_NUMBER(row->submitted),
	};
	const struct aq_db_value kept[] = {
		AQ_NUMBER(row->uid), AQ_TEXT(row->key), AQ_NUMBER(max),
	};
	int rc = aq_db_run(db,
			   "INSERT INTO workflows VALUES(?1,?2,?3,?4,?5)"
			   " ON CONFLICT(uid, name) DO UPDATE SET"
			   "  key = excluded.key, digest = excluded.digest,"
			   "  submitted = excluded.submitted"
			   " WHERE excluded.submitted > submitted"
			   "  OR (excluded.submitted = submitted"
			   "      AND excluded.key != key)",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	if (rc || !aq_db_changes(db))
		return rc;
	return aq_db_run(db,
			 "DELETE FROM workflows WHERE uid = ?1"
			 " AND (key = '') = (?2 = '') AND name NOT IN"
			 "  (SELECT name FROM workflows WHERE uid = ?1"
			 "    AND (key = '') = (?2 = '')"
			 "   ORDER BY submitted DESC, name LIMIT ?3)",
			 kept, ARRAY_LEN(kept), NULL, NULL, err);
}

struct each {
	aq_workflow_row_fn *fn;
	void *arg;
};

static int call_each(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	const struct each *e = arg;
	const struct aq_workflow_row w = {
		.uid = (uint32_t)aq_db_number(row, 0),
		.name = aq_db_text(row, 1),
		.key = aq_db_text(row, 2),
		.digest = aq_db_text(row, 3),
		.submitted = aq_db_number(row, 4),
	};

	return e->fn(&w, e->arg, err);
}

int aq_workflow_each_row(struct aq_db *db, aq_workflow_row_fn *fn, void *arg,
			 struct aq_err *err)
{
	struct each e = { fn, arg };
	int rc = aq_db_run(db,
			   "SELECT uid, name, key, digest, submitted"
			   " FROM workflows ORDER BY uid, name",
			   NULL, 0, call_each, &e, err);

	return rc == AQ_MISS ? 0 : rc;
}
