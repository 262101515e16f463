/* SPDX-License-Identifier: Apache-2.0 */
/* Two versions meet on a node while one is upgraded: a cache of the one and programs
 * of the other; a plugin that slurmstepd has mapped and the builder that is installed
 * now.  A whole upgrade, with packages: tests/packages/life.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/build.h"
#include "common/collect.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/store_inside.h"
#include "common/store_schema.h"
#include "tests/unit/cachedir.h"

/* -- the cache -- */

#define ROWS 3
#define FILE_MAX (1024 * 1024)

/* What a made-up later version does to the schema that there is. */
static const char next_step[] =
	"ALTER TABLE environments ADD COLUMN note TEXT NOT NULL DEFAULT '';"
	"UPDATE environments SET note = 'of ' || name;"
	"CREATE TABLE notes(env TEXT PRIMARY KEY"
	"  REFERENCES environments(name) ON DELETE CASCADE) WITHOUT ROWID;"
	"INSERT INTO notes SELECT name FROM environments;";

static int open_next(const struct aq_conf *conf, enum aq_db_mode mode,
		     struct aq_db **ret, struct aq_err *err)
{
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	const struct aq_db_how how = { .mode = mode,
				       .busy_ms = AQ_STORE_PATIENCE_MS,
				       .is_checked = mode == AQ_DB_WRITE };
	const char *steps[] = { NULL, next_step };
	struct aq_db_kind next = aq_store_kind;

	/* else this test needs as many steps as there are by now */
	assert_int_equal(aq_store_kind.version, 1);
	steps[0] = aq_store_kind.migrations[0];
	next.migrations = steps;
	next.version = ARRAY_LEN(steps);
	return aq_db_open(path, &next, &how, ret, err);
}

/* Ready environments, one of them pinned, one a base, and a failure. */
static void fill(const struct aq_conf *conf)
{
	const struct aq_err why = { .class = AQ_USER, .text = "no such package" };
	struct aq_store *store = NULL;

	assert_int_equal(aq_store_open(conf, AQ_STORE_BUILD, &store, NULL), 0);
	for (unsigned int i = 0; i < ROWS; i++) {
		struct sample *s = sample(i, 1);

		assert_int_equal(aq_manifest_write(conf, &s->env, &s->tie,
						   s->lock, NULL), 0);
		assert_int_equal(aq_store_commit(store, &s->env, &s->tie, NULL),
				 0);
		if (i == 0)
			assert_int_equal(aq_store_insert_base(store->db, "3.9",
							      s->env.name, NULL),
					 0);
		if (i == 1)
			assert_int_equal(aq_store_pin(store, s->env.name, true,
						      NULL), 0);
		if (i == 2)
			assert_int_equal(aq_store_fail_put(store, s->tie.key,
							   &why, 1000, 60, NULL),
					 0);
		sample_free(s);
	}
	aq_store_close(store);
}

/* What is in the columns that this version has. */
static struct aq_strv *rows(struct aq_db *db)
{
	static const char *const all[] = {
		"SELECT format('%s %s %d %d %s %s %d %d %d %d %d %d %d %s %d %d',"
		" name, lock, generation, kind, base, python, created, last_used,"
		" uses, build_ms, size_own, size_shared, pinned, reason, packages,"
		" uid) FROM environments ORDER BY name",
		"SELECT format('%s %s %d', env, hex(ops), sum) FROM activations"
		" ORDER BY env",
		"SELECT format('%s %s %d %d', key, env, seq, plain) FROM keys"
		" ORDER BY key, env",
		"SELECT format('%s %s %s %s %d', digest, context, key, canonical,"
		" seq) FROM requests ORDER BY digest, context",
		"SELECT format('%s %s %d %d %d', key, reason, is_refusal, since,"
		" ttl) FROM failures ORDER BY key",
		"SELECT format('%s %s', python, env) FROM bases ORDER BY python",
	};
	struct aq_strv *ret = calloc(1, sizeof(*ret));

