/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store_inside.h"
#include "common/workflow_rows.h"
#include "common/workflows.h"

struct each {
	aq_workflow_fn *fn;
	void *arg;
};

static int call_each(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	const struct each *e = arg;
	const struct aq_workflow_state w = {
		.uid = (uint32_t)aq_db_number(row, 0),
		.name = aq_db_text(row, 1),
		.key = aq_db_text(row, 2),
		.digest = aq_db_text(row, 3),
		.submitted = aq_db_number(row, 4),
		.env = aq_db_text(row, 5),
		.canonical = aq_db_text(row, 6),
	};

	return e->fn(&w, e->arg, err);
}

int aq_store_each_workflow(struct aq_store *store, uint64_t uid,
			   const char *name, aq_workflow_fn *fn, void *arg,
			   struct aq_err *err)
{
	const bool is_all = uid == AQ_WORKFLOWS_ALL;
	const struct aq_db_value values[] = {
		AQ_NUMBER(is_all ? 0 : uid),
		AQ_NUMBER(is_all ? UINT32_MAX : uid),
		AQ_TEXT(name),
	};
	struct each e = { fn, arg };
	int rc = aq_db_run(store->db,
			   "SELECT uid, name, key, digest, submitted,"
			   " (SELECT env FROM keys k WHERE k.key = w.key"
			   "   ORDER BY seq DESC LIMIT 1),"
			   " (SELECT canonical FROM requests r"
			   "   WHERE r.digest = w.digest AND r.key = w.key"
			   "   LIMIT 1)"
			   " FROM workflows w WHERE uid BETWEEN ?1 AND ?2"
			   "  AND (?3 IS NULL OR name = ?3) AND key != ''"
			   " ORDER BY uid, name",
			   values, ARRAY_LEN(values), call_each, &e, err);

	return rc == AQ_MISS ? 0 : rc;
}

int aq_store_forget_workflow(struct aq_store *store,
			     const struct aq_workflow *w, struct aq_err *err)
{
	const struct aq_workflow_row row = {
		.uid = w->uid, .name = w->name, .key = "", .digest = "",
		.submitted = w->submitted,
	};
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_workflow_put(store->db, &row, store->max_workflows, err);
	return aq_db_end(store->db, rc, err);
}
