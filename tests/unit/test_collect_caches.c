/* SPDX-License-Identifier: Apache-2.0 */
/* common/collect_caches.c, collect_wheels.c: what goes from the caches below work/. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/collect_inside.h"
#include "common/collect.h"
#include "common/flock.h"
#include "common/io.h"
#include "tests/unit/cachedir.h"

#define MIB (1024 * 1024)
#define INDEX_MIB 512 /* INDEX_MAX */

static void make_dir(const struct aq_conf *conf, const char *sub)
{
	cleanup_free char *path = path_below(conf->cache_dir, sub);

	if (mkdir(path, 0755) < 0)
		assert_int_equal(errno, EEXIST);
}

/* A file 'name' of so many bytes, which are not written. */
static void make_file(const struct aq_conf *conf, const char *name, off_t size)
{
	cleanup_free char *path = path_below(conf->cache_dir, name);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, size), 0);
}

/* A directory 'sub' of the cache with so many bytes in it. */
static void add_dir(const struct aq_conf *conf, const char *sub, off_t size)
{
	char name[256];

	make_dir(conf, sub);
	snprintf(name, sizeof(name), "%s/f", sub);
	make_file(conf, name, size);
}

static bool is_there(const struct aq_conf *conf, const char *name)
{
	cleanup_free char *path = path_below(conf->cache_dir, name);

	return access(path, F_OK) == 0;
}

static uint64_t collect(const struct aq_conf *conf)
{
	uint64_t dry = 0, bytes = 0;

	assert_int_equal(aq_collect_caches(conf, true, &dry, NULL), 0);
	assert_int_equal(aq_collect_caches(conf, false, &bytes, NULL), 0);
	assert_true(bytes >= dry); /* what shares files goes first */
	return bytes;
}

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define ENV_A "aaaaaaaaaaaaaaaaaaaa-1"
#define ENV_B "bbbbbbbbbbbbbbbbbbbb-1"
#define ENV_C "cccccccccccccccccccc-1" /* there is none of that name */

static void what_killed_builders_left_goes(void **state)
{
	static const char *const dirs[] = {
		"work/pkgs", "work/wheels", "work/pass", "work/probe",
		"work/envs", "work/stubs", "work/bare", "work/known",
		"envs/" ENV_A, "envs/" ENV_B,
	};
	static const char *const gone[] = {
		"work/tmp/x", "work/wheels/.tmpA", "work/pkgs/.tmpB",
		"work/wheels/git-v2", "work/wheels/sdists-v11", "work/tmp/bytecode",
		"work/pass/" SHA_A, "work/probe/" SHA_A, "work/envs/" ENV_B,
		"work/envs/" ENV_C, "work/envs/solve-x", "work/stubs/solve-x",
		"work/stubs/" ENV_B ".new", "work/stubs/" ENV_C, "work/bare/" ENV_C,
	};
	static const char *const kept[] = {
		"work/pass/bytecode", "work/probe/bytecode", "work/stubs/" ENV_A,
		"work/bare/" ENV_A,
		"work/wheels/simple-v28", "work/known/x",
	};
	struct aq_conf *conf = *state;
	cleanup_close int builds = -1;
	uint64_t bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		make_dir(conf, dirs[i]);
	add_dir(conf, "work/tmp", MIB);
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		add_dir(conf, gone[i], MIB);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		add_dir(conf, kept[i], MIB);
	make_dir(conf, "work/envs/" ENV_A); /* where it is mounted */
	make_dir(conf, "work/envs/dddddddddddddddddddd-1");
	make_file(conf, "work/pkgs/lone-1.0-0.lock", 1);
	make_file(conf, "work/wheels/f", MIB); /* uv's own */
	assert_int_equal(aq_flock_try(conf, AQ_FLOCK_CACHES, AQ_FLOCK_SHARED,
				      &builds, NULL), 0);
	assert_int_equal(aq_collect_caches(conf, false, &bytes, NULL), 0);
	assert_int_equal(bytes, 0); /* it may be at work */
	aq_close_fd(&builds);
	assert_true(collect(conf) >= (ARRAY_LEN(gone) + 1) * MIB);
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		if (is_there(conf, gone[i]))
			fail_msg("%s is there", gone[i]);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (!is_there(conf, kept[i]))
			fail_msg("%s has gone", kept[i]);
	assert_true(is_there(conf, "work/envs/" ENV_A));
	assert_false(is_there(conf, "work/envs/dddddddddddddddddddd-1"));
	assert_false(is_there(conf, "work/pkgs/lone-1.0-0.lock"));
	assert_true(is_there(conf, "work/wheels/f"));
}