	assert_non_null(ret);
	*ret = (struct aq_strv)AQ_STRV_INIT(1000);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(aq_db_run(db, all[i], NULL, 0, aq_db_add_text,
					   ret, NULL), 0);
	return ret;
}

static struct aq_strv *rows_of_store(const struct aq_conf *conf)
{
	struct aq_store *store = NULL;
	struct aq_strv *ret;

	assert_int_equal(aq_store_open(conf, AQ_STORE_READ, &store, NULL), 0);
	ret = rows(store->db);
	aq_store_close(store);
	return ret;
}

static void expect_same(struct aq_strv *before, struct aq_strv *after)
{
	assert_int_equal(before->n, after->n);
	for (size_t i = 0; i < before->n; i++)
		assert_string_equal(before->v[i], after->v[i]);
	aq_strv_free(before);
	aq_strv_free(after);
	free(before);
	free(after);
}

static uint64_t number(struct aq_db *db, const char *sql)
{
	uint64_t n = 12345;

	assert_int_equal(aq_db_run(db, sql, NULL, 0, aq_db_get_number, &n, NULL), 0);
	return n;
}

static void a_later_version_keeps_what_is_there(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_strv *before;
	struct aq_db *db = NULL;
	struct aq_err err = { 0 };

	fill(conf);
	before = rows_of_store(conf);
	if (open_next(conf, AQ_DB_WRITE, &db, &err) != 0) /* examines it, too */
		fail_msg("%s", err.text);
	expect_same(before, rows(db));
	assert_int_equal(number(db, "PRAGMA user_version"), 2);
	assert_int_equal(number(db, "SELECT count(*) FROM environments e JOIN notes n"
				    " ON n.env = e.name WHERE e.note = 'of ' || e.name"),
			 ROWS);
	aq_db_close(db);
	db = NULL;
	assert_int_equal(open_next(conf, AQ_DB_READ, &db, NULL), 0);
	aq_db_close(db);
}

/* `aq list` is what comes first, and jobs' look-ups are. */
static void so_does_a_reader_of_it(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_strv *before;
	struct aq_db *db = NULL;

	fill(conf);
	before = rows_of_store(conf);
	assert_int_equal(open_next(conf, AQ_DB_READ, &db, NULL), 0);
	expect_same(before, rows(db));
	assert_int_equal(number(db, "SELECT count(*) FROM notes"), ROWS);
	assert_int_not_equal(aq_db_script(db, "DELETE FROM notes", NULL), 0);
	aq_db_close(db);
}

/* Where who is about to migrate says so, and waits for all others. */
static int here[2] = { -1, -1 }, go[2] = { -1, -1 };

int __real_aq_db_begin(struct aq_db *db, struct aq_err *err);
int __wrap_aq_db_begin(struct aq_db *db, struct aq_err *err);
int __wrap_aq_db_begin(struct aq_db *db, struct aq_err *err)
{
	char c = 0;

	if (here[1] >= 0 && (write(here[1], &c, 1) != 1 || read(go[0], &c, 1) != 0))
		_exit(99);
	return __real_aq_db_begin(db, err);
}

/* Readers and writers, each of which has seen an older version. */
static void one_of_many_migrates(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_strv *before;
	struct aq_db *db = NULL;
	pid_t pids[4];

	fill(conf);
	before = rows_of_store(conf);
	assert_int_equal(pipe(here), 0);
	assert_int_equal(pipe(go), 0);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			close(go[1]);
			_exit(open_next(conf, i % 2 ? AQ_DB_READ : AQ_DB_WRITE,
					&db, NULL));
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		char c;

		assert_int_equal(read(here[0], &c, 1), 1);
	}
	for (size_t i = 0; i < 2; i++) {
		close(go[i]); /* now */
		close(here[i]);
		here[i] = go[i] = -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		int status = -1;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(open_next(conf, AQ_DB_READ, &db, NULL), 0);
	expect_same(before, rows(db));
	aq_db_close(db);
}

static void read_cache(const struct aq_conf *conf, struct aq_str *ret)
{
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");

	assert_int_equal(aq_read_file(AT_FDCWD, path, ret, NULL), 0);
}

