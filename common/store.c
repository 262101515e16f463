/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "common/store_inside.h"
#include "common/store_schema.h"

void aq_env_free(struct aq_env *env)
{
	if (!env)
		return;
	free(env->ops);
	free(env);
}

bool aq_env_is_name(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");
	uint64_t generation;

	return digits == AQ_ENV_LOCK_DIGITS && name[digits] == '-' &&
	       aq_parse_u64(name + digits + 1, UINT32_MAX, &generation);
}

bool aq_env_is_named_well(const struct aq_env *env)
{
	char name[AQ_ENV_NAME_SIZE];

	if (!aq_is_hex(env->lock, AQ_SHA256_HEX_SIZE - 1) || !env->generation)
		return false;
	aq_env_make_name(env->lock, env->generation, name);
	return strcmp(name, env->name) == 0;
}

void aq_env_make_name(const char *lock, uint32_t generation,
		      char ret[AQ_ENV_NAME_SIZE])
{
	snprintf(ret, AQ_ENV_NAME_SIZE, "%.*s-%" PRIu32, AQ_ENV_LOCK_DIGITS,
		 lock, generation);
}

void aq_env_say_made(const struct aq_env *env, char ret[AQ_ENV_MADE_SIZE])
{
	char python[AQ_BASE_PYTHON_SIZE];

	/* a layer has its base's Python */
	aq_base_name_of(env->python, python);
	if (env->kind == AQ_ENV_INHERITED && *python)
		snprintf(ret, AQ_ENV_MADE_SIZE, "inherited from base %s",
			 python);
	else
		snprintf(ret, AQ_ENV_MADE_SIZE, "%s",
			 env->kind == AQ_ENV_BASE ?
				 "built as a base" :
				 aq_env_kind_name(env->kind));
}

void aq_store_close(struct aq_store *store)
{
	if (!store)
		return;
	aq_db_close(store->db);
	free(store);
}

/* -- opening -- */

/* A new database begins with what the manifests say. */
const char *aq_env_kind_name(enum aq_env_kind kind)
{
	switch (kind) {
	case AQ_ENV_CREATED:
		return "created";
	case AQ_ENV_LINKED:
		return "linked";
	case AQ_ENV_INHERITED:
		return "inherited";
	case AQ_ENV_BASE:
		return "base";
	}
	return "unknown";
}

static int populate(struct aq_db *db, void *arg, struct aq_err *err)
{
	return aq_store_rebuild(db, arg, err);
}

int aq_store_open(const struct aq_conf *conf, enum aq_store_mode mode,
		  struct aq_store **ret, struct aq_err *err)
{
	const struct aq_db_how how = {
		.mode = mode == AQ_STORE_READ ? AQ_DB_READ : AQ_DB_WRITE,
		.busy_ms = mode >= AQ_STORE_BUILD ? AQ_STORE_PATIENCE_MS :
						    AQ_STORE_BUSY_MS,
		.is_checked = mode == AQ_STORE_EXAMINE,
		.replaces_damaged = mode != AQ_STORE_READ,
		.arg = (void *)(uintptr_t)conf,
	};
	cleanup_store struct aq_store *store = calloc(1, sizeof(*store));
	struct aq_db_kind kind = aq_store_kind;
	char path[STORE_PATH_SIZE + 16];
	int rc;

	if (!store)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (!aq_copy_text(store->cache_dir, sizeof(store->cache_dir),
			  conf->cache_dir))
		return aq_fail(err, AQ_SYS, "'%s' is too long a path",
			       conf->cache_dir);
	store->max_workflows = conf->max_workflows;
	snprintf(path, sizeof(path), "%s/cache.db", conf->cache_dir);
	kind.populate = populate;
	rc = aq_db_open(path, &kind, &how, &store->db, err);
	if (rc == AQ_MISS && mode >= AQ_STORE_BUILD) {
		/* of a newer version: what is built could not be committed */
		rc = AQ_SYS;
		if (err)
			err->class = AQ_SYS;
	}
	if (rc)
		return rc;
	*ret = steal(&store);
	return 0;
}

/* -- reading environments -- */

#define OF_ENV " FROM activations a WHERE a.env = e.name)"
#define ENV_COLUMNS                                                            \
	AQ_STORE_ENV_COLUMNS("(SELECT ops" OF_ENV) ", (SELECT sum" OF_ENV
#define ENV_N_COLUMNS 18

int aq_store_read_env(const struct aq_db_row *row, struct aq_env **ret,
		      struct aq_err *err)
{
	const char *reason = aq_db_text(row, 14); /* behind it */
	cleanup_env struct aq_env *e =
		calloc(1, sizeof(*e) + strlen(reason) + 1);
	const void *ops;
	uint64_t kind = aq_db_number(row, 3);

