/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the store: what is damaged, foreign, newer, absent, open to others. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/manifest.h"
#include "common/store.h"
#include "tests/unit/cachedir.h"

static int find(struct aq_store *store, const struct sample *s,
		struct aq_env **ret)
{
	return aq_store_find(store, s->tie.digest, s->tie.context,
			     s->tie.canonical, ret, NULL);
}

static void a_reader_makes_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	struct sample *s = sample(1, 1);
	struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(aq_store_open(conf, AQ_STORE_READ, &store, &err),
			 AQ_MISS);
	assert_null(store);
	assert_int_not_equal(access(path, F_OK), 0);
	aq_store_close(must_open_store(conf, AQ_STORE_WRITE));
	store = must_open_store(conf, AQ_STORE_READ);
	assert_int_not_equal(aq_store_commit(store, &s->env, &s->tie, &err), 0);
	aq_store_close(store);
	sample_free(s);
}

static void write_env(const struct aq_conf *conf, const struct sample *s)
{
	cleanup_free char *envs = path_below(conf->cache_dir, "envs");
	cleanup_free char *prefix = path_below(envs, s->env.name);
	struct aq_err err = { 0 };

	if (aq_manifest_write(conf, &s->env, &s->tie, s->lock, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(mkdir(prefix, 0755), 0);
}

/* The store, damaged in some way, is a miss to read, and is set aside and
 * rebuilt from the manifests to write.
 */
static void expect_healing(const struct aq_conf *conf, enum aq_store_mode mode)
{
	cleanup_free char *aside =
		path_below(conf->cache_dir, "cache.db.corrupt-1");
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	struct aq_store *store = NULL;
	struct aq_env *env = NULL;
	int rc = mode == AQ_STORE_EXAMINE ?
			 AQ_CORRUPT :
			 aq_store_open(conf, AQ_STORE_READ, &store, NULL);

	assert_int_equal(rc, AQ_CORRUPT);
	assert_null(store);
	store = must_open_store(conf, mode);
	assert_int_equal(access(aside, F_OK), 0);
	assert_int_equal(find(store, s, &env), 0);
	assert_string_equal(env->name, s->env.name);
	assert_string_equal(env->python, s->env.python);
	assert_int_equal(env->ops_len, s->env.ops_len);
	assert_memory_equal(env->ops, s->env.ops, env->ops_len);
	aq_env_free(steal(&env));
	/* its manifest is there, its prefix is not */
	assert_int_equal(find(store, t, &env), AQ_MISS);
	aq_store_close(store);
	store = must_open_store(conf, AQ_STORE_READ);
	assert_int_equal(find(store, s, &env), 0);
	aq_env_free(env);
	aq_store_close(store);
	sample_free(s);
	sample_free(t);
}

/* A store with one environment, and a manifest without its prefix. */
static char *fill(const struct aq_conf *conf)
{
	struct aq_store *store = must_open_store(conf, AQ_STORE_WRITE);
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	struct aq_err err = { 0 };

	write_env(conf, s);
	assert_int_equal(aq_manifest_write(conf, &t->env, &t->tie, t->lock,
					   &err), 0);
	commit_sample(store, s);
	aq_store_close(store);
	sample_free(s);
	sample_free(t);
	return path_below(conf->cache_dir, "cache.db");
}

static void a_damaged_header_is_healed(void **state)
{
	cleanup_free char *path = fill(*state);

	scribble(path, 0, "garbage garbage ", 16);
	expect_healing(*state, AQ_STORE_WRITE);
	assert_int_equal(mode_of(path), 0600);
}

static void another_programs_database_is_set_aside(void **state)
{
	cleanup_free char *path = fill(*state);

	scribble(path, 68, "\1\2\3\4", 4); /* fileformat2.html: application id */
	expect_healing(*state, AQ_STORE_WRITE);
}

static void a_truncated_one_is_healed(void **state)
{
	cleanup_free char *path = fill(*state);

	assert_int_equal(truncate(path, 5000), 0);
	expect_healing(*state, AQ_STORE_EXAMINE);
}

/* Every page but the first: who only reads the header sees nothing. */
static void damaged_pages_are_healed_by_a_build(void **state)
{
	cleanup_free char *path = fill(*state);
	char garbage[4096];
	struct stat st;

	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(stat(path, &st), 0);
	for (long at = 4096; at < st.st_size; at += 4096)
		scribble(path, at, garbage, sizeof(garbage));
	expect_healing(*state, AQ_STORE_EXAMINE);
}

static void an_absent_one_is_rebuilt(void **state)
{
	cleanup_free char *path = fill(*state);
	struct sample *s = sample(1, 1);
	struct aq_env *env = NULL;
	struct aq_store *store;

	assert_int_equal(unlink(path), 0);
	store = must_open_store(*state, AQ_STORE_WRITE);
	assert_int_equal(find(store, s, &env), 0);
	aq_env_free(env);
	aq_store_close(store);
	sample_free(s);
}

static void a_newer_one_is_left_alone(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = fill(conf);
	cleanup_free char *aside =
		path_below(conf->cache_dir, "cache.db.corrupt-1");
	static const enum aq_store_mode modes[] = { AQ_STORE_READ,
						    AQ_STORE_WRITE,
						    AQ_STORE_EXAMINE };
	struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	scribble(path, 60, "\0\0\0\143", 4); /* the user version */
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		int class = modes[i] >= AQ_STORE_BUILD ? AQ_SYS : AQ_MISS;

		assert_int_equal(aq_store_open(conf, modes[i], &store, &err),
				 class);
		assert_int_equal(err.class, class);
		assert_non_null(strstr(err.text, "newer version"));
	}
	assert_int_not_equal(access(aside, F_OK), 0);
}

/* A journal of the old database must not be rolled back into the new one. */
static void a_damaged_ones_journal_goes_with_it(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = fill(conf);
	cleanup_free char *journal =
		path_below(conf->cache_dir, "cache.db-journal");

	scribble(path, 0, "garbage garbage ", 16);
	scribble(journal, 0, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7garbage", 15);
	expect_healing(conf, AQ_STORE_WRITE);
	assert_int_not_equal(access(journal, F_OK), 0);
}

/* What is in cache.db's place is none of ours, or may have been written by others: it
 * is set aside, whatever it is.
 */
static void what_is_no_file_of_ours_is_set_aside(void **state)
{
	static const char *const beside[] = { "", "-journal", "-wal", "-shm" };
	const struct aq_conf *conf = *state;
	cleanup_free char *path = fill(conf);
	cleanup_free char *aside =
		path_below(conf->cache_dir, "cache.db.corrupt-1");

	assert_int_equal(chmod(path, 0644), 0);
	expect_healing(conf, AQ_STORE_WRITE);
	if (geteuid() == 0) { /* only root can give a file away */
		assert_int_equal(rename(path, aside), 0);
		assert_int_equal(symlink("/etc/passwd", path), 0);
		assert_int_equal(unlink(aside), 0);
		expect_healing(conf, AQ_STORE_WRITE);
		assert_int_equal(unlink(aside), 0);
		assert_int_equal(chown(path, 12345, 12345), 0);
		expect_healing(conf, AQ_STORE_WRITE);
	}
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		cleanup_free char *name = NULL;

		assert_true(asprintf(&name, "%s%s", path, beside[i]) > 0);
		assert_int_equal(unlink(aside), 0);
		(void)unlink(name);
		assert_int_equal(mkfifo(name, 0600), 0);
		expect_healing(conf, AQ_STORE_WRITE);
	}
}

static void directories_may_be_links(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *link = path_below(conf->run_dir, "link");
	struct aq_conf other = *conf;

	assert_int_equal(symlink(conf->cache_dir, link), 0);
	other.cache_dir = link;
	aq_store_close(must_open_store(&other, AQ_STORE_WRITE));
	aq_store_close(must_open_store(&other, AQ_STORE_READ));
}

static void umasks_do_not_matter(void **state)
{
	const struct aq_conf *conf = *state;
	static const mode_t masks[] = { 0, 0777 };
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		mode_t old = umask(masks[i]);
		struct sample *s = sample((unsigned int)i, 1);
		struct aq_store *store = must_open_store(conf, AQ_STORE_WRITE);

		commit_sample(store, s);
		aq_store_close(store);
		umask(old);
		assert_int_equal(mode_of(path), 0600);
		assert_int_equal(unlink(path), 0);
		sample_free(s);
	}
}

