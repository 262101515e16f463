/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/manifest.h"
#include "tests/unit/cachedir.h"

static const char *const files[] = { "manifest", "lock", "request", "context",
				     "activation" };

static int read_it(const struct aq_conf *conf, const char *name,
		   struct aq_manifest **ret)
{
	return aq_manifest_read(conf, name, ret, NULL);
}

static char *file_of(const struct aq_conf *conf, const struct sample *s,
		     const char *file)
{
	cleanup_free char *meta = path_below(conf->cache_dir, "meta");
	cleanup_free char *dir = path_below(meta, s->env.name);

	return path_below(dir, file);
}

static void must_write(const struct aq_conf *conf, const struct sample *s)
{
	struct aq_err err = { 0 };

	if (aq_manifest_write(conf, &s->env, &s->tie, s->lock, &err) != 0)
		fail_msg("%s", err.text);
}

static void what_is_written_reads_back(void **state)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	struct sample *s = sample(1, 3);

	s->env.kind = AQ_ENV_INHERITED;
	snprintf(s->env.base, sizeof(s->env.base), "0123456789abcdef0123-1");
	must_write(*state, s);
	assert_int_equal(read_it(*state, s->env.name, &m), 0);
	assert_string_equal(m->env->name, s->env.name);
	assert_string_equal(m->env->lock, s->env.lock);
	assert_int_equal(m->env->generation, 3);
	assert_int_equal(m->env->kind, AQ_ENV_INHERITED);
	assert_string_equal(m->env->base, "0123456789abcdef0123-1");
	assert_string_equal(m->env->python, "3.12.1");
	assert_int_equal(m->env->created, s->env.created);
	assert_int_equal(m->env->last_used, s->env.created);
	assert_int_equal(m->env->build_ms, 7);
	assert_int_equal(m->env->size_own, 11);
	assert_int_equal(m->env->size_shared, 13);
	assert_int_equal(m->env->uid, 1001);
	assert_int_equal(m->env->ops_len, s->env.ops_len);
	assert_memory_equal(m->env->ops, s->env.ops, s->env.ops_len);
	assert_string_equal(m->key, s->key);
	assert_string_equal(m->digest, s->digest);
	assert_string_equal(m->context, s->tie.context);
	assert_string_equal(m->canonical, s->canonical);
	assert_string_equal(m->lock->text, s->lock->text);
	sample_free(s);
}

static void an_environment_may_change_nothing(void **state)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	struct sample *s = sample(1, 1);

	s->env.ops = NULL;
	s->env.ops_len = 0;
	s->env.python[0] = '\0';
	must_write(*state, s);
	assert_int_equal(read_it(*state, s->env.name, &m), 0);
	assert_int_equal(m->env->ops_len, 0);
	assert_string_equal(m->env->python, "");
	sample_free(s);
}

static void manifests_are_roots_alone(void **state)
{
	struct sample *s = sample(1, 1);
	cleanup_free char *dir = file_of(*state, s, ".");
	mode_t old = umask(0);

	must_write(*state, s);
	umask(old);
	assert_int_equal(mode_of(dir), 0700);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		cleanup_free char *path = file_of(*state, s, files[i]);

		assert_int_equal(mode_of(path), 0600);
	}
	sample_free(s);
}

static void leftovers_are_replaced_and_removed(void **state)
{
	struct sample *s = sample(1, 1);
	struct aq_manifest *m = NULL;
	cleanup_free char *junk = NULL;

	must_write(*state, s);
	junk = file_of(*state, s, "junk");
	scribble(junk, 0, "x", 1);
	must_write(*state, s);
	assert_int_not_equal(access(junk, F_OK), 0);
	assert_int_equal(aq_manifest_remove(*state, s->env.name, NULL), 0);
	assert_int_equal(aq_manifest_remove(*state, s->env.name, NULL), 0);
	assert_int_equal(read_it(*state, s->env.name, &m), AQ_MISS);
	assert_null(m);
	sample_free(s);
}

static void other_names_are_refused(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "../envs", "x", "0123456789abcdef0123",
		"0123456789abcdef0123-", "0123456789abcdef0123-x",
		"0123456789ABCDEF0123-1", "0123456789abcdef0123-1/..",
		"0123456789abcdef01234-1", "/0123456789abcdef012-1",
	};
	struct sample *s = sample(1, 1);
	struct aq_manifest *m = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(read_it(*state, names[i], &m), AQ_MISS);
		assert_int_equal(aq_manifest_remove(*state, names[i], NULL),
				 AQ_SYS);
		snprintf(s->env.name, sizeof(s->env.name), "%s", names[i]);
		assert_int_equal(aq_manifest_write(*state, &s->env, &s->tie,
						   s->lock, NULL), AQ_SYS);
	}
	assert_null(m);
	sample_free(s);
}

/* -- damage -- */

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void expect_corrupt(const struct aq_conf *conf, const struct sample *s,
			   const char *what, long at)
{
	struct aq_manifest *m = NULL;

	if (read_it(conf, s->env.name, &m) != AQ_CORRUPT)
		fail_msg("%s damaged at %ld was taken", what, at);
	assert_null(m);
}

static void every_flipped_bit_is_found(void **state)
{
	struct sample *s = sample(1, 1);

	must_write(*state, s);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		cleanup_free char *path = file_of(*state, s, files[i]);
		off_t size = size_of(path);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		assert_true(size > 0);
		for (off_t at = 0; at < size; at++) {
			char c, d;

			assert_int_equal(pread(fd, &c, 1, at), 1);
			d = (char)(c ^ 1 << at % 8);
			scribble(path, at, &d, 1);
			expect_corrupt(*state, s, files[i], at);
			scribble(path, at, &c, 1);
		}
		close(fd);
	}
	sample_free(s);
}

static void cut_long_and_absent_files_are_found(void **state)
{
	struct sample *s = sample(1, 1);

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		cleanup_free char *path = file_of(*state, s, files[i]);
		off_t size;

		must_write(*state, s);
		size = size_of(path);
		scribble(path, size, "\n", 1);
		expect_corrupt(*state, s, files[i], size);
		for (off_t at = 0; at < size; at++) {
			assert_int_equal(truncate(path, at), 0);
			expect_corrupt(*state, s, files[i], at);
		}
		assert_int_equal(truncate(path, 8 * 1024 * 1024), 0);
		expect_corrupt(*state, s, files[i], -1);
		assert_int_equal(unlink(path), 0);
		expect_corrupt(*state, s, files[i], -2);
	}
	sample_free(s);
}

/* All files whole, but not of one environment. */
static void mixed_files_are_found(void **state)
{
	struct sample *s = sample(1, 1), *t = sample(2, 1);

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		cleanup_free char *a = file_of(*state, t, files[i]);
		cleanup_free char *b = file_of(*state, s, files[i]);

		must_write(*state, s);
		must_write(*state, t);
		if (strcmp(files[i], "context") == 0)
			continue; /* theirs is the same */
		assert_int_equal(rename(a, b), 0);
		expect_corrupt(*state, s, files[i], 0);
	}
	sample_free(s);
	sample_free(t);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_reads_back),
		TEST(an_environment_may_change_nothing),
		TEST(manifests_are_roots_alone),
		TEST(leftovers_are_replaced_and_removed),
		TEST(other_names_are_refused),
		TEST(every_flipped_bit_is_found),
		TEST(cut_long_and_absent_files_are_found),
		TEST(mixed_files_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