/* As it was before the upgrade: who builds, looks or collects leaves it alone. */
static void the_earlier_version_leaves_it_alone(void **state)
{
	static const struct {
		enum aq_store_mode mode;
		int class;
	} how[] = { { AQ_STORE_READ, AQ_MISS },
		    { AQ_STORE_WRITE, AQ_MISS },
		    { AQ_STORE_BUILD, AQ_SYS },
		    { AQ_STORE_EXAMINE, AQ_SYS } };
	const struct aq_conf *conf = *state;
	cleanup_free char *aside =
		path_below(conf->cache_dir, "cache.db.corrupt-1");
	cleanup_str struct aq_str before = AQ_STR_INIT(FILE_MAX);
	cleanup_str struct aq_str after = AQ_STR_INIT(FILE_MAX);
	struct aq_store *store = NULL;
	struct aq_db *db = NULL;
	struct aq_err err = { 0 };

	fill(conf);
	assert_int_equal(open_next(conf, AQ_DB_WRITE, &db, NULL), 0);
	aq_db_close(db);
	read_cache(conf, &before);
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		assert_int_equal(aq_store_open(conf, how[i].mode, &store, &err),
				 how[i].class);
		assert_non_null(strstr(err.text, "schema 2, this one knows 1"));
		assert_int_equal(err.class, how[i].class);
		assert_int_equal(aq_store_open(conf, how[i].mode, &store, NULL),
				 how[i].class);
	}
	read_cache(conf, &after);
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.s, before.s, before.len);
	assert_int_not_equal(access(aside, F_OK), 0);
}

/* -- the builder -- */

struct started {
	uint32_t magic;
	size_t size; /* of the answer's memory */
	const char *option; /* one more, or NULL */
	int status; /* it exits with */
	bool is_answered;
};

static void start(const struct started *s)
{
	struct aq_answer *a;
	int answer = memfd_create("answer", 0), request = open("/dev/null", O_RDONLY);
	int alive[2], status = -1;
	pid_t pid;

	assert_int_equal(ftruncate(answer, (off_t)s->size), 0);
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED, answer, 0);
	assert_ptr_not_equal(a, MAP_FAILED);
	a->magic = s->magic;
	assert_int_equal(pipe(alive), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const int from[] = { answer, request, open("/dev/null", O_WRONLY),
				     alive[0] };
		int high[ARRAY_LEN(from)];

		for (size_t i = 0; i < ARRAY_LEN(from); i++)
			high[i] = fcntl(from[i], F_DUPFD, 20);
		for (size_t i = 0; i < ARRAY_LEN(from); i++)
			dup2(high[i], AQ_BUILDER_FD_ANSWER + (int)i);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execl("./aq-builder", "aq-builder", "--config",
		      "/nonexistent/aq.conf", s->option, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), s->status);
	assert_int_equal(aq_answer_is_sound(a), s->is_answered);
	munmap(a, sizeof(*a));
	close(answer);
	close(request);
	close(alive[0]);
	close(alive[1]);
}

/* It answers who speaks its language alone: others see it end without a word, and say
 * what that may be.
 */
static void a_builder_serves_its_own_version_alone(void **state)
{
	const size_t whole = sizeof(struct aq_answer);

	(void)state;
	start(&(struct started){ AQ_ANSWER_MAGIC, whole, NULL, AQ_SYS, true });
	start(&(struct started){ AQ_ANSWER_MAGIC + 1, whole, NULL, 2, false });
	start(&(struct started){ AQ_ANSWER_MAGIC, whole + 4096, NULL, 2, false });
	start(&(struct started){ AQ_ANSWER_MAGIC, whole, "--of-tomorrow", 2, false });
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_later_version_keeps_what_is_there),
		TEST(so_does_a_reader_of_it),
		TEST(one_of_many_migrates),
		TEST(the_earlier_version_leaves_it_alone),
		cmocka_unit_test(a_builder_serves_its_own_version_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
