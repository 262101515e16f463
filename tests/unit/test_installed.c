/* SPDX-License-Identifier: Apache-2.0 */
/* Root may look at what somebody else wrote: what is no file is not opened. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/installed.h"
#include "common/reqfile.h"
#include "common/request.h"

static char dir[] = "/tmp/aq-test-installed-XXXXXX";
static char fifo[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(fifo, sizeof(fifo), "%s/METADATA", dir);
	return mkfifo(fifo, 0600);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(fifo) < 0 || rmdir(dir) < 0;
}

static int watch(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(inotify_add_watch(fd, fifo, IN_OPEN) >= 0);
	return fd;
}

static void assert_not_opened(int watched)
{
	char event[256];

	assert_true(read(watched, event, sizeof(event)) < 0);
}

static void metadata_that_is_no_file_is_not_opened(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(16);
	cleanup_close int watched = watch();
	cleanup_close int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct aq_err err = { 0 };

	(void)state;
	assert_int_equal(installed_read_file(at, "METADATA", &out, &err), AQ_SYS);
	assert_string_equal(err.text, "'METADATA' is no regular file");
	assert_int_equal(installed_read_file(at, "absent", &out, &err), AQ_MISS);
	assert_not_opened(watched);
}

static void include_that_is_no_file_is_not_opened(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(16);
	cleanup_close int watched = watch();
	struct aq_file_budget budget = { .bytes = AQ_REQUEST_FILE_MAX };
	struct aq_err err = { 0 };

	(void)state;
	assert_int_equal(aq_file_read(fifo, true, &budget, &out, NULL, &err),
			 AQ_USER);
	assert_string_equal(err.text, "is not a regular file");
	assert_not_opened(watched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_that_is_no_file_is_not_opened),
		cmocka_unit_test(include_that_is_no_file_is_not_opened),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
