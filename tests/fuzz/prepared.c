/* SPDX-License-Identifier: Apache-2.0 */
/* Linked in front of SQLite's own: what common/db.c prepares is kept, prepared, for
 * the next time.  A harness asks the same things of one database a million times,
 * and most of its time was SQLite's compiler.  What is asked, and what comes of
 * it, is the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Of sqlite3.h, which common/db.c alone includes. */
struct sqlite3;
struct sqlite3_stmt;
int sqlite3_reset(struct sqlite3_stmt *stmt);
int sqlite3_clear_bindings(struct sqlite3_stmt *stmt);
int sqlite3_db_config(struct sqlite3 *db, int op, ...);
#define SQLITE_DBCONFIG_LOOKASIDE 1001

int __real_sqlite3_prepare_v2(struct sqlite3 *db, const char *sql, int len,
			      struct sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_prepare_v2(struct sqlite3 *db, const char *sql, int len,
			      struct sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_finalize(struct sqlite3_stmt *stmt);
int __wrap_sqlite3_finalize(struct sqlite3_stmt *stmt);

/* More than the texts that one harness has, for two databases; others are not kept. */
#define KEPT_MAX 128
/* A handle's small memory, 40 times this size, is not to be used up by what is kept. */
#define LOOKASIDE_SIZE 1200
#define LOOKASIDE_N 1000

static struct kept {
	struct sqlite3 *db; /* which is never closed */
	const char *from;   /* where the text was: a guess, for speed */
	char *sql;
	struct sqlite3_stmt *stmt;
	bool is_in_use;
} all[KEPT_MAX];
static size_t n_kept;

static struct kept *find(const struct sqlite3 *db, const char *sql)
{
	for (int turn = 0; turn < 2; turn++)
		for (struct kept *k = all; k < all + n_kept; k++)
			if (k->db == db && !k->is_in_use &&
			    (turn || k->from == sql) && strcmp(k->sql, sql) == 0)
				return k;
	return NULL;
}

static void make_room(struct sqlite3 *db)
{
	for (size_t i = 0; i < n_kept; i++)
		if (all[i].db == db)
			return;
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL,
				LOOKASIDE_SIZE, LOOKASIDE_N);
}

int __wrap_sqlite3_prepare_v2(struct sqlite3 *db, const char *sql, int len,
			      struct sqlite3_stmt **ret, const char **tail)
{
	struct kept *k;
	char *copy;
	int code;

	if (tail) /* one of several statements: SQLite's own sqlite3_exec() */
		return __real_sqlite3_prepare_v2(db, sql, len, ret, tail);
	k = find(db, sql);
	if (k) {
		k->is_in_use = true;
		*ret = k->stmt;
		return 0;
	}
	make_room(db);
	code = __real_sqlite3_prepare_v2(db, sql, len, ret, tail);
	copy = code || n_kept == KEPT_MAX ? NULL : strdup(sql);
	if (copy)
		all[n_kept++] = (struct kept){ db, sql, copy, *ret, true };
	return code;
}

int __wrap_sqlite3_finalize(struct sqlite3_stmt *stmt)
{
	int code;

	for (struct kept *k = all; stmt && k < all + n_kept; k++)
		if (k->stmt == stmt) {
			k->is_in_use = false;
			code = sqlite3_reset(stmt);
			(void)sqlite3_clear_bindings(stmt);
			return code;
		}
	return __real_sqlite3_finalize(stmt);
}
