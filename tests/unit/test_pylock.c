/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "builder/pylock.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "lock-version = \"1.0\"\ncreated-by = \"uv\"\n"
#define PACKAGE(rest) HEAD "\n[[packages]]\nname = \"a\"\nversion = \"1\"\n" rest
#define WHEEL(url) "{ url = \"" url "\", hashes = { sha256 = \"" SHA "\" } }"

static int read_text(const char *text, struct aq_str *lines)
{
	struct aq_err err = { 0 };

	return pylock_read(text, NULL, NULL, lines, &err);
}

static void first_wheel_of_each_package(void **state)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(10000);

	(void)state;
	assert_int_equal(read_text(PACKAGE("wheels = [" WHEEL("https://x/a.whl") "]\n"
				   "\n[[packages]]\nname = \"b\"\nversion = \"2\"\n"
				   "sdist = { url = \"https://x/b.tgz\", hashes = { sha256 = \"00\" } }\n"
				   "wheels = [\n    " WHEEL("https://x/b1.whl") ",\n    "
				   WHEEL("https://x/b2.whl") ",\n]\n"), &lines), 0);
	assert_string_equal(aq_str_get(&lines),
			    "wheel https://x/a.whl " SHA " a 1\n"
			    "wheel https://x/b1.whl " SHA " b 2\n");
}

static void nothing_to_install_is_fine(void **state)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(10000);

	(void)state;
	assert_int_equal(read_text(HEAD, &lines), 0);
	assert_int_equal(lines.len, 0);
}

static void a_package_without_a_wheel_is_the_users_to_mend(void **state)
{
	static const char *const texts[] = {
		PACKAGE("sdist = { url = \"https://x/a.tgz\", hashes = { sha256 = \"00\" } }\n"),
		PACKAGE("wheels = [{ url = \"https://x/a.whl\" }]\n"),
		PACKAGE("wheels = [" WHEEL("https://x/a\\u0020.whl") "]\n"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_str struct aq_str lines = AQ_STR_INIT(10000);

		assert_int_equal(read_text(texts[i], &lines), AQ_USER);
	}
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define VCS "vcs = { type = \"git\", url = \"https://h/p\", "

static void sources_are_what_was_asked_for(void **state)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(4);
	cleanup_str struct aq_str lines = AQ_STR_INIT(10000);
	cleanup_str struct aq_str again = AQ_STR_INIT(10000);
	cleanup_str struct aq_str text = AQ_STR_INIT(10000);
	cleanup_lock struct aq_lock *lock = NULL;
	struct aq_err err = { 0 };
	static const char sdist[] =
		PACKAGE("sdist = { url = \"https://x/a.tgz\", hashes = { sha256 = \"" SHA "\" } }\n");

	(void)state;
	aq_strv_add(&names, "b");
	assert_int_equal(pylock_read(sdist, NULL, &names, &lines, &err), AQ_USER);
	assert_non_null(strstr(err.text, "'--no-binary a'"));
	aq_strv_add(&names, "a");
	assert_int_equal(pylock_read(sdist, NULL, &names, &lines, &err), 0);
	assert_int_equal(pylock_read(PACKAGE(VCS "subdirectory = \"s/t\", commit-id = \"" COMMIT "\" }\n"),
				     NULL, NULL, &lines, &err), 0);
	assert_int_equal(pylock_read(PACKAGE("archive = { path = \"/w/a.whl\", hashes = { sha256 = \"" SHA "\" } }\n"),
				     NULL, NULL, &lines, &err), 0);
	assert_string_equal(aq_str_get(&lines),
			    "source https://x/a.tgz " SHA " a 1\n"
			    "vcs git+https://h/p@" COMMIT "#subdirectory=s/t " COMMIT " a 1\n"
			    "wheel file:///w/a.whl " SHA " a 1\n");
	/* only git's, and only with a commit */
	assert_int_equal(read_text(PACKAGE("vcs = { type = \"hg\", url = \"https://h/p\", commit-id = \"" COMMIT "\" }\n"),
				   &again), AQ_CORRUPT);
	assert_int_equal(read_text(PACKAGE(VCS "}\n"), &again), AQ_CORRUPT);
	/* and as it is installed */
	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_SOURCE, "https://x/a.tgz",
				     SHA, "a", "1", NULL, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_VCS, "git+https://h/p@" COMMIT "#subdirectory=s",
				     COMMIT, "b", "1", NULL, NULL), 0);
	pylock_write(lock, NULL, &text);
	assert_int_equal(pylock_read(aq_str_get(&text), NULL, &names, &again, &err), 0);
	assert_string_equal(aq_str_get(&again),
			    "source https://x/a.tgz " SHA " a 1\n"
			    "vcs git+https://h/p@" COMMIT "#subdirectory=s " COMMIT " b 1\n");
}

static void what_is_no_pylock_is_said_to_be_none(void **state)
{
	static const char *const texts[] = {
		"", "error", HEAD "\n[[packages]]\nversion = \"1\"\n",
		HEAD "\n[[packages]]\nname = \"a", HEAD "\n[[packages]]\nname = \"a\"\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_str struct aq_str lines = AQ_STR_INIT(10000);

		assert_int_equal(read_text(texts[i], &lines), AQ_CORRUPT);
	}
}

static void what_is_written_reads_the_same(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(10000);
	cleanup_str struct aq_str lines = AQ_STR_INIT(10000);
	cleanup_lock struct aq_lock *lock = NULL;

	(void)state;
	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_WHEEL, "https://x/a.whl",
				     SHA, "a", "1", NULL, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_CONDA, "https://x/c.conda",
				     SHA, "c", "1", "0", NULL), 0);
	pylock_write(lock, NULL, &text);
	assert_int_equal(read_text(aq_str_get(&text), &lines), 0);
	assert_string_equal(aq_str_get(&lines),
			    "wheel https://x/a.whl " SHA " a 1\n");
}

static bool find_file(const struct aq_lock_item *wheel,
		      char path[PYLOCK_PATH_SIZE], char name[PYLOCK_NAME_SIZE],
		      const void *arg)
{
	snprintf(path, PYLOCK_PATH_SIZE, "/here/%s", wheel->name);
	snprintf(name, PYLOCK_NAME_SIZE, "%s-1-py3-none-any.whl", wheel->name);
	return strcmp(wheel->name, arg) == 0;
}

static void wheels_that_are_here_are_taken_from_there(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(10000);
	cleanup_lock struct aq_lock *lock = NULL;
	const struct pylock_files files = { find_file, "a" };

	(void)state;
	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_WHEEL, "https://x/a.whl",
				     SHA, "a", "1", NULL, NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_WHEEL, "https://x/b.whl",
				     SHA, "b", "1", NULL, NULL), 0);
	pylock_write(lock, &files, &text);
	assert_non_null(strstr(aq_str_get(&text), "wheels = [{ name = \"a-1-py3-none-any.whl\", path = \"/here/a\", hashes = { sha256 = \"" SHA "\" } }]"));
	assert_null(strstr(aq_str_get(&text), "https://x/a.whl"));
	assert_non_null(strstr(aq_str_get(&text), "url = \"https://x/b.whl\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_wheel_of_each_package),
		cmocka_unit_test(nothing_to_install_is_fine),
		cmocka_unit_test(a_package_without_a_wheel_is_the_users_to_mend),
		cmocka_unit_test(sources_are_what_was_asked_for),
		cmocka_unit_test(what_is_no_pylock_is_said_to_be_none),
		cmocka_unit_test(what_is_written_reads_the_same),
		cmocka_unit_test(wheels_that_are_here_are_taken_from_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