/* A builder's programs can put one where a place is expected. */
static void a_link_for_a_place_is_followed_by_nobody(void **state)
{
	struct aq_conf *conf = *state;
	cleanup_free char *link = path_below(conf->cache_dir, "work/envs/" ENV_A);
	cleanup_free char *to = path_below(conf->cache_dir, "envs/" ENV_A);

	make_dir(conf, "work/envs");
	add_dir(conf, "envs/" ENV_A, MIB);
	assert_int_equal(symlink(to, link), 0);
	(void)collect(conf);
	assert_false(is_there(conf, "work/envs/" ENV_A));
	assert_true(is_there(conf, "envs/" ENV_A "/f"));
}

/* Of a killed builder's, which go first. */
static void packages_of_what_was_half_built_go(void **state)
{
	struct aq_conf *conf = *state;
	cleanup_free char *package = path_below(conf->cache_dir, "work/pkgs/p-1-0/f");
	cleanup_free char *half = path_below(conf->cache_dir, "work/envs/" ENV_C "/f");

	make_dir(conf, "work/envs");
	make_dir(conf, "work/envs/" ENV_C);
	make_dir(conf, "work/pkgs");
	add_dir(conf, "work/pkgs/p-1-0", MIB);
	make_dir(conf, "work/pkgs/p-1-0/info");
	assert_int_equal(link(package, half), 0);
	assert_true(collect(conf) >= MIB);
	assert_false(is_there(conf, "work/pkgs/p-1-0"));
}

static void an_index_may_not_grow_for_ever(void **state)
{
	static const char *const sizes[] = { "work/wheels/simple-v28",
					     "work/wheels/wheels-v8",
					     "work/wheels/pip", "work/known/x" };
	struct aq_conf *conf = *state;

	make_dir(conf, "work/wheels");
	make_dir(conf, "work/known");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		add_dir(conf, sizes[i], (off_t)(INDEX_MIB - 1) * MIB);
		assert_int_equal(collect(conf), 0);
		add_dir(conf, sizes[i], (off_t)(INDEX_MIB + 1) * MIB);
		assert_true(collect(conf) > (uint64_t)INDEX_MIB * MIB);
		assert_false(is_there(conf, sizes[i]));
	}
}

/* What uv unpacked of a wheel it knows by the file's time, so the file stays with it. */
static void a_wheel_stays_as_long_as_it_is_pointed_to(void **state)
{
	static const struct {
		const char *name;
		bool stays;
	} files[] = {
		{ SHA_A ".whl", true }, { SHA_B ".whl", false }, { "half", false },
		{ SHA_A ".whl.0123456789abcdef", false }, /* half, too */
	};
	static const char pointer[] = "\x92 half @" SHA_A "\xa1";
	struct aq_conf *conf = *state;
	cleanup_free char *from = path_below(conf->cache_dir,
					     "work/wheels/wheels-v8/x.rev");
	uint64_t bytes;
	char name[256];

	make_dir(conf, "work/wheels");
	make_dir(conf, "work/wheels/files");
	make_dir(conf, "work/wheels/wheels-v8");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "work/wheels/files/%s",
			 files[i].name);
		make_file(conf, name, MIB);
	}
	assert_int_equal(aq_write_file(AT_FDCWD, from, pointer, strlen(pointer),
				       NULL), 0);
	bytes = collect(conf);
	assert_true(bytes >= 3 * MIB && bytes < 5 * MIB);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "work/wheels/files/%s",
			 files[i].name);
		assert_int_equal(is_there(conf, name), files[i].stays);
	}
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_killed_builders_left_goes),
		TEST(a_link_for_a_place_is_followed_by_nobody),
		TEST(packages_of_what_was_half_built_go),
		TEST(an_index_may_not_grow_for_ever),
		TEST(a_wheel_stays_as_long_as_it_is_pointed_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