	if (!e)
		return aq_fail(err, AQ_SYS, "out of memory");
	ops = aq_db_blob(row, 13, &e->ops_len);
	if (!aq_copy_text(e->name, sizeof(e->name), aq_db_text(row, 0)) ||
	    !aq_copy_text(e->lock, sizeof(e->lock), aq_db_text(row, 1)) ||
	    !aq_copy_text(e->base, sizeof(e->base), aq_db_text(row, 4)) ||
	    !aq_copy_text(e->python, sizeof(e->python), aq_db_text(row, 5)) ||
	    kind > AQ_ENV_BASE || aq_db_number(row, 2) > UINT32_MAX ||
	    aq_db_number(row, 15) > UINT32_MAX ||
	    (e->ops_len && !aq_envops_is_sound(ops, e->ops_len)))
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	e->generation = (uint32_t)aq_db_number(row, 2);
	/* both names become paths */
	if (!aq_env_is_named_well(e) || (*e->base && !aq_env_is_name(e->base)))
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	e->reason = memcpy(e + 1, reason, strlen(reason) + 1);
	e->ops = malloc(e->ops_len + 1);
	if (!e->ops)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (e->ops_len)
		memcpy(e->ops, ops, e->ops_len);
	e->kind = (enum aq_env_kind)kind;
	e->created = aq_db_number(row, 6);
	e->last_used = aq_db_number(row, 7);
	e->uses = aq_db_number(row, 8);
	e->build_ms = aq_db_number(row, 9);
	e->size_own = aq_db_number(row, 10);
	e->size_shared = aq_db_number(row, 11);
	e->pinned = aq_db_number(row, 12) != 0;
	e->packages = (uint32_t)aq_db_number(row, 15);
	e->uid = (uint32_t)aq_db_number(row, 16);
	*ret = steal(&e);
	return 0;
}

uint64_t aq_store_sum(const struct aq_env *env)
{
	char text[sizeof(*env) + 32];

	snprintf(text, sizeof(text), "%s %s %s %s %016" PRIx64, env->name,
		 env->lock, env->base, env->python,
		 aq_hash(env->ops ? env->ops : "", env->ops_len));
	return aq_hash(text, strlen(text)) >> 1; /* SQLite's are signed */
}

/* For who runs something in it. */
static int read_whole(const struct aq_db_row *row, struct aq_env **ret,
		      struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_read_env(row, &env, err);

	if (rc)
		return rc;
	if (aq_db_number(row, ENV_N_COLUMNS - 1) != aq_store_sum(env))
		return aq_fail(err, AQ_CORRUPT, "the row of environment '%s' is damaged",
			       env->name);
	*ret = steal(&env);
	return 0;
}

static int take_env(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	return read_whole(row, arg, err);
}

static int examine_env(const struct aq_db_row *row, void *arg,
		       struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;

	(void)arg;
	return read_whole(row, &env, err);
}

