/* SPDX-License-Identifier: Apache-2.0 */
#include "common/refs_asked.h"

#include "common/refs_inside.h"

int aq_refs_ask(struct aq_refs *refs, const struct aq_workflow *w,
		const char *key, const char *digest, struct aq_err *err)
{
	const struct aq_workflow_row row = {
		.uid = w->uid,
		.name = w->name,
		.key = w->is_removed ? "" : key,
		.digest = w->is_removed ? "" : digest,
		.submitted = w->submitted,
	};

	return aq_workflow_put(refs->db, &row, refs->conf->max_workflows, err);
}

int aq_refs_ask_plainly(struct aq_refs *refs, const char *key,
			struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };

	return aq_db_run(refs->db, "INSERT OR IGNORE INTO plain VALUES(?1)",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

int aq_refs_each_asked(struct aq_refs *refs, aq_workflow_row_fn *fn, void *arg,
		       struct aq_err *err)
{
	return aq_workflow_each_row(refs->db, fn, arg, err);
}

struct each {
	aq_refs_plain_fn *fn;
	void *arg;
};

static int call_plain(const struct aq_db_row *row, void *arg,
		      struct aq_err *err)
{
	const struct each *e = arg;

	return e->fn(aq_db_text(row, 0), e->arg, err);
}

int aq_refs_each_plain(struct aq_refs *refs, aq_refs_plain_fn *fn, void *arg,
		       struct aq_err *err)
{
	struct each e = { fn, arg };
	int rc = aq_db_run(refs->db, "SELECT key FROM plain", NULL, 0,
			   call_plain, &e, err);

	return rc == AQ_MISS ? 0 : rc;
}

static int see_one(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)row;
	(void)err;
	*(bool *)arg = true;
	return 0;
}

int aq_refs_is_asked(struct aq_refs *refs, const char *key, bool *ret,
		     struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };
	int rc;

	*ret = false;
	rc = aq_db_run(refs->db,
		       "SELECT 1 FROM plain WHERE ?1 IS NULL OR key = ?1"
		       " UNION ALL"
		       " SELECT 1 FROM workflows WHERE ?1 IS NULL OR key = ?1"
		       " LIMIT 1", values, ARRAY_LEN(values), see_one, ret, err);
	return rc == AQ_MISS ? 0 : rc;
}

int aq_refs_clear_asked(struct aq_refs *refs, struct aq_err *err)
{
	int rc = aq_db_run(refs->db, "DELETE FROM workflows", NULL, 0, NULL,
			   NULL, err);

	return rc ? rc : aq_db_run(refs->db, "DELETE FROM plain", NULL, 0, NULL,
				   NULL, err);
}
