/* SPDX-License-Identifier: Apache-2.0 */
/* What verifying asks of cache.db. */
#include "common/store_inside.h"
#include "common/store_schema.h"

static int dangles(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)arg;
	return aq_fail(err, AQ_CORRUPT, "a row of '%s' leads to no environment",
		       aq_db_text(row, 0));
}

int aq_store_check(struct aq_store *store, struct aq_err *err)
{
	int rc = aq_db_examine(store->db, &aq_store_kind, err);

	if (!rc)
		rc = aq_db_run(store->db, "PRAGMA foreign_key_check", NULL, 0,
			       dangles, NULL, err);
	return rc == AQ_MISS ? 0 : rc;
}

int aq_store_names(struct aq_store *store, struct aq_strv *ret,
		   struct aq_err *err)
{
	int rc = aq_db_run(store->db, "SELECT name FROM environments", NULL, 0,
			   aq_db_add_text, ret, err);

	return rc && rc != AQ_MISS ? rc : aq_strv_done(ret, "environments", err);
}

int aq_store_find_exact(struct aq_store *store, const char *name,
			struct aq_env **ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(name) };
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(1);
	int rc = aq_db_run(store->db,
			   "SELECT name FROM environments WHERE name = ?1",
			   values, 1, aq_db_add_text, &names, err);

	return rc ? rc : aq_store_find_name(store, name, ret, err);
}

struct bindings {
	aq_store_binding_fn fn;
	void *arg;
};

static int call_binding(const struct aq_db_row *row, void *arg,
			struct aq_err *err)
{
	const struct bindings *b = arg;
	const struct aq_binding tie = { .key = aq_db_text(row, 0),
					.digest = aq_db_text(row, 1),
					.context = aq_db_text(row, 2),
					.canonical = aq_db_text(row, 3) };

	return b->fn(&tie, b->arg, err);
}

int aq_store_bindings(struct aq_store *store, const char *env_name,
		      aq_store_binding_fn fn, void *arg, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	struct bindings b = { fn, arg };
	int rc = aq_db_run(store->db,
			   "SELECT k.key, r.digest, r.context, r.canonical"
			   " FROM keys k JOIN requests r ON r.key = k.key"
			   " WHERE k.env = ?1 ORDER BY k.key, r.seq",
			   values, 1, call_binding, &b, err);

	return rc == AQ_MISS ? 0 : rc;
}

int aq_store_remove_damaged(struct aq_store *store, const char *env_name,
			    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_db_run(store->db, "DELETE FROM bases WHERE env = ?1", values, 1,
		       NULL, NULL, err);
	if (!rc)
		rc = aq_store_delete(store->db, env_name, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_untie(struct aq_store *store, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_db_script(store->db,
			  "DELETE FROM keys WHERE NOT EXISTS"
			  " (SELECT 1 FROM environments WHERE name = env);"
			  "DELETE FROM bases WHERE NOT EXISTS"
			  " (SELECT 1 FROM environments WHERE name = env);"
			  "DELETE FROM requests WHERE NOT EXISTS"
			  " (SELECT 1 FROM keys k WHERE k.key = requests.key)",
			  err);
	return aq_db_end(store->db, rc, err);
}
