/* SPDX-License-Identifier: Apache-2.0 */
#include "common/notes.h"

#include "common/refs_asked.h"
#include "common/store_inside.h"
#include "common/tally.h"
#include "common/workflows.h"

/* Workflows at once whose users are told; others are with their next one. */
#define UIDS_MAX 100000

/* -- plain keys -- */

int aq_store_mark_plain(struct aq_db *db, const char *key, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };

	return aq_db_run(db,
			 "UPDATE keys SET plain = 1 WHERE key = ?1 AND plain = 0",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

int aq_store_make_plain(struct aq_store *store, const char *key,
			struct aq_err *err)
{
	return aq_store_mark_plain(store->db, key, err);
}

static int get_bool(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)err;
	*(bool *)arg = aq_db_number(row, 0) != 0;
	return 0;
}

int aq_store_is_plain(struct aq_store *store, const char *key, bool *ret,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };

	return aq_db_run(store->db,
			 "SELECT EXISTS (SELECT 1 FROM keys"
			 "  WHERE key = ?1 AND plain = 1)",
			 values, ARRAY_LEN(values), get_bool, ret, err);
}

/* -- taking -- */

struct taking {
	struct aq_store *store;
	struct aq_strv uids; /* of workflows, as digits */
};

static int take_use(const char *env, const struct aq_use *use, void *arg,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env), AQ_NUMBER(use->n),
					      AQ_NUMBER(use->last) };
	const struct taking *t = arg;

	if (!use->n)
		return 0;
	/* it may be gone */
	return aq_db_run(t->store->db,
			 "UPDATE environments SET uses = uses + ?2,"
			 " last_used = ?3 WHERE name = ?1",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

static int take_workflow(const struct aq_workflow_row *row, void *arg,
			 struct aq_err *err)
{
	struct taking *t = arg;

	aq_strv_add_fmt(&t->uids, "%u", row->uid);
	return aq_workflow_put(t->store->db, row, t->store->max_workflows, err);
}

static int take_plain(const char *key, void *arg, struct aq_err *err)
{
	const struct taking *t = arg;

	return aq_store_mark_plain(t->store->db, key, err);
}

static int take_all(struct taking *t, struct aq_refs *refs, struct aq_err *err)
{
	int rc = aq_db_begin(t->store->db, err);

	if (rc)
		return rc;
	rc = aq_store_take_tally(t->store, refs, err);
	if (!rc)
		rc = aq_refs_each_use(refs, take_use, t, err);
	if (!rc)
		rc = aq_refs_each_asked(refs, take_workflow, t, err);
	if (!rc)
		rc = aq_refs_each_plain(refs, take_plain, t, err);
	return aq_db_end(t->store->db, rc, err);
}

static int take_locked(struct taking *t, struct aq_refs *refs,
		       struct aq_err *err)
{
	int end, rc = take_all(t, refs, err);

	if (!rc)
		rc = aq_refs_clear_uses(refs, err);
	if (!rc)
		rc = aq_refs_clear_asked(refs, err);
	end = aq_refs_end(refs, rc, rc ? NULL : err);
	return rc ? rc : end;
}

static void publish(const struct aq_conf *conf, struct taking *t)
{
	aq_strv_sort_unique(&t->uids);
	for (size_t i = 0; i < t->uids.n; i++) {
		uint64_t uid;

		if (aq_parse_u64(t->uids.v[i], UINT32_MAX, &uid))
			(void)!aq_workflows_publish(
				conf, t->store, (uint32_t)uid,
				AQ_WORKFLOWS_HOOK_WAIT_MS, NULL);
	}
}

int aq_store_take_notes(const struct aq_conf *conf, struct aq_store *store,
			struct aq_refs *refs, struct aq_err *err)
{
	struct taking t = { store, AQ_STRV_INIT(UIDS_MAX) };
	int rc = aq_refs_begin(refs, err);

	if (rc)
		return rc;
	rc = take_locked(&t, refs, err);
	if (!rc)
		publish(conf, &t);
	aq_strv_free(&t.uids);
	return rc;
}

/* -- news -- */

struct news {
	struct aq_store *store;
	bool is_any;
};

static int compare(const struct aq_workflow_row *row, void *arg,
		   struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(row->uid), AQ_TEXT(row->name), AQ_TEXT(row->key),
		AQ_NUMBER(row->submitted),
	};
	struct news *n = arg;
	bool is_known = false;
	int rc = aq_db_run(n->store->db,
			   "SELECT EXISTS (SELECT 1 FROM workflows"
			   "  WHERE uid = ?1 AND name = ?2"
			   "   AND (key = ?3 OR submitted > ?4))",
			   values, ARRAY_LEN(values), get_bool, &is_known, err);

	n->is_any |= !is_known;
	return rc;
}

static int see_plain(const char *key, void *arg, struct aq_err *err)
{
	struct news *n = arg;

	(void)key;
	(void)err;
	n->is_any = true;
	return 0;
}

int aq_store_has_news(struct aq_store *store, struct aq_refs *refs, bool *ret,
		      struct aq_err *err)
{
	struct news n = { store, false };
	int rc = aq_refs_each_asked(refs, compare, &n, err);

	if (!rc)
		rc = aq_refs_each_plain(refs, see_plain, &n, err);
	*ret = n.is_any;
	return rc;
}
