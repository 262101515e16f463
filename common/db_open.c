/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/db.h"
#include "common/db_raw.h"
#include "common/flock.h"
#include "common/str.h"

/* The text of a schema; ours have 2 KiB. */
#define SCHEMA_MAX (64 * 1024)

static int pragma(struct aq_db *db, const char *sql, uint64_t *ret,
		  struct aq_err *err)
{
	return aq_db_run(db, sql, NULL, 0, aq_db_get_number, ret, err);
}

static int set_pragma(struct aq_db *db, const char *name, uint64_t value,
		      struct aq_err *err)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA %s=%llu", name,
		 (unsigned long long)value);
	return aq_db_run(db, sql, NULL, 0, NULL, NULL, err);
}

/* Make an empty database ours, or bring an old one up to date. */
static int migrate(struct aq_db *db, const struct aq_db_kind *kind, void *arg,
		   struct aq_err *err)
{
	uint64_t old = 0;
	int rc = aq_db_begin(db, err);

	if (rc)
		return rc;
	/* somebody else may have done it while we waited for the lock */
	rc = pragma(db, "PRAGMA user_version", &old, err);
	if (rc || old >= kind->version)
		return aq_db_end(db, rc, err);
	rc = set_pragma(db, "application_id", kind->application_id, err);
	for (uint64_t i = old; !rc && i < kind->version; i++)
		rc = aq_db_script(db, kind->migrations[i], err);
	if (!rc)
		rc = set_pragma(db, "user_version", kind->version, err);
	if (!rc && old == 0 && kind->populate)
		rc = kind->populate(db, arg, err);
	return aq_db_end(db, rc, err);
}

/* What tells whose a database is, of one moment: somebody else may be setting
 * it up, and half of before with half of after is nobody's.
 */
static int read_marks(struct aq_db *db, uint32_t ours, uint64_t *id,
		      uint64_t *version, uint64_t *tables, struct aq_err *err)
{
	int rc = aq_db_run(db, "BEGIN", NULL, 0, NULL, NULL, err);

	if (!rc)
		rc = pragma(db, "PRAGMA application_id", id, err);
	if (!rc)
		rc = pragma(db, "PRAGMA user_version", version, err);
	if (!rc && *id != ours)
		rc = pragma(db, "SELECT count(*) FROM sqlite_schema", tables,
			    err);
	return aq_db_end(db, rc, err);
}

/* A reader is who meets it first after many an upgrade, and would else find nothing
 * until somebody writes.  Where that cannot be done it is a miss.
 */
static int migrate_to_read(struct aq_db *db, const struct aq_db_kind *kind,
			   struct aq_err *err)
{
	int rc = set_pragma(db, "query_only", 0, err);

	if (!rc)
		rc = migrate(db, kind, NULL, err);
	if (!rc)
		rc = set_pragma(db, "query_only", 1, err);
	if (rc == AQ_SYS)
		rc = aq_fail(err, AQ_MISS, "an older version's, which cannot be brought up to date");
	return rc;
}

/* Whose it is and of which version; brings it up to date. */
static int identify(struct aq_db *db, const struct aq_db_kind *kind,
		    const struct aq_db_how *how, struct aq_err *err)
{
	uint64_t id = 0, version = 0, tables = 0;
	int rc = read_marks(db, kind->application_id, &id, &version, &tables,
			    err);

	if (rc)
		return rc;
	if (id != kind->application_id && (id || version || tables))
		return aq_fail(err, AQ_CORRUPT, "another program's database");
	if (version > kind->version)
		return aq_fail(err, AQ_MISS,
			       "it is a newer version's (schema %llu, this one knows %u), and is left alone: if slurm-aq is being upgraded here try again, else install that version",
			       (unsigned long long)version, kind->version);
	if (version == kind->version)
		return 0;
	if (how->mode == AQ_DB_READ && !version)
		return aq_fail(err, AQ_MISS, "not set up yet");
	if (how->mode == AQ_DB_READ)
		return migrate_to_read(db, kind, err);
	return migrate(db, kind, how->arg, err);
}

static int is_text(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	if (strcmp(aq_db_text(row, 0), arg) == 0)
		return 0;
	return aq_fail(err, AQ_CORRUPT, "%s", aq_db_text(row, 0));
}

