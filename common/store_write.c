/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/store_inside.h"

/* The same environment may be there: one that was just rebuilt from the
 * manifest that its builder wrote before the row.
 */
static int check_same(struct aq_db *db, const struct aq_env *e,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(e->name), AQ_TEXT(e->lock), AQ_NUMBER(e->created),
		AQ_NUMBER(e->build_ms),
		AQ_BLOB(e->ops ? e->ops : "", e->ops_len),
	};
	uint64_t n = 0;
	int rc = aq_db_run(db,
			   "SELECT count(*) FROM environments"
			   " JOIN activations ON env = name WHERE name = ?1"
			   " AND lock = ?2 AND created = ?3 AND build_ms = ?4"
			   " AND ops = ?5",
			   values, ARRAY_LEN(values), aq_db_get_number, &n, err);

	if (rc || n)
		return rc;
	return aq_fail(err, AQ_BUSY, "environment '%s' is there already",
		       e->name);
}

int aq_store_insert(struct aq_db *db, const struct aq_env *e,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(e->name),        AQ_TEXT(e->lock),
		AQ_NUMBER(e->generation), AQ_NUMBER(e->kind),
		AQ_TEXT(e->base),        AQ_TEXT(e->python),
		AQ_NUMBER(e->created),   AQ_NUMBER(e->last_used),
		AQ_NUMBER(e->uses),      AQ_NUMBER(e->build_ms),
		AQ_NUMBER(e->size_own),  AQ_NUMBER(e->size_shared),
		AQ_NUMBER(e->pinned),    AQ_TEXT(e->reason),
		AQ_NUMBER(e->packages),  AQ_NUMBER(e->uid),
	};
	const struct aq_db_value activation[] = {
		AQ_TEXT(e->name),
		AQ_BLOB(e->ops ? e->ops : "", e->ops_len),
		AQ_NUMBER(aq_store_sum(e)),
	};
	int rc;

	if (!aq_env_is_named_well(e))
		return aq_fail(err, AQ_SYS, "'%s' is not how an environment of its lock is named",
			       e->name);
	rc = aq_db_run(db,
		       "INSERT INTO environments VALUES"
		       "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"
		       " ON CONFLICT DO NOTHING",
		       values, ARRAY_LEN(values), NULL, NULL, err);
	if (!rc && aq_db_changes(db) == 0)
		return check_same(db, e, err);
	return rc ? rc :
		    aq_db_run(db, "INSERT INTO activations VALUES(?1, ?2, ?3)",
			      activation, ARRAY_LEN(activation), NULL, NULL,
			      err);
}

/* The last one tied to a key is the one that it gives from now on; what is behind
 * another takes its number, which moves up with all that are before it.
 */
static int tie_key(struct aq_db *db, const char *env_name,
		   const struct aq_binding *b, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(b->key), AQ_TEXT(env_name),
					      AQ_TEXT(b->behind ? b->behind : "") };
	int rc = aq_db_run(db,
			   "UPDATE keys SET seq = seq + 1 WHERE key = ?1"
			   " AND ?2 != ?3 AND seq >= (SELECT seq FROM keys"
			   "  WHERE key = ?1 AND env = ?3)",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	if (rc)
		return rc;
	rc = aq_db_run(db,
			   "INSERT INTO keys SELECT ?1, name,"
			   "  coalesce((SELECT seq - 1 FROM keys WHERE key = ?1"
			   "    AND env = ?3 AND ?2 != ?3),"
			   "   (SELECT coalesce(max(seq), 0) + 1 FROM keys"
			   "    WHERE key = ?1)),"
			   "  (SELECT coalesce(max(plain), 0) FROM keys"
			   "   WHERE key = ?1)"
			   " FROM environments WHERE name = ?2"
			   " ON CONFLICT(key, env) DO UPDATE SET seq = excluded.seq",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	if (!rc && aq_db_changes(db) == 0)
		return aq_fail(err, AQ_MISS, "environment '%s' is not there",
			       env_name);
	return rc;
}

/* Requests that differ in their variables share a key: the oldest go. */
static int tie_request(struct aq_db *db, const struct aq_binding *b,
		       struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(b->digest), AQ_TEXT(b->context), AQ_TEXT(b->key),
		AQ_TEXT(b->canonical), AQ_NUMBER(AQ_STORE_REQUESTS_MAX),
	};
	int rc = aq_db_run(db,
			   "INSERT OR REPLACE INTO requests VALUES(?1,?2,?3,?4,"
			   " (SELECT coalesce(max(seq), 0) + 1 FROM requests"
			   "  WHERE key = ?3))",
			   values, 4, NULL, NULL, err);

	return rc ? rc :
		    aq_db_run(db,
			      "DELETE FROM requests WHERE key = ?3 AND seq <="
			      " (SELECT max(seq) FROM requests WHERE key = ?3)"
			      " - ?5",
			      values, 5, NULL, NULL, err);
}