/* Somebody else found it damaged: what is written now would be lost. */
static void one_set_aside_under_us_is_busy(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	cleanup_free char *aside = path_below(conf->cache_dir, "aside");
	struct sample *s = sample(1, 1), *t = sample(2, 1);
	cleanup_store struct aq_store *store = must_open_store(conf, AQ_STORE_WRITE);

	commit_sample(store, s);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(aq_store_commit(store, &t->env, &t->tie, NULL),
			 AQ_BUSY);
	sample_free(s);
	sample_free(t);
}

/* A child that inherits a handle can neither use it nor spoil it. */
static void no_handle_crosses_a_fork(void **state)
{
	struct aq_store *store = must_open_store(*state, AQ_STORE_WRITE);
	struct sample *s = sample(1, 1);
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		int rc = aq_store_commit(store, &s->env, &s->tie, NULL);

		aq_store_close(store);
		_exit(rc == AQ_SYS ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	commit_sample(store, s);
	aq_store_close(store);
	sample_free(s);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_makes_nothing),
		TEST(a_damaged_header_is_healed),
		TEST(another_programs_database_is_set_aside),
		TEST(a_truncated_one_is_healed),
		TEST(damaged_pages_are_healed_by_a_build),
		TEST(an_absent_one_is_rebuilt),
		TEST(a_newer_one_is_left_alone),
		TEST(a_damaged_ones_journal_goes_with_it),
		TEST(what_is_no_file_of_ours_is_set_aside),
		TEST(directories_may_be_links),
		TEST(umasks_do_not_matter),
		TEST(one_set_aside_under_us_is_busy),
		TEST(no_handle_crosses_a_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