/* Rollback, as made: somebody may have tried WAL, which several releases of
 * SQLite corrupt with two writers (https://www.sqlite.org/wal.html).  Nothing
 * is kept in files of SQLite's own choice: TMPDIR is a user's.
 * EXTRA (3): with FULL the removal of the journal, which is the commit, is not
 * flushed (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
static int set_up(struct aq_db *db, const struct aq_db_kind *kind,
		  const struct aq_db_how *how, struct aq_err *err)
{
	char rollback[] = "delete";
	int rc = set_pragma(db, "cell_size_check", 1, err);

	if (!rc)
		rc = set_pragma(db, "mmap_size", 0, err);
	if (!rc)
		rc = set_pragma(db, "temp_store", 2, err);
	if (!rc)
		rc = aq_db_run(db, "PRAGMA journal_mode=DELETE", NULL, 0,
			       is_text, rollback, err);
	if (!rc)
		rc = set_pragma(db, "synchronous", kind->is_durable ? 3 : 0,
				err);
	if (!rc && how->mode == AQ_DB_READ)
		rc = set_pragma(db, "query_only", 1, err);
	return rc;
}

/* -- examining -- */

static int add_text(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)err;
	aq_str_add(arg, aq_db_text(row, 0));
	aq_str_add_char(arg, '\n');
	return 0;
}

static int read_schema(struct aq_db *db, struct aq_str *ret, struct aq_err *err)
{
	int rc = aq_db_run(db, "SELECT sql FROM sqlite_schema"
			       " WHERE sql IS NOT NULL ORDER BY name",
			   NULL, 0, add_text, ret, err);

	return rc ? rc : aq_str_done(ret, "the database's schema", err);
}

/* The schema that the migrations make is the one that is there. */
static int compare_schema(struct aq_db *db, const struct aq_db_kind *kind,
			  struct aq_err *err)
{
	cleanup_str struct aq_str want = AQ_STR_INIT(SCHEMA_MAX);
	cleanup_str struct aq_str is = AQ_STR_INIT(SCHEMA_MAX);
	cleanup_db struct aq_db *fresh = NULL;
	int rc = aq_db_open_memory(&fresh, err);

	for (uint32_t i = 0; !rc && i < kind->version; i++)
		rc = aq_db_script(fresh, kind->migrations[i], err);
	if (!rc)
		rc = read_schema(fresh, &want, err);
	if (!rc)
		rc = read_schema(db, &is, err);
	if (!rc && strcmp(aq_str_get(&want), aq_str_get(&is)) != 0)
		rc = aq_fail(err, AQ_CORRUPT, "its tables are not ours");
	return rc == AQ_MISS ? AQ_CORRUPT : rc;
}

int aq_db_examine(struct aq_db *db, const struct aq_db_kind *kind,
		  struct aq_err *err)
{
	char ok[] = "ok";
	int rc = aq_db_run(db, "PRAGMA integrity_check(1)", NULL, 0, is_text,
			   ok, err);

	if (!rc)
		rc = compare_schema(db, kind, err);
	return rc || !kind->examine ? rc : kind->examine(db, err);
}

/* -- the file -- */

/* 'path' with its directory's links resolved: SQLITE_OPEN_NOFOLLOW refuses
 * links anywhere, and /var/run is one.
 */
static int resolve(const char *path, char ret[PATH_MAX], struct aq_err *err)
{
	cleanup_free char *dir = NULL, *real = NULL;
	const char *slash = strrchr(path, '/');

	if (!slash)
		return aq_fail(err, AQ_SYS, "'%s' is no absolute path", path);
	dir = strndup(path, (size_t)(slash - path) + 1);
	if (!dir)
		return aq_fail(err, AQ_SYS, "out of memory");
	real = realpath(dir, NULL);
	if (!real && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "'%s' is not there", dir);
	if (!real)
		return aq_fail_errno(err, "cannot open directory '%s'", dir);
	if (snprintf(ret, PATH_MAX, "%s%s", real, slash) >= PATH_MAX)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", path);
	return 0;
}

/* SQLite would make the file with the umask's rights.  Never opens one that
 * is there: closing it would drop our own process's locks on it (fcntl(2)).
 */
static int make_file(const char *path, struct aq_err *err)
{
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL |
						  O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return aq_fail_errno(err, "cannot make '%s'", path);
	return 0;
}

/* What others may have written is no more ours than what is damaged, and whoever can
 * read a file can hold its lock.
 */
