/* SPDX-License-Identifier: Apache-2.0 */
#include "common/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db_raw.h"
#include "common/str.h"

/* No row of ours is longer: a lock of 1 MiB, activation of 64 KiB. */
#define ROW_MAX (4 * 1024 * 1024)
#define SQL_MAX (64 * 1024)

struct aq_db {
	sqlite3 *handle;
	pid_t owner; /* no handle crosses a fork */
	int lock_fd; /* or -1: aq_db_keep() */
	int left_ms; /* of the time that may be spent waiting for locks */
	uint64_t scanned;
};
struct aq_db_row {
	sqlite3_stmt *stmt;
};

/* SQLite's code as our class (https://www.sqlite.org/rescode.html). */
static enum aq_class class_of(int code)
{
	/* set aside by somebody while we had it open: open the new one */
	if (code == SQLITE_READONLY_DBMOVED)
		return AQ_BUSY;
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
	case SQLITE_SCHEMA: /* changed under us, again and again */
		return AQ_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR: /* a table is missing: not our schema */
		return AQ_CORRUPT;
	default:
		return AQ_SYS;
	}
}

/* SQLite says that a file is malformed, too, where the disk did not let it be read
 * (SQLITE_IOERR_CORRUPTFS): these are the errors that it says so of.  What cannot be
 * read is not damaged.
 */
static bool was_unreadable(const struct aq_db *db)
{
	int errnum = 0;

	(void)sqlite3_file_control(db->handle, NULL, SQLITE_FCNTL_LAST_ERRNO,
				   &errnum);
	errno = errnum;
	return errnum == EIO || errnum == ENXIO || errnum == ERANGE;
}

static int fail(const struct aq_db *db, const char *what, struct aq_err *err)
{
	enum aq_class class = class_of(sqlite3_extended_errcode(db->handle));

	if (class == AQ_CORRUPT && was_unreadable(db))
		return aq_fail_errno(err, "%s: it cannot be read", what);
	return aq_fail(err, class, "%s: %s", what, sqlite3_errmsg(db->handle));
}

void aq_db_close(struct aq_db *db)
{
	if (!db)
		return;
	if (db->owner == getpid())
		sqlite3_close(db->handle);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	free(db);
}

void aq_db_keep(struct aq_db *db, int fd)
{
	db->lock_fd = fd;
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

int aq_db_get_number(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)err;
	*(uint64_t *)arg = aq_db_number(row, 0);
	return 0;
}

int aq_db_add_text(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)err;
	aq_strv_add(arg, aq_db_text(row, 0));
	return 0;
}

uint64_t aq_db_changes(const struct aq_db *db)
{
	return (uint64_t)sqlite3_changes(db->handle);
}

uint64_t aq_db_scanned(const struct aq_db *db)
{
	return db->scanned;
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
		if (each)
			rc = each(&row, arg, err);
		/* a column read out of memory looks like NULL */
		if (sqlite3_errcode(db->handle) == SQLITE_NOMEM)
			rc = aq_fail(err, AQ_SYS, "database: out of memory");
		/* as an integrity check does of a page */
		if (rc == AQ_CORRUPT && was_unreadable(db))
			rc = aq_fail_errno(err, "database: it cannot be read");
		if (rc)
			return rc;
	}
	if (code != SQLITE_DONE)
		return fail(db, "database", err);
	return each && !is_any ? aq_fail(err, AQ_MISS, "not there") : 0;
}

static int check_owner(const struct aq_db *db, struct aq_err *err)
{
	if (db->owner == getpid())
		return 0;
	return aq_fail(err, AQ_SYS, "database: opened by another process");
}

int aq_db_run(struct aq_db *db, const char *sql,
	      const struct aq_db_value *values, size_t n, aq_db_each_fn *each,
	      void *arg, struct aq_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = check_owner(db, err);

	if (rc)
		return rc;
	if (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
		return fail(db, "database", err);
	for (size_t i = 0; !rc && i < n; i++)
		if (bind(stmt, (int)i + 1, &values[i]) != SQLITE_OK)
			rc = fail(db, "database", err);
	if (!rc)
		rc = step_all(db, stmt, each, arg, err);
	db->scanned += (uint64_t)sqlite3_stmt_status(
		stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0);
	sqlite3_finalize(stmt);
	return rc;
}

int aq_db_script(struct aq_db *db, const char *sql, struct aq_err *err)
{
	int rc = check_owner(db, err);

	if (rc)
		return rc;
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db, "database", err);
	return 0;
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

/* -- handles -- */

/* Locks are held for the time of one flush; so short naps, growing. */
#define NAP_MAX_MS 20

/* SQLite asks whether to try again: until the handle's patience is used up. */
static int wait_for_lock(void *arg, int count)
{
	struct aq_db *db = arg;
	long ms = count < NAP_MAX_MS ? count + 1 : NAP_MAX_MS;
	const struct timespec nap = { 0, ms * 1000000 };
	int64_t start;

	if (db->left_ms <= 0)
		return 0;
	start = aq_now_us();
	nanosleep(&nap, NULL);
	ms = (aq_now_us() - start) / 1000;
	db->left_ms -= ms > 0 ? (int)ms : 1;
	return 1;
}

/* https://www.sqlite.org/security.html: the file may be damaged by others. */
static void harden(struct aq_db *db)
{
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, ROW_MAX);
	sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX);
	sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_busy_handler(db->handle, wait_for_lock, db);
}

int aq_db_open_raw(const char *path, int busy_ms, struct aq_db **ret,
		   struct aq_err *err)
{
	cleanup_db struct aq_db *db = calloc(1, sizeof(*db));
	int code;

	if (!db)
		return aq_fail(err, AQ_SYS, "out of memory");
	db->owner = getpid();
	db->lock_fd = -1;
	db->left_ms = busy_ms;
	code = sqlite3_open_v2(path, &db->handle,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_NOFOLLOW, NULL);
	if (code != SQLITE_OK)
		return aq_fail(err, AQ_SYS, "cannot open '%s': %s", path,
			       sqlite3_errstr(code));
	harden(db);
	*ret = steal(&db);
	return 0;
}

int aq_db_open_memory(struct aq_db **ret, struct aq_err *err)
{
	cleanup_db struct aq_db *db = calloc(1, sizeof(*db));

	if (!db)
		return aq_fail(err, AQ_SYS, "out of memory");
	db->owner = getpid();
	db->lock_fd = -1;
	if (sqlite3_open_v2(":memory:", &db->handle,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY |
				    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return aq_fail(err, AQ_SYS, "cannot open a database in memory");
	*ret = steal(&db);
	return 0;
}