int aq_store_examine_envs(struct aq_db *db, struct aq_err *err)
{
	int rc = aq_db_run(db, "SELECT " ENV_COLUMNS " FROM environments e",
			   NULL, 0, examine_env, NULL, err);

	return rc == AQ_MISS ? 0 : rc;
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

static int take_found(const struct aq_db_row *row, void *arg,
		      struct aq_err *err)
{
	struct found *f = arg;

	return read_whole(row, &f->env, err);
}

static int take_if_equal(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	struct found *f = arg;

	/* the digest is the user's claim: the bytes decide */
	if (strcmp(aq_db_text(row, ENV_N_COLUMNS), f->canonical) != 0)
		return aq_fail(err, AQ_MISS, "not there");
	return read_whole(row, &f->env, err);
}

void aq_store_find_only(struct aq_store *store, aq_store_fits_fn fits,
			void *arg)
{
	store->fits = fits;
	store->fits_arg = arg;
}

/* One after the other, 'sql' with the number of those before it as ?3. */
static int find_fitting(struct aq_store *store, const char *sql,
			struct aq_db_value values[3], aq_db_each_fn *take,
			struct found *f, struct aq_err *err)
{
	for (uint64_t before = 0;; before++) {
		int rc;

		values[2] = (struct aq_db_value)AQ_NUMBER(before);
		rc = aq_db_run(store->db, sql, values, 3, take, f, err);
		if (!rc && store->fits)
			rc = store->fits(f->env->name, store->fits_arg, err);
		if (!rc)
			return 0;
		aq_env_free(steal(&f->env));
		if (rc != AQ_USER)
			return rc;
	}
}

int aq_store_find(struct aq_store *store, const char *digest,
		  const char *context, const char *canonical,
		  struct aq_env **ret, struct aq_err *err)
{
	struct aq_db_value values[3] = { AQ_TEXT(digest), AQ_TEXT(context) };
	struct found f = { .canonical = canonical };
	int rc = find_fitting(store,
			      "SELECT " ENV_COLUMNS ", r.canonical FROM requests r"
			      " JOIN keys k ON k.key = r.key"
			      " JOIN environments e ON e.name = k.env"
			      " WHERE r.digest = ?1 AND r.context = ?2"
			      " ORDER BY k.seq DESC LIMIT 1 OFFSET ?3",
			      values, take_if_equal, &f, err);

	if (!rc)
		*ret = f.env;
	return rc;
}

int aq_store_find_key(struct aq_store *store, const char *key,
		      struct aq_env **ret, struct aq_err *err)
{
	struct aq_db_value values[3] = { AQ_TEXT(key), AQ_NUMBER(0) }; /* no ?2 */
	struct found f = { 0 };
	int rc = find_fitting(store,
			      "SELECT " ENV_COLUMNS " FROM keys k"
			      " JOIN environments e ON e.name = k.env"
			      " WHERE k.key = ?1"
			      " ORDER BY k.seq DESC LIMIT 1 OFFSET ?3",
			      values, take_found, &f, err);

	if (!rc)
		*ret = f.env;
	return rc;
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

static int take_only(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	struct aq_env **env = arg;

	if (*env)
		return aq_fail(err, AQ_USER, "several environments begin like that: write more of the name");
	return aq_store_read_env(row, env, err);
}

int aq_store_find_name(struct aq_store *store, const char *name,
		       struct aq_env **ret, struct aq_err *err)
{
	char end[AQ_ENV_NAME_SIZE + 1];
	const struct aq_db_value values[] = { AQ_TEXT(name), AQ_TEXT(end) };
	struct aq_env *env = NULL;
	int rc;

	if (!*name || strlen(name) >= AQ_ENV_NAME_SIZE)
		return aq_fail(err, AQ_MISS, "not there");
	/* behind all that begins so: names have digits, a to f, and '-' */
	snprintf(end, sizeof(end), "%sg", name);
	/* a whole name comes first, and alone */
	rc = aq_db_run(store->db,
		       "SELECT " ENV_COLUMNS " FROM environments e"
		       " WHERE e.name >= ?1 AND e.name < ?2 AND"
		       "  (e.name = ?1 OR NOT EXISTS"
		       "   (SELECT 1 FROM environments WHERE name = ?1))"
		       " LIMIT 2",
		       values, ARRAY_LEN(values), take_only, &env, err);
	if (rc) {
		aq_env_free(env);
		return rc;
	}
	*ret = env;
	return 0;
}

int aq_store_has_name(struct aq_store *store, const char *name, bool *ret,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(name) };
	uint64_t n = 0;
	int rc = aq_db_run(store->db,
			   "SELECT count(*) FROM environments WHERE name = ?1",
			   values, 1, aq_db_get_number, &n, err);

	if (!rc)
		*ret = n > 0;
	return rc;
}

int aq_store_size(struct aq_store *store, uint32_t uid, uint64_t *ret,
		  struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_NUMBER(uid) };

	return aq_db_run(store->db,
			 uid ? "SELECT coalesce(sum(size_own), 0)"
			       " FROM environments WHERE uid = ?1" :
			       "SELECT coalesce(sum(size_own), 0)"
			       " FROM environments",
			 values, uid != 0, aq_db_get_number, ret, err);
}

static int get_three(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	uint64_t *const *to = arg;

	(void)err;
	for (int i = 0; i < 3; i++)
		*to[i] = aq_db_number(row, i);
	return 0;
}

int aq_store_typical(struct aq_store *store, enum aq_env_kind kind,
		     uint64_t *ret_n, uint64_t *ret_build_ms,
		     uint64_t *ret_size_own, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_NUMBER(kind) };
	uint64_t *const to[] = { ret_n, ret_build_ms, ret_size_own };

	return aq_db_run(store->db,
			 "SELECT count(*), avg(build_ms), avg(size_own)"
			 " FROM environments WHERE kind = ?1",
			 values, 1, get_three, (void *)(uintptr_t)to, err);
}

int aq_store_digests(struct aq_store *store, const char *env_name,
		     struct aq_strv *ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	int rc = aq_db_run(store->db,
			   "SELECT DISTINCT r.digest FROM keys k"
			   " JOIN requests r ON r.key = k.key WHERE k.env = ?1",
			   values, 1, aq_db_add_text, ret, err);

	return rc && rc != AQ_MISS ? rc :
				     aq_strv_done(ret, "the digests", err);
}

