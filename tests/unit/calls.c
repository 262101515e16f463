/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"

/* More than a life makes; a pass without a fault ends it. */
#define CALLS_MAX 20000

static int count_entry(const char *name, void *arg, struct aq_err *err)
{
	(void)name;
	(void)err;
	++*(unsigned int *)arg;
	return 0;
}

unsigned int calls_entries(const char *dir, const char *name)
{
	cleanup_free char *path = path_below(dir, name);
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int n = 0;

	assert_true(fd >= 0);
	assert_int_equal(aq_each_entry(fd, name, count_entry, &n, NULL), 0);
	return n;
}

/* The first part that failed, or NULL. */
static const char *live(const struct calls_life *life, void *arg,
			struct aq_err *err)
{
	const char *failed = NULL;

	for (size_t i = 0; i < life->n; i++) {
		int rc = life->parts[i].fn(arg, err);

		assert_in_range(rc, AQ_OK, AQ_CORRUPT);
		if (rc && !failed)
			failed = life->parts[i].name;
	}
	return failed;
}

static void expect_whole(const struct calls_life *life, void *arg,
			 enum fault_kind kind, unsigned int at)
{
	static struct aq_err err;
	const char *failed;

	if (life->begin)
		life->begin(arg);
	failed = live(life, arg, &err);
	if (failed)
		fail_msg("kind %d, call %u, then %s: %s", (int)kind, at, failed,
			 err.text);
	if (life->check)
		life->check(arg);
}

/* False: it made fewer calls than that. */
static bool live_with(const struct calls_life *life, void *arg,
		      enum fault_kind kind, unsigned int at)
{
	static struct aq_err err;

	if (life->begin)
		life->begin(arg);
	faults_arm(kind, at, false);
	live(life, arg, &err);
	return faults_disarm();
}

void calls_each_fails(const struct calls_life *life, void *arg,
		      enum fault_kind kind, unsigned int stride)
{
	unsigned int fds, i = 1;
	bool has_failed = true;

	expect_whole(life, arg, kind, 0);
	fds = calls_entries("/proc/self", "fd");
	for (; has_failed; i += stride) {
		has_failed = live_with(life, arg, kind, i);
		expect_whole(life, arg, kind, i);
		if (calls_entries("/proc/self", "fd") != fds)
			fail_msg("kind %d, call %u: a descriptor stays open",
				 (int)kind, i);
		assert_true(i < CALLS_MAX);
	}
}

/* 'memory': the stride of those that ask for it. */
static void all_fail(const struct calls_life *life, void *arg,
		     unsigned int stride, unsigned int memory)
{
	static const enum fault_kind kinds[] = { FAULT_DISK, FAULT_OPEN,
						 FAULT_READ, FAULT_LOCK,
						 FAULT_LOOK };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		calls_each_fails(life, arg, kinds[i], stride);
	if (FAULTS_HAS_MEMORY)
		calls_each_fails(life, arg, FAULT_MEMORY, memory);
}

void calls_all_fail(const struct calls_life *life, void *arg)
{
	unsigned int stride = (unsigned int)count_of("AQ_COUNT_CALLS_STRIDE",
						     CALLS_STRIDE);

	all_fail(life, arg, stride < CALLS_FEWER ? 1 : stride / CALLS_FEWER,
		 stride);
}

void calls_every_one_fails(const struct calls_life *life, void *arg)
{
	all_fail(life, arg, 1, 1);
}
