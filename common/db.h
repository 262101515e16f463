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
	/* looks at what is in the rows, when the pages are sound; or NULL */
	int (*examine)(struct aq_db *db, struct aq_err *err);
	/* fills a new one, in the transaction that makes it; or NULL */
	int (*populate)(struct aq_db *db, void *arg, struct aq_err *err);
};

enum aq_db_mode { AQ_DB_READ, AQ_DB_WRITE };

/* How to open one. */
struct aq_db_how {
	enum aq_db_mode mode;
	int busy_ms;     /* waited for locks at most, over the handle's life */
	bool is_checked; /* read every page and the schema first */
	/* one that is AQ_CORRUPT is first set aside, as PATH.corrupt-N, and a
	 * new one made: once, whoever finds it so at the same time, and not
	 * while somebody has it open
	 */
	bool replaces_damaged;
	void *arg;       /* for kind->populate */
};

/* Open 'path' (absolute); AQ_DB_WRITE makes it (0600, whatever the umask) and
 * brings it to kind->version.  As long as it is open PATH.lock is held shared:
 * SQLite's own locks do not protect a file that is renamed
 * (https://www.sqlite.org/howtocorrupt.html, 2.4).  Its directory may be reached by links, the file
 * itself may be none.
 * AQ_DB_READ makes none, but brings one of an older version up to date all the same.
 * AQ_MISS: not there, not set up, or older and not to be written (AQ_DB_READ), or of a
 * newer version (said in err->text; it is left alone).  AQ_BUSY: locked for longer than
 * how->busy_ms.  AQ_CORRUPT: damaged, not a database, or another program's.
 * AQ_SYS: not ours (the effective user's), or open to others.
 */
AQ_CHECK int aq_db_open(const char *path, const struct aq_db_kind *kind,
			const struct aq_db_how *how, struct aq_db **ret,
			struct aq_err *err);
/* An empty one in memory: for SQLite's functions (JSON), not for keeping. */
AQ_CHECK int aq_db_open_memory(struct aq_db **ret, struct aq_err *err);
/* In a process that did not open it this does nothing: closing would end the
 * transaction of the process that did.
 */
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

/* Run one statement with 'n' values (AQ_SYS in a process that did not open
 * 'db'); 'each' (may be NULL) is called for every
 * row until it returns non-zero, which is returned.  AQ_MISS if 'each' was
 * given and there was no row.
 */
typedef int aq_db_each_fn(const struct aq_db_row *row, void *arg,
			  struct aq_err *err);
AQ_CHECK int aq_db_run(struct aq_db *db, const char *sql,
		       const struct aq_db_value *values, size_t n,
		       aq_db_each_fn *each, void *arg, struct aq_err *err);

/* For aq_db_run(): a row's first column to the uint64_t 'arg'; or appended to the
 * struct aq_strv 'arg'.
 */
aq_db_each_fn aq_db_get_number, aq_db_add_text;

/* How many rows the last statement changed. */
uint64_t aq_db_changes(const struct aq_db *db);

/* How many rows statements walked over for want of an index, so far. */
uint64_t aq_db_scanned(const struct aq_db *db);

/* Run statements without values or rows, separated by semicolons. */
AQ_CHECK int aq_db_script(struct aq_db *db, const char *sql,
			  struct aq_err *err);

/* Read every page, and compare the schema: AQ_CORRUPT says what is wrong. */
AQ_CHECK int aq_db_examine(struct aq_db *db, const struct aq_db_kind *kind,
			   struct aq_err *err);

/* A transaction that will write.  aq_db_end() commits if rc is 0, else rolls
 * back; it returns rc, or what went wrong with the commit.
 */
AQ_CHECK int aq_db_begin(struct aq_db *db, struct aq_err *err);
AQ_CHECK int aq_db_end(struct aq_db *db, int rc, struct aq_err *err);

#endif
