/* SPDX-License-Identifier: Apache-2.0 */
/* builder/parts.c: what a build says of its time. */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "builder/parts.h"
#include "common/clock.h"

#define SECOND INT64_C(1000000)

static void expect(struct parts *parts, const char *expected)
{
	char text[1024] = "";
	int fd = memfd_create("parts", MFD_CLOEXEC);

	assert_true(fd >= 0);
	parts_write(parts, fd);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
	assert_string_equal(text, expected);
	close(fd);
}

/* Times that a test could not take, since it must not wait for them. */
static void says_parts_and_programs(void **state)
{
	struct parts parts = { 0 };

	(void)state;
	parts_begin(&parts, PART_RESOLVE);
	parts_add_program(&parts, 3 * SECOND);
	parts_begin(&parts, PART_SEAL);
	parts.us[PART_RESOLVE] = 4 * SECOND;
	parts.us[PART_SEAL] = SECOND / 2;
	parts.since_us = aq_now_us();
	expect(&parts, "took 4500 ms, 1500 ms of it aq-builder: "
		       "resolve 4000 ms (3000 ms in programs), seal 500 ms\n");
}

static void a_part_that_comes_again_is_one(void **state)
{
	struct parts parts = { 0 };

	(void)state;
	parts_begin(&parts, PART_LINK);
	parts.since_us -= 2 * SECOND;
	parts_begin(&parts, PART_COMMIT);
	parts.since_us -= SECOND;
	parts_begin(&parts, PART_LINK);
	parts.since_us -= 2 * SECOND;
	parts_begin(&parts, PART_COMMIT);
	assert_in_range(parts.us[PART_LINK], 4 * SECOND, 5 * SECOND);
	assert_in_range(parts.us[PART_COMMIT], SECOND, 2 * SECOND);
}

static void says_nothing_of_nothing(void **state)
{
	struct parts parts = { 0 };

	(void)state;
	expect(&parts, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_parts_and_programs),
		cmocka_unit_test(a_part_that_comes_again_is_one),
		cmocka_unit_test(says_nothing_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