static int check_file(const char *path, struct aq_err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return aq_fail(err, AQ_MISS, "'%s' is not there", path);
		return aq_fail_errno(err, "cannot examine '%s'", path);
	}
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_CORRUPT, "'%s' is no regular file", path);
	if (st.st_uid != geteuid())
		return aq_fail(err, AQ_CORRUPT, "'%s' belongs to user %u", path,
			       st.st_uid);
	if (st.st_mode & 077)
		return aq_fail(err, AQ_CORRUPT, "'%s' can be opened by others",
			       path);
	return 0;
}

/* SQLite opens these whatever they are, and would wait for a FIFO's other end. */
static int check_files(const char *path, struct aq_err *err)
{
	char beside[PATH_MAX];
	int rc = check_file(path, err);

	for (size_t i = 0; !rc && i < AQ_DB_N_BESIDE; i++) {
		if (snprintf(beside, PATH_MAX, "%s%s", path,
			     aq_db_beside[i]) >= PATH_MAX)
			return aq_fail(err, AQ_SYS, "'%s' is too long a path",
				       path);
		rc = check_file(beside, err);
		if (rc == AQ_MISS)
			rc = 0;
	}
	return rc;
}

/* Opened, made ours, and examined if that is wanted. */
static int open_file(const char *real, const struct aq_db_kind *kind,
		     const struct aq_db_how *how, struct aq_db **ret,
		     struct aq_err *err)
{
	cleanup_db struct aq_db *db = NULL;
	int rc = 0;

	if (how->mode == AQ_DB_WRITE)
		rc = make_file(real, err);
	if (!rc)
		rc = check_files(real, err);
	if (!rc)
		rc = aq_db_open_raw(real, how->busy_ms, &db, err);
	if (!rc)
		rc = set_up(db, kind, how, err);
	if (!rc)
		rc = identify(db, kind, how, err);
	if (!rc && how->is_checked)
		rc = aq_db_examine(db, kind, err);
	if (!rc)
		*ret = steal(&db);
	return rc;
}

/* -- the lock -- */

/* Who has the database open holds PATH.lock shared; who replaces it, alone. */
static int lock(const char *real, enum aq_flock_mode mode, int busy_ms,
		int *ret_fd, struct aq_err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, PATH_MAX, "%s.lock", real) >= PATH_MAX)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", real);
	return aq_flock_at(AT_FDCWD, path, mode, busy_ms, ret_fd, err);
}

static int open_shared(const char *real, const struct aq_db_kind *kind,
		       const struct aq_db_how *how, struct aq_db **ret,
		       struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = 0;

	if (how->mode == AQ_DB_READ) /* a reader makes no lock either */
		rc = check_file(real, err);
	if (!rc)
		rc = lock(real, AQ_FLOCK_SHARED, how->busy_ms, &fd, err);
	if (!rc)
		rc = open_file(real, kind, how, ret, err);
	if (!rc)
		aq_db_keep(*ret, steal_fd(&fd));
	return rc;
}

/* Damaged when we looked: set aside and made anew, unless somebody else did so
 * while we waited.
 */
static int replace(const char *real, const struct aq_db_kind *kind,
		   const struct aq_db_how *how, struct aq_err *err)
{
	cleanup_close int fd = -1;
	cleanup_db struct aq_db *db = NULL;
	int rc = lock(real, AQ_FLOCK_EXCLUSIVE, how->busy_ms, &fd, err);

	if (rc)
		return rc;
	rc = open_file(real, kind, how, &db, err);
	if (rc != AQ_CORRUPT)
		return rc;
	rc = aq_db_set_aside(real, err);
	return rc ? rc : open_file(real, kind, how, &db, err);
}

int aq_db_open(const char *path, const struct aq_db_kind *kind,
	       const struct aq_db_how *how, struct aq_db **ret,
	       struct aq_err *err)
{
	char real[PATH_MAX];
	int rc = resolve(path, real, err);

	if (rc == AQ_MISS && how->mode == AQ_DB_WRITE)
		return aq_fail(err, AQ_SYS, "cannot make '%s': its directory is not there",
			       path);
	if (!rc)
		rc = open_shared(real, kind, how, ret, err);
	if (rc == AQ_CORRUPT && how->replaces_damaged) {
		rc = replace(real, kind, how, err);
		if (!rc)
			rc = open_shared(real, kind, how, ret, err);
	}
	if (rc)
		(void)!aq_fail_prefix(err, "'%s'", path);
	return rc;
}
