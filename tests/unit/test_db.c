/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/db.h"
#include "tests/unit/cachedir.h"

static const char *const steps[] = {
	"CREATE TABLE a(x INTEGER);",
	"ALTER TABLE a ADD COLUMN y TEXT; CREATE INDEX i ON a(y);",
	"UPDATE a SET y = 'moved' WHERE y IS NULL;",
};
static const char *const broken[] = {
	"CREATE TABLE a(x INTEGER); INSERT INTO a VALUES(1);",
	"CREATE TABLE b(x INTEGER); CREATE TABLE a(x INTEGER);",
};

static struct aq_db_kind kind(uint32_t version)
{
	return (struct aq_db_kind){ .application_id = 0x41517a31,
				    .migrations = steps,
				    .version = version };
}

static const struct aq_db_how to_write = { .mode = AQ_DB_WRITE };
static const struct aq_db_how to_replace = { .mode = AQ_DB_WRITE,
					     .replaces_damaged = true };
static const struct aq_db_how to_read = { .mode = AQ_DB_READ };
static const struct aq_db_how to_check = { .mode = AQ_DB_WRITE,
					   .is_checked = true };

static int open_it(const struct aq_conf *conf, uint32_t version,
		   const struct aq_db_how *how, struct aq_db **ret)
{
	const struct aq_db_kind k = kind(version);
	cleanup_free char *path = path_below(conf->run_dir, "test.db");

	return aq_db_open(path, &k, how, ret, NULL);
}

static uint64_t number(struct aq_db *db, const char *sql)
{
	uint64_t n = 12345;

	assert_int_equal(aq_db_run(db, sql, NULL, 0, aq_db_get_number, &n, NULL), 0);
	return n;
}

static void old_ones_are_brought_up_to_date(void **state)
{
	struct aq_db *db = NULL;

	assert_int_equal(open_it(*state, 1, &to_write, &db), 0);
	assert_int_equal(aq_db_script(db, "INSERT INTO a VALUES(7)", NULL), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 2, &to_check, &db), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM a WHERE y IS NULL"), 1);
	aq_db_close(steal(&db));
	/* a reader does it too, but is none who writes for that */
	assert_int_equal(open_it(*state, 3, &to_read, &db), 0);
	assert_int_equal(number(db, "SELECT x FROM a WHERE y = 'moved'"), 7);
	assert_int_not_equal(aq_db_script(db, "DELETE FROM a", NULL), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 3, &to_check, &db), 0);
	assert_int_equal(number(db, "SELECT x FROM a WHERE y = 'moved'"), 7);
	assert_int_equal(number(db, "PRAGMA user_version"), 3);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 3, &to_read, &db), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 2, &to_write, &db), AQ_MISS);
	assert_null(db);
}

static void a_failed_step_changes_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->run_dir, "test.db");
	struct aq_db_kind k = kind(1);
	struct aq_db *db = NULL;

	k.migrations = broken;
	assert_int_equal(aq_db_open(path, &k, &to_write, &db, NULL), 0);
	aq_db_close(steal(&db));
	k.version = 2;
	assert_int_equal(aq_db_open(path, &k, &to_write, &db, NULL),
			 AQ_CORRUPT);
	k.version = 1;
	assert_int_equal(aq_db_open(path, &k, &to_check, &db, NULL), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema"), 1);
	aq_db_close(db);
}

static int fill(struct aq_db *db, void *arg, struct aq_err *err)
{
	++*(int *)arg;
	return aq_db_script(db, "INSERT INTO a VALUES(1, 'filled')", err);
}

static int refuse(struct aq_db *db, void *arg, struct aq_err *err)
{
	(void)db;
	(void)arg;
	return aq_fail(err, AQ_SYS, "no");
}

static void a_new_one_is_filled_once_or_not_made(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->run_dir, "test.db");
	int n = 0;
	const struct aq_db_how how = { .mode = AQ_DB_WRITE, .arg = &n };
	struct aq_db_kind k = kind(2);
	struct aq_db *db = NULL;

	k.populate = refuse;
	assert_int_equal(aq_db_open(path, &k, &how, &db, NULL), AQ_SYS);
	assert_int_equal(aq_db_open(path, &k, &to_read, &db, NULL), AQ_MISS);
	k.populate = fill;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(aq_db_open(path, &k, &how, &db, NULL), 0);
		assert_int_equal(n, 1);
		assert_int_equal(number(db, "SELECT count(*) FROM a"), 1);
		aq_db_close(steal(&db));
		k.version = 3; /* an older one is no new one */
	}
}

