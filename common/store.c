/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/db.h"
#include "common/store_schema.h"

#define PATH_SIZE 1024
/* Set-aside databases kept; the next one replaces the last. */
#define ASIDE_MAX 9

struct aq_store {
	struct aq_db *db;
	char cache_dir[PATH_SIZE];
};

void aq_env_free(struct aq_env *env)
{
	if (!env)
		return;
	free(env->ops);
	free(env);
}

void aq_store_close(struct aq_store *store)
{
	if (!store)
		return;
	aq_db_close(store->db);
	free(store);
}

/* -- opening -- */

/* Move a damaged database out of the way, its journal with it: without the
 * database a journal is worth nothing, beside a new one it is poison.
 */
static int set_aside(const char *path, struct aq_err *err)
{
	char from[PATH_SIZE + 16], to[PATH_SIZE + 64];
	int i = 1;

	for (; i < ASIDE_MAX; i++) {
		snprintf(to, sizeof(to), "%s.damaged-%d", path, i);
		if (access(to, F_OK) != 0)
			break;
	}
	snprintf(from, sizeof(from), "%s-journal", path);
	snprintf(to, sizeof(to), "%s.damaged-%d-journal", path, i);
	if (rename(from, to) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot set '%s' aside", from);
	snprintf(to, sizeof(to), "%s.damaged-%d", path, i);
	if (rename(path, to) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot set '%s' aside", path);
	return 0;
}

int aq_store_open(const struct aq_conf *conf, enum aq_store_mode mode,
		  struct aq_store **ret, struct aq_err *err)
{
	cleanup_store struct aq_store *store = calloc(1, sizeof(*store));
	enum aq_db_mode db_mode = mode == AQ_STORE_READ ? AQ_DB_READ :
							  AQ_DB_WRITE;
	char path[PATH_SIZE];
	int rc;

	if (!store)
		return aq_fail(err, AQ_SYS, "out of memory");
	if ((size_t)snprintf(path, sizeof(path), "%s/cache.db",
			     conf->cache_dir) >= sizeof(path))
		return aq_fail(err, AQ_SYS, "'%s' is too long a path",
			       conf->cache_dir);
	rc = aq_db_open(path, &aq_store_kind, db_mode, AQ_STORE_BUSY_MS,
			&store->db, err);
	if (rc == AQ_CORRUPT && mode == AQ_STORE_WRITE) {
		rc = set_aside(path, err);
		if (!rc)
			rc = aq_db_open(path, &aq_store_kind, db_mode,
					AQ_STORE_BUSY_MS, &store->db, err);
	}
	if (rc)
		return rc;
	snprintf(store->cache_dir, sizeof(store->cache_dir), "%s",
		 conf->cache_dir);
	*ret = steal(&store);
	return 0;
}

/* -- reading environments -- */

#define ENV_COLUMNS                                                            \
	"e.name, e.lock, e.generation, e.kind, e.base, e.python, e.created,"   \
	" e.last_used, e.uses, e.build_ms, e.size_own, e.size_shared,"         \
	" e.pinned, e.ops"

static int read_env(const struct aq_db_row *row, struct aq_env **ret,
		    struct aq_err *err)
{
	cleanup_env struct aq_env *e = calloc(1, sizeof(*e));
	const void *ops;
	uint64_t kind = aq_db_number(row, 3);

	if (!e)
		return aq_fail(err, AQ_SYS, "out of memory");
	ops = aq_db_blob(row, 13, &e->ops_len);
	if (!aq_copy_text(e->name, sizeof(e->name), aq_db_text(row, 0)) ||
	    !aq_copy_text(e->lock, sizeof(e->lock), aq_db_text(row, 1)) ||
	    !aq_copy_text(e->base, sizeof(e->base), aq_db_text(row, 4)) ||
	    !aq_copy_text(e->python, sizeof(e->python), aq_db_text(row, 5)) ||
	    kind > AQ_ENV_BASE || !e->name[0] || strchr(e->name, '/') ||
	    !aq_is_hex(e->lock, AQ_SHA256_HEX_SIZE - 1) ||
	    (e->ops_len && !aq_envops_is_sound(ops, e->ops_len)))
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	e->ops = malloc(e->ops_len + 1);
	if (!e->ops)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (e->ops_len)
		memcpy(e->ops, ops, e->ops_len);
	e->generation = (uint32_t)aq_db_number(row, 2);
	e->kind = (enum aq_env_kind)kind;
	e->created = aq_db_number(row, 6);
	e->last_used = aq_db_number(row, 7);
	e->uses = aq_db_number(row, 8);
	e->build_ms = aq_db_number(row, 9);
	e->size_own = aq_db_number(row, 10);
	e->size_shared = aq_db_number(row, 11);
	e->pinned = aq_db_number(row, 12) != 0;
	*ret = steal(&e);
	return 0;
}

static int take_env(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	return read_env(row, arg, err);
}

static int find_one(struct aq_store *store, const char *sql,
		    const struct aq_db_value *values, size_t n,
		    struct aq_env **ret, struct aq_err *err)
{
	struct aq_env *env = NULL;
	int rc = aq_db_run(store->db, sql, values, n, take_env, &env, err);

	if (rc) {
		aq_env_free(env);
		return rc;
	}
	*ret = env;
	return 0;
}

struct found {
	const char *canonical;
	struct aq_env *env;
};

static int take_if_equal(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	struct found *f = arg;

	/* the digest is the user's claim: the bytes decide */
	if (strcmp(aq_db_text(row, 14), f->canonical) != 0)
		return aq_fail(err, AQ_MISS, "not there");
	return read_env(row, &f->env, err);
}

int aq_store_find(struct aq_store *store, const char *digest,
		  const char *context, const char *canonical,
		  struct aq_env **ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(digest),
					      AQ_TEXT(context) };
	struct found f = { .canonical = canonical };
	int rc = aq_db_run(store->db,
			   "SELECT " ENV_COLUMNS ", r.canonical FROM requests r"
			   " JOIN keys k ON k.key = r.key"
			   " JOIN environments e ON e.name = k.env"
			   " WHERE r.digest = ?1 AND r.context = ?2"
			   " ORDER BY e.generation DESC LIMIT 1",
			   values, ARRAY_LEN(values), take_if_equal, &f, err);

	if (rc) {
		aq_env_free(f.env);
		return rc;
	}
	*ret = f.env;
	return 0;
}

int aq_store_find_key(struct aq_store *store, const char *key,
		      struct aq_env **ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };

	return find_one(store,
			"SELECT " ENV_COLUMNS " FROM keys k"
			" JOIN environments e ON e.name = k.env WHERE k.key = ?1"
			" ORDER BY e.generation DESC LIMIT 1",
			values, 1, ret, err);
}

