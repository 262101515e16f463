/* SPDX-License-Identifier: Apache-2.0 */
/* builder/shared_store.c */
#include "tests/unit/archives.h"

#include <time.h>

static int count_call(void *arg, struct aq_err *err)
{
	(void)err;
	++*(int *)arg;
	return 0;
}

static void an_archive_is_what_its_name_says(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(16);
	cleanup_close int a = make_here(*state, "a", "x");
	cleanup_close int b = make_here(*state, "b", NULL);
	int calls = 0;
	struct shared_store at_a = { *state, geteuid(), a, NULL, NULL, NULL };
	struct shared_store at_b = { *state, geteuid(), b, NULL, count_call, &calls };
	char path[256];

	assert_int_equal(shared_store_get(&at_b, ARCHIVE, NULL), AQ_MISS);
	assert_int_equal(shared_store_put(&at_b, ARCHIVE, NULL), AQ_MISS);
	assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	assert_int_equal(shared_store_get(&at_b, ARCHIVE, NULL), 0);
	assert_int_equal(aq_read_file(b, ARCHIVE, &text, NULL), 0);
	assert_string_equal(aq_str_get(&text), "x");
	assert_true(calls > 0);
	snprintf(path, sizeof(path), "%s/packages/2d/" ARCHIVE, (char *)*state);
	/* damaged: it goes, nothing is left here, and it can be shared again */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(unlinkat(b, ARCHIVE, 0), 0);
		assert_int_equal(i ? chmod(path, 0666) : truncate(path, 2), 0);
		assert_int_equal(shared_store_get(&at_b, ARCHIVE, NULL),
				 AQ_CORRUPT);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(faccessat(b, ARCHIVE ".copy", F_OK, 0), -1);
		assert_int_equal(faccessat(b, ARCHIVE, F_OK, 0), -1);
		assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
		assert_int_equal(shared_store_get(&at_b, ARCHIVE, NULL), 0);
	}
}

/* Put something with an archive's name there. */
static void put_odd(const char *path, int which)
{
	char below[300];
	int fd;

	switch (which) {
	case 0:
		assert_int_equal(mkfifo(path, 0644), 0);
		break;
	case 1:
		assert_int_equal(symlink("/dev/zero", path), 0);
		break;
	case 2:
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(below, sizeof(below), "%s/below", path);
		assert_int_equal(mkdir(below, 0755), 0);
		break;
	default: /* as large as it says, and nothing in it */
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, (64ll << 30) + 1), 0);
		close(fd);
	}
}

static void what_is_no_archive_goes(void **state)
{
	cleanup_close int a = make_here(*state, "a", "x");
	cleanup_close int b = make_here(*state, "b", NULL);
	int calls = 0;
	struct shared_store at_a = { *state, geteuid(), a, NULL, NULL, NULL };
	struct shared_store at_b = { *state, geteuid(), b, NULL, count_call, &calls };
	char path[256];

	assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	snprintf(path, sizeof(path), "%s/packages/2d/" ARCHIVE, (char *)*state);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(unlink(path), 0);
		put_odd(path, i);
		assert_int_equal(shared_store_get(&at_b, ARCHIVE, NULL),
				 AQ_CORRUPT);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	}
	/* none of it was copied */
	assert_int_equal(calls, 0);
}

static void what_can_be_used_is_tried(void **state)
{
	struct aq_err err = { 0 };
	char path[256];

	assert_int_equal(shared_store_try(*state, geteuid(), &err), 0);
	snprintf(path, sizeof(path), "%s/packages/00", (char *)*state);
	/* nothing is left */
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/packages", (char *)*state);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(shared_store_try(*state, geteuid(), &err), AQ_SYS);
	assert_non_null(strstr(err.text, "'packages' is user"));
}

/* A file there that was last written so many seconds ago. */
static void put_half(const char *top, const char *name, long ago)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/packages/2d/%s", top, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	times[1].tv_sec = time(NULL) - ago;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void what_was_copied_by_half_goes_after_a_day(void **state)
{
	cleanup_close int a = make_here(*state, "a", "x");
	struct shared_store at_a = { *state, geteuid(), a, NULL, NULL, NULL };
	char path[256];

	assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	put_half(*state, "new-1", 25L * 3600);
	put_half(*state, "new-2", 23L * 3600);
	put_half(*state, "other", 25L * 3600);
	snprintf(path, sizeof(path), "%s/packages/2d/" ARCHIVE, (char *)*state);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(shared_store_put(&at_a, ARCHIVE, NULL), 0);
	assert_false(is_there(*state, "new-1"));
	assert_true(is_there(*state, "new-2"));
	assert_true(is_there(*state, "other"));
	assert_true(is_there(*state, ARCHIVE));
}

static void only_what_a_network_brings_is_shared(void **state)
{
	struct aq_lock_item item = { .kind = AQ_LOCK_CONDA, .sha256 = SHA_X };
	static const char *const bad[] = { "file:///c/noarch/a-1-0.conda",
					   "https://h/noarch/a-1-0.zip" };
	char name[SHARED_ARCHIVE_SIZE];

	(void)state;
	item.url = (char[]){ "https://h/noarch/a-1-0.tar.bz2" };
	assert_true(shared_archive_name(&item, name));
	assert_string_equal(name, SHA_X ".tar.bz2");
	item.kind = AQ_LOCK_WHEEL;
	assert_false(shared_archive_name(&item, name));
	item.kind = AQ_LOCK_CONDA;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		item.url = (char *)(uintptr_t)bad[i];
		assert_false(shared_archive_name(&item, name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(an_archive_is_what_its_name_says),
		IN_DIR(what_is_no_archive_goes),
		IN_DIR(what_can_be_used_is_tried),
		IN_DIR(what_was_copied_by_half_goes_after_a_day),
		cmocka_unit_test(only_what_a_network_brings_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
