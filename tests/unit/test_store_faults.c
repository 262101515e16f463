/* SPDX-License-Identifier: Apache-2.0 */
/* The store and the references while each call fails once, while a process is
 * killed at each, and while several write at once: never a crash, never a wrong
 * environment, never one lost that was committed.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lease.h"
#include "common/manifest.h"
#include "common/refs.h"
#include "common/store.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/faults.h"

/* More than any sequence below makes; a pass without a fault ends it. */
#define CALLS_MAX 5000

static int find(const struct aq_conf *conf, const struct sample *s,
		struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = aq_store_find(store, s->digest, s->tie.context,
				   s->canonical, &env, err);
	if (!rc) {
		assert_string_equal(env->name, s->env.name);
		assert_string_equal(env->python, s->env.python);
		assert_int_equal(env->ops_len, s->env.ops_len);
		assert_memory_equal(env->ops, s->env.ops, env->ops_len);
	}
	return rc;
}

/* As a builder does: manifest, then row. */
static int commit(const struct aq_conf *conf, const struct sample *s,
		  enum aq_store_mode mode, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_manifest_write(conf, &s->env, &s->tie, s->lock, err);

	if (!rc)
		rc = aq_store_open(conf, mode, &store, err);
	return rc ? rc : aq_store_commit(store, &s->env, &s->tie, err);
}

static void make_prefix(const struct aq_conf *conf, const struct sample *s)
{
	cleanup_free char *envs = path_below(conf->cache_dir, "envs");
	cleanup_free char *path = path_below(envs, s->env.name);

	(void)mkdir(path, 0755);
}

/* Commit the n-th sample while call 'n' fails; what was said must be so. */
static bool try_commit(const struct aq_conf *conf, enum fault_kind kind,
		       unsigned int n, bool and_all_later)
{
	struct sample *s = sample(n, 1);
	struct aq_err err = { 0 };
	bool is_over;
	int rc, now;

	make_prefix(conf, s);
	faults_arm(kind, n, and_all_later);
	rc = commit(conf, s, AQ_STORE_EXAMINE, &err);
	is_over = !faults_disarm();
	if (rc == AQ_OK && is_over)
		assert_int_equal(find(conf, s, &err), 0);
	assert_true(rc == AQ_OK || rc == AQ_SYS || rc == AQ_BUSY);
	now = find(conf, s, &err);
	if (rc == AQ_OK && now != AQ_OK)
		fail_msg("call %u: committed and not there: %s", n, err.text);
	if (now != AQ_OK && now != AQ_MISS)
		fail_msg("call %u: %s", n, err.text);
	sample_free(s);
	return is_over;
}

static void run_commits(const struct aq_conf *conf, enum fault_kind kind,
			bool and_all_later)
{
	struct sample *first = sample(0, 1);
	struct aq_err err = { 0 };
	unsigned int n = 1;

	make_prefix(conf, first);
	if (commit(conf, first, AQ_STORE_EXAMINE, &err) != 0)
		fail_msg("%s", err.text);
	while (!try_commit(conf, kind, n, and_all_later)) {
		if (find(conf, first, &err) != 0)
			fail_msg("call %u lost another: %s", n, err.text);
		assert_true(++n < CALLS_MAX);
	}
	assert_true(n > 10);
	sample_free(first);
}

static void commits_while_the_disk_fails_once(void **state)
{
	run_commits(*state, FAULT_DISK, false);
}

static void commits_while_the_disk_is_full(void **state)
{
	run_commits(*state, FAULT_DISK, true);
}

#if FAULTS_HAS_MEMORY
static void commits_while_memory_fails(void **state)
{
	run_commits(*state, FAULT_MEMORY, false);
}

static void finds_while_memory_fails(void **state)
{
	struct sample *s = sample(0, 1);
	struct aq_err err = { 0 };
	bool is_over = false;

	assert_int_equal(commit(*state, s, AQ_STORE_WRITE, &err), 0);
	for (unsigned int n = 1; !is_over; n++) {
		int rc;

		faults_arm(FAULT_MEMORY, n, false);
		rc = find(*state, s, &err);
		is_over = !faults_disarm();
		/* never "not there", and never another */
		if (rc != AQ_OK && rc != AQ_SYS)
			fail_msg("call %u: class %d: %s", n, rc, err.text);
		assert_true(rc == AQ_OK || !is_over);
		assert_true(n < CALLS_MAX);
	}
	sample_free(s);
}

#endif

/* A store that was damaged is healed, or healed by the next who comes. */
static void heal(const struct aq_conf *conf, enum fault_kind kind)
{
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	struct sample *s = sample(0, 1);
	struct aq_err err = { 0 };
	bool is_over = false;

	make_prefix(conf, s);
	assert_int_equal(commit(conf, s, AQ_STORE_WRITE, &err), 0);
	for (unsigned int n = 1; !is_over; n++) {
		struct aq_store *store = NULL;
		int rc;

		scribble(path, 0, "garbage garbage ", 16);
		faults_arm(kind, n, false);
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, &err);
		is_over = !faults_disarm();
		aq_store_close(store);
		assert_true(rc == AQ_OK || !is_over);
		store = NULL;
		if (aq_store_open(conf, AQ_STORE_WRITE, &store, &err) != 0)
			fail_msg("call %u: %s", n, err.text);
		aq_store_close(store);
		if (find(conf, s, &err) != 0)
			fail_msg("call %u: %s", n, err.text);
		assert_true(n < CALLS_MAX);
	}
	sample_free(s);
}