static void another_schema_is_damage(void **state)
{
	struct aq_db *db = NULL;

	assert_int_equal(open_it(*state, 2, &to_write, &db), 0);
	assert_int_equal(aq_db_script(db, "DROP INDEX i", NULL), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 2, &to_write, &db), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 2, &to_check, &db), AQ_CORRUPT);
	assert_null(db);
}

/* No setting of the file or of a user's environment changes how we work. */
static void settings_are_ours(void **state)
{
	cleanup_free char *path = NULL;
	cleanup_db struct aq_db *durable = NULL;
	struct aq_db_kind kept = kind(1);
	struct aq_db *db = NULL;

	assert_int_equal(open_it(*state, 2, &to_write, &db), 0);
	assert_int_equal(aq_db_script(db, "PRAGMA journal_mode=WAL", NULL), 0);
	aq_db_close(steal(&db));
	assert_int_equal(open_it(*state, 2, &to_read, &db), 0);
	assert_int_equal(number(db, "SELECT journal_mode = 'delete'"
				    " FROM pragma_journal_mode"), 1);
	assert_int_equal(number(db, "PRAGMA temp_store"), 2);
	assert_int_equal(number(db, "PRAGMA cell_size_check"), 1);
	assert_int_equal(number(db, "PRAGMA trusted_schema"), 0);
	assert_int_equal(number(db, "PRAGMA foreign_keys"), 1);
	assert_int_equal(number(db, "PRAGMA synchronous"), 0);
	kept.is_durable = true;
	path = path_below(((const struct aq_conf *)*state)->run_dir, "kept.db");
	assert_int_equal(aq_db_open(path, &kept, &to_write, &durable, NULL), 0);
	assert_int_equal(number(durable, "PRAGMA synchronous"), 3);
	assert_int_equal(aq_db_run(db, "PRAGMA mmap_size", NULL, 0, NULL, NULL,
				   NULL), 0);
	assert_int_not_equal(aq_db_script(db, "DELETE FROM a", NULL), 0);
	assert_int_not_equal(aq_db_script(db, "ATTACH ':memory:' AS b", NULL),
			     0);
	aq_db_close(db);
}

static void values_come_back_as_they_went(void **state)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(INT64_MAX), AQ_TEXT("it's"), AQ_BLOB("a\0b", 3),
	};
	struct aq_db *db = NULL;

	assert_int_equal(open_it(*state, 2, &to_write, &db), 0);
	assert_int_equal(aq_db_run(db, "INSERT INTO a VALUES(?1, ?2)", values,
				   2, NULL, NULL, NULL), 0);
	assert_int_equal(aq_db_changes(db), 1);
	assert_int_equal(number(db, "SELECT x FROM a WHERE y = 'it''s'"),
			 INT64_MAX);
	assert_int_equal(aq_db_run(db, "INSERT INTO a VALUES(3, ?3)", values, 3,
				   NULL, NULL, NULL), 0);
	assert_int_equal(number(db, "SELECT length(y) FROM a WHERE x = 3"), 3);
	assert_int_equal(aq_db_run(db, "SELECT x FROM a WHERE x = 4", NULL, 0,
				   aq_db_get_number, NULL, NULL), AQ_MISS);
	/* more values than the statement takes */
	assert_int_not_equal(aq_db_run(db, "DELETE FROM a", values, 1, NULL,
				       NULL, NULL), 0);
	aq_db_close(db);
}

