/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"
#include "common/io.h"
#include "common/store_inside.h"

/* -- reading -- */

static int take_base(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	struct aq_bases *bases = arg;
	struct aq_base *b = &bases->v[bases->n];

	if (bases->n == AQ_BASES_MAX)
		return aq_fail(err, AQ_CORRUPT, "there are over %d bases",
			       AQ_BASES_MAX);
	if (!aq_copy_text(b->python, sizeof(b->python), aq_db_text(row, 0)) ||
	    !aq_copy_text(b->env, sizeof(b->env), aq_db_text(row, 1)) ||
	    !aq_copy_text(b->lock, sizeof(b->lock), aq_db_text(row, 2)) ||
	    !aq_copy_text(b->full, sizeof(b->full), aq_db_text(row, 3)) ||
	    !aq_base_is_name(b->python))
		return aq_fail(err, AQ_CORRUPT, "the row of a base is damaged");
	bases->n++;
	return 0;
}

static int compare_bases(const void *a, const void *b)
{
	const struct aq_base *x = a, *y = b;

	return strverscmp(y->python, x->python);
}

int aq_store_bases(struct aq_store *store, struct aq_bases *ret,
		   struct aq_err *err)
{
	int rc;

	ret->n = 0;
	rc = aq_db_run(store->db,
		       "SELECT b.python, e.name, e.lock, e.python FROM bases b"
		       " JOIN environments e ON e.name = b.env",
		       NULL, 0, take_base, ret, err);
	if (rc && rc != AQ_MISS)
		return rc;
	qsort(ret->v, ret->n, sizeof(ret->v[0]), compare_bases);
	return 0;
}

int aq_store_children(struct aq_store *store, const char *env_name,
		      uint64_t *ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };

	return aq_db_run(store->db,
			 "SELECT count(*) FROM environments"
			 " WHERE base = ?1 AND base != ''",
			 values, 1, aq_db_get_number, ret, err);
}

int aq_store_child_names(struct aq_store *store, const char *env_name,
			 struct aq_strv *ret, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env_name) };
	int rc = aq_db_run(store->db,
			   "SELECT name FROM environments"
			   " WHERE base = ?1 AND base != '' ORDER BY name",
			   values, 1, aq_db_add_text, ret, err);

	return rc && rc != AQ_MISS ? rc : aq_strv_done(ret, "the names", err);
}

/* -- marks in meta/ -- */

static int open_meta(const struct aq_store *store, int *ret, struct aq_err *err)
{
	char path[STORE_PATH_SIZE + 8];

	snprintf(path, sizeof(path), "%s/meta", store->cache_dir);
	return aq_open_dir(AT_FDCWD, path, ret, err);
}

/* 'env_name' NULL: take it away.  On disk when this returns. */
static int put_mark(const struct aq_store *store, const char *python,
		    const char *env_name, struct aq_err *err)
{
	char name[sizeof(AQ_BASE_MARK) + AQ_BASE_PYTHON_SIZE];
	char new[sizeof(name) + 4];
	cleanup_close int meta = -1;
	int rc = open_meta(store, &meta, err);

	if (rc)
		return rc;
	snprintf(name, sizeof(name), AQ_BASE_MARK "%s", python);
	snprintf(new, sizeof(new), "%s.new", name);
	if (env_name) {
		rc = aq_write_file(meta, new, env_name, strlen(env_name), err);
		if (!rc && renameat(meta, new, meta, name) < 0)
			rc = aq_fail_errno(err, "cannot make '%s'", name);
	} else if (unlinkat(meta, name, 0) < 0 && errno != ENOENT) {
		rc = aq_fail_errno(err, "cannot remove '%s'", name);
	}
	return rc ? rc : aq_sync_dir(meta, err);
}

int aq_store_insert_base(struct aq_db *db, const char *python,
			 const char *env_name, struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(python), AQ_TEXT(env_name), AQ_NUMBER(AQ_ENV_BASE)
	};
	int rc = aq_db_run(db,
			   "INSERT OR REPLACE INTO bases SELECT ?1, name"
			   " FROM environments WHERE name = ?2",
			   values, 2, NULL, NULL, err);

	if (!rc && aq_db_changes(db) == 0)
		return aq_fail(err, AQ_MISS, "environment '%s' is not there",
			       env_name);
	return rc ? rc :
		    aq_db_run(db,
			      "UPDATE environments SET kind = ?3"
			      " WHERE name = ?2",
			      values, ARRAY_LEN(values), NULL, NULL, err);
}

int aq_store_rebuild_base(struct aq_db *db, int meta_fd, const char *name,
			  struct aq_err *err)
{
	cleanup_str struct aq_str env = AQ_STR_INIT(AQ_ENV_NAME_SIZE);
	const char *python = aq_base_of_mark(name);
	int rc;

	if (!python)
		return 0;
	rc = aq_read_file(meta_fd, name, &env, err);
	if (!rc)
		rc = aq_store_insert_base(db, python, aq_str_get(&env), err);
	/* its environment is gone: the administrator adds it again */
	return rc == AQ_MISS ? 0 : rc;
}

/* -- changing -- */

static int check_python(struct aq_store *store, const char *python,
			const char *env_name, struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	char has[AQ_BASE_PYTHON_SIZE];
	int rc = aq_store_find_name(store, env_name, &env, err);

	if (rc)
		return rc;
	aq_base_name_of(env->python, has);
	if (strcmp(has, python) != 0)
		return aq_fail(err, AQ_USER,
			       "a base for Python %s was asked for, but the file resolved to %s: write 'python=%s' in its dependencies",
			       python, *env->python ? env->python : "no Python",
			       python);
	return 0;
}

int aq_store_base_set(struct aq_store *store, const char *python,
		      const char *env_name, struct aq_err *err)
{
	int rc = aq_base_is_name(python) ?
			 check_python(store, python, env_name, err) :
			 aq_fail(err, AQ_USER, "'%.40s' is no version of Python as bases are named: write '3.11'",
				 python);

	if (!rc)
		rc = put_mark(store, python, env_name, err);
	if (!rc)
		rc = aq_db_begin(store->db, err);
	if (rc)
		return rc;
	rc = aq_store_insert_base(store->db, python, env_name, err);
	return aq_db_end(store->db, rc, err);
}

int aq_store_base_unset(struct aq_store *store, const char *python,
			struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(python) };
	int rc = put_mark(store, python, NULL, err);

	if (rc)
		return rc;
	rc = aq_db_run(store->db, "DELETE FROM bases WHERE python = ?1", values,
		       1, NULL, NULL, err);
	if (!rc && aq_db_changes(store->db) == 0)
		return aq_fail(err, AQ_MISS, "there is no base for Python '%.40s': 'aq base list' has those that are",
			       python);
	return rc;
}
