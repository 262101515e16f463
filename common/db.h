/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite, for this project: db.c is the only file that knows sqlite3.h.
 *
 * A handle belongs to one process and lives as long as one hook's worker; none
 * crosses a fork.  Statements are prepared, stepped to their end and finished
 * by one call each.
 */
#ifndef AQ_DB_H
#define AQ_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct aq_db;

struct aq_db_kind {
	uint32_t application_id; /* whose file it is */
	/* the statements that lead from version i to i + 1 */
	const char *const *migrations;
	uint32_t version; /* how many of them */
	bool is_durable;  /* flushed at each commit */
};

enum aq_db_mode { AQ_DB_READ, AQ_DB_WRITE };

/* Open 'path'; AQ_DB_WRITE makes it (0600) and brings it to kind->version.
 * Waits at most 'busy_ms' for each lock, then AQ_BUSY.
 * AQ_MISS: not there (AQ_DB_READ), or of a newer version (said in err->text).
 * AQ_CORRUPT: not a database, or another program's.
 */
AQ_CHECK int aq_db_open(const char *path, const struct aq_db_kind *kind,
			enum aq_db_mode mode, int busy_ms, struct aq_db **ret,
			struct aq_err *err);
/* An empty one in memory: for SQLite's functions (JSON), not for keeping. */
AQ_CHECK int aq_db_open_memory(struct aq_db **ret, struct aq_err *err);
void aq_db_close(struct aq_db *db);
#define aq_db_free aq_db_close
DEFINE_CLEANUP(aq_db);
#define cleanup_db __attribute__((cleanup(aq_db_cleanup_)))

/* One value of a statement: text (NULL: SQL's NULL), number, or bytes. */
struct aq_db_value {
	enum { AQ_DB_TEXT, AQ_DB_NUMBER, AQ_DB_BLOB } type;
	const char *text;
	uint64_t number;
	size_t len; /* of a blob; its bytes are at 'text' */
};
#define AQ_TEXT(t) { .type = AQ_DB_TEXT, .text = (t) }
#define AQ_NUMBER(n) { .type = AQ_DB_NUMBER, .number = (n) }
#define AQ_BLOB(b, l) { .type = AQ_DB_BLOB, .text = (b), .len = (l) }

/* A row, valid only inside the callback. */
struct aq_db_row;
const char *aq_db_text(const struct aq_db_row *row, int column); /* or "" */
uint64_t aq_db_number(const struct aq_db_row *row, int column);
const void *aq_db_blob(const struct aq_db_row *row, int column, size_t *len);

/* Run one statement with 'n' values; 'each' (may be NULL) is called for every
 * row until it returns non-zero, which is returned.  AQ_MISS if 'each' was
 * given and there was no row.
 */
typedef int aq_db_each_fn(const struct aq_db_row *row, void *arg,
			  struct aq_err *err);
AQ_CHECK int aq_db_run(struct aq_db *db, const char *sql,
		       const struct aq_db_value *values, size_t n,
		       aq_db_each_fn *each, void *arg, struct aq_err *err);

/* How many rows the last statement changed. */
uint64_t aq_db_changes(const struct aq_db *db);

/* A transaction that will write.  aq_db_end() commits if rc is 0, else rolls
 * back; it returns rc, or what went wrong with the commit.
 */
AQ_CHECK int aq_db_begin(struct aq_db *db, struct aq_err *err);
AQ_CHECK int aq_db_end(struct aq_db *db, int rc, struct aq_err *err);

#endif