int aq_store_find_lock(struct aq_store *store, const char *lock,
		       struct aq_env **ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(lock) };

	return find_one(store,
			"SELECT " ENV_COLUMNS " FROM environments e"
			" WHERE e.lock = ?1 ORDER BY e.generation DESC LIMIT 1",
			values, 1, ret, err);
}

int aq_store_find_name(struct aq_store *store, const char *name,
		       struct aq_env **ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(name) };
	uint64_t n = strlen(name);
	const struct aq_db_value prefix[] = { AQ_TEXT(name), AQ_NUMBER(n) };
	int rc = find_one(store,
			  "SELECT " ENV_COLUMNS " FROM environments e"
			  " WHERE e.name = ?1", values, 1, ret, err);

	if (rc != AQ_MISS || !n)
		return rc;
	return find_one(store,
			"SELECT " ENV_COLUMNS " FROM environments e"
			" WHERE substr(e.name, 1, ?2) = ?1 AND 1 ="
			" (SELECT count(*) FROM environments"
			"  WHERE substr(name, 1, ?2) = ?1)",
			prefix, 2, ret, err);
}

static int get_count(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	(void)err;
	*(uint64_t *)arg = aq_db_number(row, 0);
	return 0;
}

int aq_store_has_digest(struct aq_store *store, const char *digest, bool *ret,
			struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(digest) };
	uint64_t n = 0;
	int rc = aq_db_run(store->db,
			   "SELECT count(*) FROM requests WHERE digest = ?1",
			   values, 1, get_count, &n, err);

	if (!rc)
		*ret = n > 0;
	return rc;
}

struct each {
	aq_store_each_fn fn;
	void *arg;
};

static int call_each(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	const struct each *e = arg;
	cleanup_env struct aq_env *env = NULL;
	int rc = read_env(row, &env, err);

	return rc ? rc : e->fn(env, e->arg, err);
}

int aq_store_each(struct aq_store *store, aq_store_each_fn fn, void *arg,
		  struct aq_err *err)
{
	struct each e = { fn, arg };
	int rc = aq_db_run(store->db,
			   "SELECT " ENV_COLUMNS " FROM environments e"
			   " ORDER BY e.name", NULL, 0, call_each, &e, err);

	return rc == AQ_MISS ? 0 : rc;
}

/* -- writing -- */

static int insert_env(struct aq_store *store, const struct aq_env *e,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(e->name),        AQ_TEXT(e->lock),
		AQ_NUMBER(e->generation), AQ_NUMBER(e->kind),
		AQ_TEXT(e->base),        AQ_TEXT(e->python),
		AQ_NUMBER(e->created),   AQ_NUMBER(e->last_used),
		AQ_NUMBER(e->uses),      AQ_NUMBER(e->build_ms),
		AQ_NUMBER(e->size_own),  AQ_NUMBER(e->size_shared),
		AQ_NUMBER(e->pinned),    AQ_BLOB(e->ops ? e->ops : "", e->ops_len),
	};
	int rc = aq_db_run(store->db,
			   "INSERT INTO environments VALUES"
			   "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)"
			   " ON CONFLICT DO NOTHING",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	if (!rc && aq_db_changes(store->db) == 0)
		return aq_fail(err, AQ_BUSY, "environment '%s' is there already",
			       e->name);
	return rc;
}

