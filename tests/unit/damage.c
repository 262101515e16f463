/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "tests/unit/damage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/db_raw.h"
#include "common/io.h"
#include "tests/unit/cachedir.h"

#define PAGE 4096

/* https://prng.di.unimi.it/splitmix64.c */
uint64_t dice(uint64_t *state, uint64_t n)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) % n;
}

struct target {
	const char *path; /* of the file that is damaged */
	const char *db;   /* of the database that it belongs to */
	uint64_t *state;
};

static void write_file(const char *path, const struct aq_str *text)
{
	scribble(path, 0, text->s, text->len);
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static void read_at(const char *path, void *mem, size_t len, uint64_t at)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	memset(mem, 0, len);
	assert_true(pread(fd, mem, len, (off_t)at) >= 0);
	close(fd);
}

/* -- of bytes -- */

static void flip_bits(const struct target *t)
{
	for (uint64_t n = 1 + dice(t->state, 8); n > 0; n--) {
		uint64_t at = dice(t->state, size_of(t->path));
		unsigned char byte;

		read_at(t->path, &byte, 1, at);
		byte ^= (unsigned char)(1u << dice(t->state, 8));
		scribble(t->path, (long)at, &byte, 1);
	}
}

static void cut_short(const struct target *t)
{
	assert_int_equal(truncate(t->path,
				  (off_t)dice(t->state, size_of(t->path))), 0);
}

/* Of pages that hold rows: the first says whose it is. */
static uint64_t choose_page(const struct target *t)
{
	uint64_t n = size_of(t->path) / PAGE;

	return n ? dice(t->state, n) * PAGE : 0;
}

static void zero_page(const struct target *t)
{
	static const char zero[PAGE];

	scribble(t->path, (long)choose_page(t), zero, PAGE);
}

static void swap_pages(const struct target *t)
{
	char a[PAGE], b[PAGE];
	uint64_t at = choose_page(t), to = choose_page(t);

	read_at(t->path, a, PAGE, at);
	read_at(t->path, b, PAGE, to);
	scribble(t->path, (long)at, b, PAGE);
	scribble(t->path, (long)to, a, PAGE);
}

static void fill_page(const struct target *t)
{
	char page[PAGE];

	for (size_t i = 0; i < PAGE; i++)
		page[i] = (char)dice(t->state, 256);
	scribble(t->path, (long)choose_page(t), page, PAGE);
}

static void append(const struct target *t)
{
	char tail[777];

	memset(tail, (int)dice(t->state, 256), sizeof(tail));
	scribble(t->path, (long)size_of(t->path), tail,
		 1 + dice(t->state, sizeof(tail) - 1));
}

/* -- of what it is -- */

static void drop(const struct target *t)
{
	assert_int_equal(aq_remove_tree(AT_FDCWD, t->path, NULL), 0);
}

static void be_empty(const struct target *t)
{
	assert_int_equal(truncate(t->path, 0), 0);
}

static void be_directory(const struct target *t)
{
	drop(t);
	assert_int_equal(mkdir(t->path, 0700), 0);
	if (dice(t->state, 2)) {
		cleanup_free char *below = path_below(t->path, "file");

		scribble(below, 0, "x", 1);
	}
}

static void be_fifo(const struct target *t)
{
	drop(t);
	assert_int_equal(mkfifo(t->path, 0600), 0);
}

static void be_link(const struct target *t)
{
	static const char *const to[] = { "/etc/passwd", "/nowhere/at/all",
					  "/dev/zero", "/", "cache.db" };

	drop(t);
	assert_int_equal(symlink(to[dice(t->state, ARRAY_LEN(to))], t->path), 0);
}

static void be_text(const struct target *t)
{
	drop(t);
	scribble(t->path, 0, "# not a database at all\n", 24);
}

static void be_open_to_others(const struct target *t)
{
	static const mode_t modes[] = { 0666, 0644, 0620, 0777, 0604 };

	assert_int_equal(chmod(t->path,
			       modes[dice(t->state, ARRAY_LEN(modes))]), 0);
}

static void be_anothers(const struct target *t)
{
	if (geteuid() == 0) /* nobody else can give one away */
		assert_int_equal(chown(t->path, 12345, 12345), 0);
}

/* -- a database, but not ours -- */

static void run_on(const char *path, const char *sql)
{
	cleanup_db struct aq_db *db = NULL;

	if (access(path, F_OK) != 0)
		scribble(path, 0, "", 0);
	assert_int_equal(aq_db_open_raw(path, 1000, &db, NULL), 0);
	/* some of them need a table that another kind has not */
	if (aq_db_script(db, "PRAGMA synchronous=0; PRAGMA foreign_keys=0;"
			     "PRAGMA ignore_check_constraints=1", NULL) == 0)
		(void)!aq_db_script(db, sql, NULL);
}

static void be_another_programs(const struct target *t)
{
	static const char *const sql[] = {
		"CREATE TABLE music(track TEXT); INSERT INTO music VALUES('x')",
		"PRAGMA application_id=252006674; PRAGMA user_version=1",
		"CREATE TABLE environments(name TEXT); PRAGMA user_version=1",
		"PRAGMA journal_mode=WAL; CREATE TABLE a(b)",
		"PRAGMA page_size=512; CREATE TABLE keys(key, env)",
	};

	drop(t);
	run_on(t->path, sql[dice(t->state, ARRAY_LEN(sql))]);
}

