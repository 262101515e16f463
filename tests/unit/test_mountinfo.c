/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/mount.h>

#include "builder/mountinfo.h"

static void check(const char *text, const char *path, unsigned long flags)
{
	char line[256];
	const char *is_path = NULL;
	unsigned long is_flags = 0;

	snprintf(line, sizeof(line), "%s", text);
	assert_true(mountinfo_read_line(line, &is_path, &is_flags));
	assert_string_equal(is_path, path);
	assert_int_equal(is_flags, flags);
}

static void what_a_remount_must_say_again(void **state)
{
	(void)state;
	check("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n",
	      "/mnt2", MS_NOATIME);
	check("21 1 0:20 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n",
	      "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME);
	check("21 1 0:20 / / ro,nodiratime", "/", MS_NODIRATIME);
	/* a part of a word is no word */
	check("21 1 0:20 / / rw,nodevs,xnosuid,noexe - a b c", "/", 0);
}

static void places_are_as_they_were_named(void **state)
{
	(void)state;
	check("1 2 0:1 / /a\\040b\\011c\\134d rw", "/a b\tc\\d", 0);
	check("1 2 0:1 / /a\\04 rw", "/a\\04", 0);
	check("1 2 0:1 / /a\\ rw", "/a\\", 0);
}

static void what_is_no_line(void **state)
{
	char lines[][32] = { "", "\n", "1 2 0:1 / /a", "1 2 0:1 / /a\n" };
	const char *path;
	unsigned long flags;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_false(mountinfo_read_line(lines[i], &path, &flags));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_remount_must_say_again),
		cmocka_unit_test(places_are_as_they_were_named),
		cmocka_unit_test(what_is_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