static int insert_binding(struct aq_store *store, const char *env_name,
			  const struct aq_binding *b, struct aq_err *err)
{
	const struct aq_db_value key[] = { AQ_TEXT(b->key), AQ_TEXT(env_name) };
	const struct aq_db_value request[] = { AQ_TEXT(b->digest),
					       AQ_TEXT(b->context),
					       AQ_TEXT(b->key),
					       AQ_TEXT(b->canonical) };
	int rc = aq_db_run(store->db,
			   "INSERT INTO keys SELECT ?1, name FROM environments"
			   " WHERE name = ?2 ON CONFLICT DO NOTHING",
			   key, 2, NULL, NULL, err);

	if (!rc)
		rc = aq_db_run(store->db,
			       "INSERT OR REPLACE INTO requests VALUES(?1,?2,?3,?4)",
			       request, 4, NULL, NULL, err);
	if (!rc)
		rc = aq_db_run(store->db, "DELETE FROM failures WHERE key = ?1",
			       key, 1, NULL, NULL, err);
	return rc;
}

int aq_store_commit(struct aq_store *store, const struct aq_env *env,
		    const struct aq_binding *b, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = insert_env(store, env, err);
	if (!rc)
		rc = insert_binding(store, env->name, b, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_bind(struct aq_store *store, const char *env_name,
		  const struct aq_binding *b, struct aq_err *err)
{
	struct aq_env *env = NULL;
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_store_find_name(store, env_name, &env, err);
	if (!rc && strcmp(env->name, env_name) != 0)
		rc = aq_fail(err, AQ_MISS, "'%s' is not there", env_name);
	aq_env_free(env);
	if (!rc)
		rc = insert_binding(store, env_name, b, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_remove(struct aq_store *store, const char *env_name,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_db_run(store->db, "DELETE FROM environments WHERE name = ?1",
		       values, 1, NULL, NULL, err);
	if (!rc && aq_db_changes(store->db) == 0)
		rc = aq_fail(err, AQ_MISS, "'%s' is not there", env_name);
	if (!rc)
		rc = aq_db_run(store->db,
			       "DELETE FROM requests WHERE key NOT IN"
			       " (SELECT key FROM keys)", NULL, 0, NULL, NULL,
			       err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_used(struct aq_store *store, const char *env_name, uint64_t now,
		  struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name),
					      AQ_NUMBER(now) };

	return aq_db_run(store->db,
			 "UPDATE environments SET uses = uses + 1,"
			 " last_used = ?2 WHERE name = ?1",
			 values, 2, NULL, NULL, err);
}

/* -- generations -- */

/* The highest generation of 'lock' that a directory holds. */
static uint32_t highest_in(const char *cache_dir, const char *sub,
			   const char *lock)
{
	char path[PATH_SIZE + 16];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	uint32_t highest = 0;

	snprintf(path, sizeof(path), "%s/%s", cache_dir, sub);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		const char *dash = strchr(e->d_name, '-');
		uint64_t n;

		if (dash && dash - e->d_name == AQ_ENV_LOCK_DIGITS &&
		    strncmp(e->d_name, lock, AQ_ENV_LOCK_DIGITS) == 0 &&
		    aq_parse_u64(dash + 1, UINT32_MAX - 1, &n) && n > highest)
			highest = (uint32_t)n;
	}
	return highest;
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
			   values, 1, get_count, &highest, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		uint32_t n = highest_in(store->cache_dir, dirs[i], lock);

		highest = n > highest ? n : highest;
	}
	if (highest >= UINT32_MAX - 1)
		return aq_fail(err, AQ_CORRUPT, "generations are used up");
	*ret = (uint32_t)highest + 1;
	return 0;
}

/* -- failures -- */

int aq_store_fail_put(struct aq_store *store, const char *key,
		      const char *reason, uint64_t now, uint64_t ttl,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key), AQ_TEXT(reason),
					      AQ_NUMBER(now), AQ_NUMBER(ttl) };

	return aq_db_run(store->db,
			 "INSERT OR REPLACE INTO failures VALUES(?1,?2,?3,?4)",
			 values, 4, NULL, NULL, err);
}

struct failure {
	uint64_t now;
};

static int judge_failure(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	const struct failure *f = arg;
	uint64_t since = aq_db_number(row, 1), ttl = aq_db_number(row, 2);

	/* 'since' in the future: a clock was set back */
	if (f->now < since || f->now - since >= ttl)
		return aq_fail(err, AQ_MISS, "not there");
	return aq_fail(err, AQ_USER, "%s", aq_db_text(row, 0));
}

int aq_store_fail_get(struct aq_store *store, const char *key, uint64_t now,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };
	struct failure f = { now };

	return aq_db_run(store->db,
			 "SELECT reason, since, ttl FROM failures WHERE key = ?1",
			 values, 1, judge_failure, &f, err);
}
