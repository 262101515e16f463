/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a root hook from crashing, hanging or growing with its work. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/worker.h"

/* A deadline that work which ends does not meet, and one that is met, in
 * milliseconds.
 */
#define LONG_MS 60000
#define SHORT_MS 50

static struct aq_err err;

static int run(int (*fn)(void *arg, struct aq_err *err), void *arg,
	       int deadline_ms)
{
	aq_err_clear(&err);
	return aq_worker_run(fn, arg, deadline_ms, -1, &err);
}

static int say(void *arg, struct aq_err *why)
{
	return aq_fail(why, *(enum aq_class *)arg, "said by a child");
}

static void class_and_text_come_back(void **state)
{
	enum aq_class classes[] = { AQ_OK, AQ_MISS, AQ_BUSY, AQ_USER, AQ_SYS };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		assert_int_equal(run(say, &classes[i], LONG_MS), classes[i]);
		assert_string_equal(err.text, "said by a child");
	}
}

static int die(void *arg, struct aq_err *why)
{
	(void)why;
	raise(*(int *)arg);
	_exit(0); /* without a report */
}

static void a_crash_is_an_error(void **state)
{
	int signals[] = { SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGWINCH };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		assert_int_equal(run(die, &signals[i], LONG_MS), AQ_SYS);
		assert_non_null(strstr(err.text, "the work ended"));
		assert_int_not_equal(err.errnum, ETIMEDOUT);
	}
}

static int hang(void *arg, struct aq_err *why)
{
	(void)why;
	*(volatile pid_t *)arg = getpid();
	while (pause() < 0)
		;
	return 0;
}

static void a_hang_ends_with_the_deadline(void **state)
{
	volatile pid_t *pid = mmap(NULL, sizeof(*pid), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(pid, MAP_FAILED);
	assert_int_equal(run(hang, (void *)pid, SHORT_MS), AQ_SYS);
	assert_int_equal(err.errnum, ETIMEDOUT);
	assert_int_equal(kill(*pid, 0), -1); /* dead and reaped */
	munmap((void *)pid, sizeof(*pid));
}

/* Maps, and touches nothing of it. */
static int grow(void *arg, struct aq_err *why)
{
	long got = 0, step = 1024L * 1024;

	(void)arg;
	while (got < 4 * AQ_WORKER_MEMORY_MAX &&
	       mmap(NULL, (size_t)step, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		got += step;
	return aq_fail(why, AQ_OK, "%ld", got);
}

static void memory_is_bounded(void **state)
{
	long got;

	(void)state;
	assert_int_equal(run(grow, NULL, LONG_MS), AQ_OK);
	got = strtol(err.text, NULL, 10);
	assert_in_range(got, AQ_WORKER_MEMORY_MAX / 2, AQ_WORKER_MEMORY_MAX);
}

static int say_limit(void *arg, struct aq_err *why)
{
	struct rlimit limit = { 0 };

	if (arg)
		aq_worker_lift_bound();
	getrlimit(RLIMIT_AS, &limit);
	return aq_fail(why, AQ_OK, "%llu %llu",
		       (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
}

static void what_it_starts_may_have_more(void **state)
{
	struct rlimit limit;
	char ours[64];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
	snprintf(ours, sizeof(ours), "%llu %llu",
		 (unsigned long long)limit.rlim_cur,
		 (unsigned long long)limit.rlim_max);
	assert_int_equal(run(say_limit, NULL, LONG_MS), 0);
	assert_string_not_equal(err.text, ours);
	assert_int_equal(run(say_limit, ours, LONG_MS), 0);
	assert_string_equal(err.text, ours);
}

/* All that is heard of it is what it returns. */
static int flood(void *arg, struct aq_err *why)
{
	static const char text[4096] = "flood";

	(void)arg;
	for (int i = 0; i < 1024; i++)
		for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
			if (write(fd, text, sizeof(text)) < 0)
				return aq_fail_errno(why, "cannot write");
	return 0;
}

static void a_flood_of_output_reaches_nobody(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO);
	char c;

	(void)state;
	/* a pipe that nobody reads: who writes to it waits */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	assert_int_equal(run(flood, NULL, LONG_MS), 0);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_and_text_come_back),
		cmocka_unit_test(a_crash_is_an_error),
		cmocka_unit_test(a_hang_ends_with_the_deadline),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(what_it_starts_may_have_more),
		cmocka_unit_test(a_flood_of_output_reaches_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