int aq_store_insert_binding(struct aq_db *db, const char *env_name,
			    const struct aq_binding *b, struct aq_err *err)
{
	const struct aq_db_value key[] = { AQ_TEXT(b->key) };
	int rc = tie_key(db, env_name, b, err);

	if (!rc && !b->is_of_workflow)
		rc = aq_store_mark_plain(db, b->key, err);
	if (!rc)
		rc = tie_request(db, b, err);
	return rc ? rc :
		    aq_db_run(db, "DELETE FROM failures WHERE key = ?1", key, 1,
			      NULL, NULL, err);
}

int aq_store_commit(struct aq_store *store, const struct aq_env *env,
		    const struct aq_binding *b, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_store_insert(store->db, env, err);
	if (!rc)
		rc = aq_store_insert_binding(store->db, env->name, b, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_bind(struct aq_store *store, const char *env_name,
		  const struct aq_binding *b, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_store_insert_binding(store->db, env_name, b, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_delete(struct aq_db *db, const char *env_name, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	/* requests whose key leads to nothing else */
	int rc = aq_db_run(db,
			   "DELETE FROM requests WHERE key IN"
			   "  (SELECT key FROM keys WHERE env = ?1)"
			   " AND NOT EXISTS (SELECT 1 FROM keys k"
			   "  WHERE k.key = requests.key AND k.env != ?1)",
			   values, 1, NULL, NULL, err);

	if (!rc)
		rc = aq_db_run(db, "DELETE FROM environments WHERE name = ?1",
			       values, 1, NULL, NULL, err);
	if (!rc && aq_db_changes(db) == 0)
		rc = aq_fail(err, AQ_MISS, "'%s' is not there", env_name);
	return rc;
}

int aq_store_remove(struct aq_store *store, const char *env_name,
		    struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	return rc ? rc :
		    aq_db_end(store->db,
			      aq_store_delete(store->db, env_name, err), err);
}

static int check_changed(struct aq_store *store, const char *env_name,
			 struct aq_err *err)
{
	if (aq_db_changes(store->db) == 0)
		return aq_fail(err, AQ_MISS, "'%s' is not there", env_name);
	return 0;
}

int aq_store_used(struct aq_store *store, const char *env_name, uint64_t now,
		  struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name),
					      AQ_NUMBER(now) };
	int rc = aq_db_run(store->db,
			   "UPDATE environments SET uses = uses + 1,"
			   " last_used = ?2 WHERE name = ?1",
			   values, 2, NULL, NULL, err);

	return rc ? rc : check_changed(store, env_name, err);
}

int aq_store_resize(struct aq_store *store, const struct aq_env *env,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env->name),
					      AQ_NUMBER(env->size_own),
					      AQ_NUMBER(env->size_shared) };
	int rc = aq_db_run(store->db,
			   "UPDATE environments SET size_own = ?2,"
			   " size_shared = ?3 WHERE name = ?1",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	return rc ? rc : check_changed(store, env->name, err);
}

/* -- generations -- */

/* Raise *highest to the highest generation of 'lock' that a directory holds. */
static int raise_by(const char *cache_dir, const char *sub, const char *lock,
		    uint64_t *highest, struct aq_err *err)
{
	char path[STORE_PATH_SIZE + 16];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;

	snprintf(path, sizeof(path), "%s/%s", cache_dir, sub);
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return aq_fail_errno(err, "cannot read '%s'", path);
	while ((errno = 0, e = readdir(dir))) {
		const char *dash = strchr(e->d_name, '-');
		uint64_t n;

		if (dash && dash - e->d_name == AQ_ENV_LOCK_DIGITS &&
		    strncmp(e->d_name, lock, AQ_ENV_LOCK_DIGITS) == 0 &&
		    aq_parse_u64(dash + 1, UINT32_MAX - 1, &n) && n > *highest)
			*highest = n;
	}
	return errno ? aq_fail_errno(err, "cannot read '%s'", path) : 0;
}

int aq_store_next_generation(struct aq_store *store, const char *lock,
			     uint32_t *ret, struct aq_err *err)
{
	static const char *const dirs[] = { "envs", "meta", "trash" };
	const struct aq_db_value values[] = { AQ_TEXT(lock) };
	uint64_t highest = 0;
	int rc = aq_db_run(store->db,
			   "SELECT coalesce(max(generation), 0)"
			   " FROM environments WHERE lock = ?1",
			   values, 1, aq_db_get_number, &highest, err);

	for (size_t i = 0; !rc && i < ARRAY_LEN(dirs); i++)
		rc = raise_by(store->cache_dir, dirs[i], lock, &highest, err);
	if (rc)
		return rc;
	if (highest >= UINT32_MAX - 1)
		return aq_fail(err, AQ_CORRUPT, "generations are used up");
	*ret = (uint32_t)highest + 1;
	return 0;
}
