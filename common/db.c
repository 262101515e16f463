/* SPDX-License-Identifier: Apache-2.0 */
#include "common/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No row of ours is longer: a lock of 1 MiB, activation of 64 KiB. */
#define ROW_MAX (4 * 1024 * 1024)
#define SQL_MAX (64 * 1024)

struct aq_db {
	sqlite3 *handle;
};
struct aq_db_row {
	sqlite3_stmt *stmt;
};

/* SQLite's code as our class (https://www.sqlite.org/rescode.html). */
static enum aq_class class_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return AQ_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_SCHEMA:
	case SQLITE_ERROR: /* a table is missing: not our schema */
		return AQ_CORRUPT;
	default:
		return AQ_SYS;
	}
}

static int fail(const struct aq_db *db, const char *what, struct aq_err *err)
{
	return aq_fail(err, class_of(sqlite3_extended_errcode(db->handle)),
		       "%s: %s", what, sqlite3_errmsg(db->handle));
}

void aq_db_close(struct aq_db *db)
{
	if (!db)
		return;
	sqlite3_close(db->handle);
	free(db);
}

const char *aq_db_text(const struct aq_db_row *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row->stmt, column);

	return text ? (const char *)text : "";
}

uint64_t aq_db_number(const struct aq_db_row *row, int column)
{
	return (uint64_t)sqlite3_column_int64(row->stmt, column);
}

const void *aq_db_blob(const struct aq_db_row *row, int column, size_t *len)
{
	const void *blob = sqlite3_column_blob(row->stmt, column);

	*len = (size_t)sqlite3_column_bytes(row->stmt, column);
	return blob;
}

uint64_t aq_db_changes(const struct aq_db *db)
{
	return (uint64_t)sqlite3_changes(db->handle);
}

static int bind(sqlite3_stmt *stmt, int at, const struct aq_db_value *v)
{
	switch (v->type) {
	case AQ_DB_TEXT:
		return sqlite3_bind_text(stmt, at, v->text, -1, SQLITE_STATIC);
	case AQ_DB_NUMBER:
		return sqlite3_bind_int64(stmt, at, (sqlite3_int64)v->number);
	case AQ_DB_BLOB:
		return sqlite3_bind_blob64(stmt, at, v->text, v->len,
					   SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static int step_all(struct aq_db *db, sqlite3_stmt *stmt, aq_db_each_fn *each,
		    void *arg, struct aq_err *err)
{
	const struct aq_db_row row = { stmt };
	bool is_any = false;
	int code, rc = 0;

	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		is_any = true;
		if (each && !rc)
			rc = each(&row, arg, err);
		if (rc)
			return rc;
	}
	if (code != SQLITE_DONE)
		return fail(db, "database", err);
	return each && !is_any ? aq_fail(err, AQ_MISS, "not there") : 0;
}

int aq_db_run(struct aq_db *db, const char *sql,
	      const struct aq_db_value *values, size_t n, aq_db_each_fn *each,
	      void *arg, struct aq_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
		return fail(db, "database", err);
	for (size_t i = 0; !rc && i < n; i++)
		if (bind(stmt, (int)i + 1, &values[i]) != SQLITE_OK)
			rc = fail(db, "database", err);
	if (!rc)
		rc = step_all(db, stmt, each, arg, err);
	sqlite3_finalize(stmt);
	return rc;
}

int aq_db_begin(struct aq_db *db, struct aq_err *err)
{
	return aq_db_run(db, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, err);
}

int aq_db_end(struct aq_db *db, int rc, struct aq_err *err)
{
	if (!rc)
		rc = aq_db_run(db, "COMMIT", NULL, 0, NULL, NULL, err);
	if (rc)
		(void)!aq_db_run(db, "ROLLBACK", NULL, 0, NULL, NULL, NULL);
	return rc;
}

/* -- opening -- */

static int get_number(const struct aq_db_row *row, void *arg,
		      struct aq_err *err)
{
	(void)err;
	*(uint64_t *)arg = aq_db_number(row, 0);
	return 0;
}

static int pragma(struct aq_db *db, const char *sql, uint64_t *ret,
		  struct aq_err *err)
{
	return aq_db_run(db, sql, NULL, 0, get_number, ret, err);
}

static int set_pragma(struct aq_db *db, const char *name, uint64_t value,
		      struct aq_err *err)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA %s=%llu", name,
		 (unsigned long long)value);
	return aq_db_run(db, sql, NULL, 0, NULL, NULL, err);
}