static void healing_while_the_disk_fails(void **state)
{
	heal(*state, FAULT_DISK);
}

#if FAULTS_HAS_MEMORY
static void healing_while_memory_fails(void **state)
{
	heal(*state, FAULT_MEMORY);
}
#endif

/* -- kill -9 -- */

/* Returns whether the child came to its end. */
static bool run_killed(const struct aq_conf *conf, const struct sample *s,
		       unsigned int n)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct aq_err err;
		int rc;

		faults_arm(FAULT_KILL, n, false);
		rc = commit(conf, s, AQ_STORE_EXAMINE, &err);
		_exit(rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFEXITED(status);
}

static void a_killed_commit_is_whole_or_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	struct sample *first = sample(0, 1);
	struct aq_err err = { 0 };
	bool is_over = false;

	assert_int_equal(commit(conf, first, AQ_STORE_EXAMINE, &err), 0);
	for (unsigned int n = 1; !is_over; n++) {
		struct sample *s = sample(n, 1);
		int rc;

		is_over = run_killed(conf, s, n);
		/* the next who comes, a reader, rolls back */
		rc = find(conf, s, &err);
		if (rc != AQ_OK && rc != AQ_MISS)
			fail_msg("call %u: %s", n, err.text);
		assert_true(rc == AQ_OK || !is_over);
		assert_int_equal(find(conf, first, &err), 0);
		if (rc == AQ_MISS && commit(conf, s, AQ_STORE_EXAMINE, &err))
			fail_msg("call %u: %s", n, err.text);
		sample_free(s);
		assert_true(n < CALLS_MAX);
	}
	sample_free(first);
}

/* -- several at once -- */

static int write_many(const struct aq_conf *conf, unsigned int from,
		      unsigned long n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct sample *s = sample(from + i, 1);
		struct aq_err err = { 0 };

		if (commit(conf, s, AQ_STORE_EXAMINE, &err) ||
		    find(conf, s, &err)) {
			print_error("%s\n", err.text);
			return 1;
		}
		sample_free(s);
	}
	return 0;
}

static int add_one(const struct aq_env *env, void *arg, struct aq_err *err)
{
	(void)env;
	(void)err;
	++*(unsigned long *)arg;
	return 0;
}

static void several_write_at_once(void **state)
{
	const struct aq_conf *conf = *state;
	unsigned long n = count_of("AQ_COUNT_STORE_LOAD", 20), found = 0;
	cleanup_store struct aq_store *store = NULL;
	pid_t pids[4];

	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (!pids[p])
			_exit(write_many(conf, p * 100000, n));
	}
	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		int status = 0;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(aq_store_open(conf, AQ_STORE_EXAMINE, &store, NULL), 0);
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, add_one, &found, NULL), 0);
	assert_int_equal(found, ARRAY_LEN(pids) * n);
}

/* All find it damaged at the same time: it is set aside once. */
static void several_heal_at_once(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	cleanup_free char *second =
		path_below(conf->cache_dir, "cache.db.corrupt-2");
	struct sample *s = sample(999, 1);
	struct aq_err err = { 0 };
	pid_t pids[4];

	make_prefix(conf, s);
	assert_int_equal(commit(conf, s, AQ_STORE_EXAMINE, &err), 0);
	scribble(path, 0, "garbage garbage ", 16);
	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (!pids[p])
			_exit(write_many(conf, p * 100000, 3));
	}
	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		int status = 0;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(find(conf, s, &err), 0);
	assert_int_not_equal(access(second, F_OK), 0);
	sample_free(s);
}

/* -- references -- */

static void references_while_calls_fail(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_DISK, FAULT_MEMORY };
	static const char digest[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	for (size_t k = 0; k < 1 + FAULTS_HAS_MEMORY; k++) {
		bool is_over = false;

		for (uint32_t n = 1; !is_over; n++) {
			const struct aq_step s = { 1, n, (uint32_t)k };
			struct aq_refs *refs = NULL;
			uint64_t before, after;
			int rc, fd = -1;

			assert_int_equal(aq_refs_open(*state, &refs, NULL), 0);
			assert_int_equal(aq_refs_count(refs, NULL, &before,
						       NULL), 0);
			aq_refs_close(steal(&refs));
			faults_arm(kinds[k], n, false);
			rc = aq_lease_acquire(*state, &s, &fd, NULL);
			if (!rc)
				rc = aq_refs_open(*state, &refs, NULL);
			if (!rc)
				rc = aq_refs_take(refs, &s, digest, NULL);
			is_over = !faults_disarm();
			aq_refs_close(steal(&refs));
			assert_int_equal(aq_refs_open(*state, &refs, NULL), 0);
			assert_int_equal(aq_refs_count(refs, NULL, &after,
						       NULL), 0);
			/* taken for certain if that was said */
			assert_true(after == before + 1 || (rc && !is_over));
			aq_refs_close(refs);
			if (fd >= 0)
				close(fd);
			assert_true(n < CALLS_MAX);
		}
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commits_while_the_disk_fails_once),
		TEST(commits_while_the_disk_is_full),
		TEST(healing_while_the_disk_fails),
#if FAULTS_HAS_MEMORY
		TEST(commits_while_memory_fails),
		TEST(finds_while_memory_fails),
		TEST(healing_while_memory_fails),
#endif
		TEST(a_killed_commit_is_whole_or_nothing),
		TEST(several_write_at_once),
		TEST(several_heal_at_once),
		TEST(references_while_calls_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