static void a_transaction_is_all_or_nothing(void **state)
{
	struct aq_db *db = NULL;

	assert_int_equal(open_it(*state, 2, &to_write, &db), 0);
	assert_int_equal(aq_db_begin(db, NULL), 0);
	assert_int_equal(aq_db_script(db, "INSERT INTO a VALUES(1, '')", NULL),
			 0);
	assert_int_equal(aq_db_end(db, AQ_BUSY, NULL), AQ_BUSY);
	assert_int_equal(number(db, "SELECT count(*) FROM a"), 0);
	assert_int_equal(aq_db_begin(db, NULL), 0);
	assert_int_equal(aq_db_script(db, "INSERT INTO a VALUES(1, '')", NULL),
			 0);
	assert_int_equal(aq_db_end(db, 0, NULL), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM a"), 1);
	aq_db_close(db);
}

/* A child's closing would roll back what its parent is about to commit. */
static void a_child_cannot_end_our_transaction(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *journal =
		path_below(conf->run_dir, "test.db-journal");
	struct aq_db *db = NULL;
	int status;
	pid_t pid;

	assert_int_equal(open_it(conf, 2, &to_write, &db), 0);
	assert_int_equal(aq_db_begin(db, NULL), 0);
	assert_int_equal(aq_db_script(db, "INSERT INTO a VALUES(1, '')", NULL),
			 0);
	assert_int_equal(access(journal, F_OK), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int rc = aq_db_script(db, "ROLLBACK", NULL);

		aq_db_close(db);
		_exit(rc == AQ_SYS ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(journal, F_OK), 0);
	assert_int_equal(aq_db_end(db, 0, NULL), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM a"), 1);
	aq_db_close(db);
}

/* A child that holds the write lock until the pipe 'until' ends. */
static pid_t hold(const struct aq_conf *conf, int *ret_until)
{
	int ready[2], until[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(until, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct aq_db *db = NULL;
		int rc = open_it(conf, 2, &to_write, &db);

		close(until[1]);
		rc = rc || aq_db_script(db, "BEGIN EXCLUSIVE", NULL);
		(void)!write(ready[1], "x", 1);
		(void)!read(until[0], &c, 1);
		_exit(rc);
	}
	close(ready[1]);
	close(until[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*ret_until = until[1];
	return pid;
}

/* Busy is said after the time given, and no more of it is spent later. */
static void a_held_lock_is_waited_for_so_long(void **state)
{
	const struct aq_db_how short_wait = { .mode = AQ_DB_READ,
					      .busy_ms = 40 };
	struct aq_db *db = NULL;
	int status, until;
	pid_t pid = hold(*state, &until);

	assert_int_equal(open_it(*state, 2, &short_wait, &db), AQ_BUSY);
	assert_int_equal(open_it(*state, 2, &to_write, &db), AQ_BUSY);
	close(until);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(open_it(*state, 2, &short_wait, &db), 0);
	aq_db_close(db);
}

/* The damaged database is in use: it is not taken away from under others. */
static void what_is_in_use_is_not_set_aside(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->run_dir, "test.db");
	cleanup_free char *aside =
		path_below(conf->run_dir, "test.db.corrupt-1");
	const struct aq_db_how how = { .mode = AQ_DB_WRITE,
				       .busy_ms = 30,
				       .replaces_damaged = true };
	struct aq_db_kind k = kind(2);
	struct aq_db *user = NULL, *db = NULL;

	assert_int_equal(aq_db_open(path, &k, &to_write, &user, NULL), 0);
	k.application_id++;
	assert_int_equal(aq_db_open(path, &k, &how, &db, NULL), AQ_BUSY);
	assert_int_not_equal(access(aside, F_OK), 0);
	aq_db_close(user);
	assert_int_equal(aq_db_open(path, &k, &how, &db, NULL), 0);
	assert_int_equal(access(aside, F_OK), 0);
	aq_db_close(db);
}

static void the_last_set_aside_gives_way(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->run_dir, "test.db");
	cleanup_free char *ninth =
		path_below(conf->run_dir, "test.db.corrupt-9");
	cleanup_free char *tenth =
		path_below(conf->run_dir, "test.db.corrupt-10");
	struct aq_db_kind k = kind(2);

	for (int i = 0; i < 12; i++) {
		struct aq_db *db = NULL;

		k.application_id++;
		assert_int_equal(aq_db_open(path, &k, &to_replace,
						       &db, NULL), 0);
		aq_db_close(db);
	}
	assert_int_equal(access(ninth, F_OK), 0);
	assert_int_not_equal(access(tenth, F_OK), 0);
}

static void bad_paths_are_refused(void **state)
{
	const struct aq_db_kind k = kind(1);
	struct aq_db *db = NULL;

	(void)state;
	assert_int_equal(aq_db_open("test.db", &k, &to_write, &db, NULL),
			 AQ_SYS);
	assert_int_equal(aq_db_open("/no/such/test.db", &k, &to_write, &db,
				    NULL), AQ_SYS);
	assert_int_equal(aq_db_open("/no/such/test.db", &k, &to_read, &db,
				    NULL), AQ_MISS);
	assert_int_equal(aq_db_open("/dev/null/test.db", &k, &to_read, &db,
				    NULL), AQ_SYS);
	assert_null(db);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(old_ones_are_brought_up_to_date),
		TEST(a_failed_step_changes_nothing),
		TEST(a_new_one_is_filled_once_or_not_made),
		TEST(another_schema_is_damage),
		TEST(settings_are_ours),
		TEST(values_come_back_as_they_went),
		TEST(a_transaction_is_all_or_nothing),
		TEST(a_child_cannot_end_our_transaction),
		TEST(a_held_lock_is_waited_for_so_long),
		TEST(what_is_in_use_is_not_set_aside),
		TEST(the_last_set_aside_gives_way),
		TEST(bad_paths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