/* https://www.sqlite.org/security.html: the file may be damaged by others. */
static int harden(struct aq_db *db, const struct aq_db_kind *kind,
		  struct aq_err *err)
{
	int rc;

	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, ROW_MAX);
	sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX);
	rc = set_pragma(db, "trusted_schema", 0, err);
	if (!rc)
		rc = set_pragma(db, "cell_size_check", 1, err);
	if (!rc)
		rc = set_pragma(db, "foreign_keys", 1, err);
	if (!rc)
		rc = set_pragma(db, "synchronous", kind->is_durable ? 2 : 0,
				err);
	return rc;
}

/* Make an empty database ours, or bring an old one up to date. */
static int migrate(struct aq_db *db, const struct aq_db_kind *kind,
		   uint64_t version, struct aq_err *err)
{
	int rc = aq_db_begin(db, err);

	if (rc)
		return rc;
	/* somebody else may have done it while we waited for the lock */
	rc = pragma(db, "PRAGMA user_version", &version, err);
	if (!rc)
		rc = set_pragma(db, "application_id", kind->application_id, err);
	for (; !rc && version < kind->version; version++)
		if (sqlite3_exec(db->handle, kind->migrations[version], NULL,
				 NULL, NULL) != SQLITE_OK)
			rc = fail(db, "schema", err);
	if (!rc)
		rc = set_pragma(db, "user_version", kind->version, err);
	return aq_db_end(db, rc, err);
}

static int check(struct aq_db *db, const struct aq_db_kind *kind,
		 enum aq_db_mode mode, const char *path, struct aq_err *err)
{
	uint64_t id = 0, version = 0, tables = 0;
	int rc = pragma(db, "PRAGMA application_id", &id, err);

	if (!rc)
		rc = pragma(db, "PRAGMA user_version", &version, err);
	if (!rc)
		rc = pragma(db, "SELECT count(*) FROM sqlite_schema", &tables,
			    err);
	if (rc)
		return rc == AQ_MISS ? AQ_CORRUPT : rc;
	if (id != kind->application_id && (id || version || tables))
		return aq_fail(err, AQ_CORRUPT,
			       "'%s' is another program's database", path);
	if (version > kind->version)
		return aq_fail(err, AQ_MISS,
			       "'%s' was written by a newer version of this software (schema %llu, this one knows %u): it is left alone",
			       path, (unsigned long long)version, kind->version);
	if (version == kind->version)
		return 0;
	if (mode == AQ_DB_READ)
		return aq_fail(err, AQ_MISS, "'%s' is not set up yet", path);
	return migrate(db, kind, version, err);
}

/* SQLite would make the file with the umask's rights. */
static int make_file(const char *path, struct aq_err *err)
{
	cleanup_close int fd = open(path,
				    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
				    0600);

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return aq_fail_errno(err, "cannot make '%s'", path);
	return 0;
}

int aq_db_open(const char *path, const struct aq_db_kind *kind,
	       enum aq_db_mode mode, int busy_ms, struct aq_db **ret,
	       struct aq_err *err)
{
	cleanup_db struct aq_db *db = calloc(1, sizeof(*db));
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		    (mode == AQ_DB_READ ? SQLITE_OPEN_READONLY :
					  SQLITE_OPEN_READWRITE);
	int rc = 0;

	if (!db)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (access(path, F_OK) != 0) {
		if (mode == AQ_DB_READ)
			return aq_fail(err, AQ_MISS, "'%s' is not there", path);
		rc = make_file(path, err);
	}
	if (rc)
		return rc;
	if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK)
		return aq_fail(err, AQ_SYS, "cannot open '%s': %s", path,
			       db->handle ? sqlite3_errmsg(db->handle) :
					    "out of memory");
	sqlite3_busy_timeout(db->handle, busy_ms);
	rc = harden(db, kind, err);
	if (!rc)
		rc = check(db, kind, mode, path, err);
	if (rc)
		return err && rc == AQ_CORRUPT ?
			       aq_fail_prefix(err, "'%s'", path) : rc;
	*ret = steal(&db);
	return 0;
}

int aq_db_open_memory(struct aq_db **ret, struct aq_err *err)
{
	cleanup_db struct aq_db *db = calloc(1, sizeof(*db));

	if (!db)
		return aq_fail(err, AQ_SYS, "out of memory");
	if (sqlite3_open_v2(":memory:", &db->handle,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY |
				    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return aq_fail(err, AQ_SYS, "cannot open a database in memory");
	*ret = steal(&db);
	return 0;
}