static void be_newer(const struct target *t)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d",
		 (int)(2 + dice(t->state, 1000000)));
	run_on(t->db, sql);
}

static void be_older(const struct target *t)
{
	run_on(t->db, dice(t->state, 2) ? "PRAGMA user_version=0" :
					  "PRAGMA application_id=0");
}

/* The schema is ours, or nearly so, and what is in it is not. */
static void hold_hostile_rows(const struct target *t)
{
	static const char *const sql[] = {
		"UPDATE environments SET name = '../../../etc'",
		"UPDATE environments SET lock = replace(lock, 'a', 'b')",
		"UPDATE environments SET kind = 99, generation = -1",
		"UPDATE environments SET python = hex(zeroblob(5000))",
		"UPDATE environments SET base = char(10) || 'x'",
		"UPDATE environments SET created = 'now', uses = 1e300",
		"UPDATE environments SET reason = zeroblob(3000000)",
		"UPDATE activations SET ops = x''",
		"UPDATE activations SET ops = 'PPATH' || char(0) || '/evil'",
		"UPDATE activations SET ops = zeroblob(70000)",
		"UPDATE activations SET ops = ops || ops",
		"UPDATE activations SET ops ="
		" (SELECT max(ops) FROM activations)",
		"DELETE FROM activations",
		"UPDATE keys SET env = '../../../etc'",
		"UPDATE keys SET seq = -9223372036854775808",
		"UPDATE keys SET key = zeroblob(64)",
		"UPDATE requests SET canonical = 'aq-request 1'",
		"UPDATE requests SET key = 'x'",
		"DELETE FROM environments",
		"DELETE FROM keys",
		"UPDATE bases SET python = '3.1.4.1', env = 'x'",
		"INSERT OR REPLACE INTO bases SELECT '3.' || rowid, name FROM"
		" environments, (SELECT 7 AS rowid)",
		"DROP TABLE activations",
		"DROP INDEX keys_by_env",
		"ALTER TABLE requests ADD COLUMN x",
		"CREATE TRIGGER t AFTER UPDATE ON environments BEGIN"
		" DELETE FROM environments; END",
		"CREATE VIEW v AS SELECT * FROM v",
		"INSERT INTO failures SELECT key, zeroblob(100000), 0, 0,"
		" 9223372036854775807 FROM keys",
		"UPDATE uses SET env = '/', n = -1",
		"INSERT INTO uses VALUES('x', 'y', 'z', -1, 1e308)",
		"INSERT INTO plain VALUES(zeroblob(100))",
		"INSERT INTO workflows SELECT 'x', zeroblob(9), NULL, key, -1"
		" FROM keys",
	};

	run_on(t->db, sql[dice(t->state, ARRAY_LEN(sql))]);
}

static void be_wal(const struct target *t)
{
	run_on(t->db, "PRAGMA journal_mode=WAL; UPDATE environments SET uses=1");
}

static const struct {
	const char *what;
	void (*fn)(const struct target *t);
} kinds[] = {
	{ "bits flipped", flip_bits },
	{ "bits flipped", flip_bits }, /* what happens most */
	{ "cut short", cut_short },
	{ "a page of zeroes", zero_page },
	{ "pages swapped", swap_pages },
	{ "a page of noise", fill_page },
	{ "more at its end", append },
	{ "gone", drop },
	{ "empty", be_empty },
	{ "a directory", be_directory },
	{ "a FIFO", be_fifo },
	{ "a link", be_link },
	{ "a text", be_text },
	{ "open to others", be_open_to_others },
	{ "another user's", be_anothers },
	{ "another program's", be_another_programs },
	{ "newer", be_newer },
	{ "older", be_older },
	{ "hostile rows", hold_hostile_rows },
	{ "hostile rows", hold_hostile_rows },
	{ "WAL", be_wal },
};

/* -- which file -- */

static void remove_all(const char *path)
{
	static const char *const ends[] = { "", "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		cleanup_free char *name = NULL;

		assert_true(asprintf(&name, "%s%s", path, ends[i]) > 0);
		assert_int_equal(aq_remove_tree(AT_FDCWD, name, NULL), 0);
	}
}

const char *damage(const char *path, const struct whole *whole, uint64_t *state)
{
	static const char *const beside[] = { "", "", "", "-journal", "-wal",
					      "-shm" };
	const char *end = beside[dice(state, ARRAY_LEN(beside))];
	cleanup_free char *name = NULL, *journal = NULL;
	struct target t = { .db = path, .state = state };
	static char what[64];
	size_t i;

	remove_all(path);
	write_file(path, &whole->db);
	assert_true(asprintf(&name, "%s%s", path, end) > 0);
	assert_true(asprintf(&journal, "%s-journal", path) > 0);
	t.path = name;
	if (*end) /* of what SQLite would make there, or nearly so */
		write_file(name, strcmp(end, "-journal") == 0 ? &whole->journal :
								&whole->db);
	else if (whole->journal.len && dice(state, 4) == 0)
		write_file(journal, &whole->journal);
	i = dice(state, ARRAY_LEN(kinds));
	kinds[i].fn(&t);
	if (dice(state, 4) == 0 && access(path, R_OK | W_OK) == 0) {
		struct stat st;

		t.path = path;
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size)
			flip_bits(&t);
	}
	snprintf(what, sizeof(what), "'%s': %s", end, kinds[i].what);
	return what;
}
