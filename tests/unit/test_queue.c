/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a turn: who no job waits for leaves the queue. */
#include "tests/unit/unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/queue.h"
#include "builder/room.h"
#include "common/job.h"
#include "tests/unit/cachedir.h"

#define SECONDS 20 /* that nothing here may take: it would wait for ever */

/* -- what turn.c has of the rest of a builder -- */

void say(struct build *b, const char *fmt, ...)
{
	(void)b;
	(void)fmt;
}

void say_others(struct build *b, size_t *at)
{
	(void)b;
	(void)at;
}

bool room_is_crossed(struct build *b)
{
	(void)b;
	return false;
}

/* -- builders -- */

static struct build builder(struct aq_conf *conf, char digit)
{
	struct build b = { .conf = conf, .shared = conf, .uid = 1001,
			   .ticket_fd = -1, .alive_fd = -1 };

	memset(b.key, digit, sizeof(b.key) - 1);
	return b;
}

static void prefetch_ends_with_its_job(void **state)
{
	struct aq_conf *conf = *state;
	struct build builds = builder(conf, 'a'), early = builder(conf, 'b');
	struct build next = builder(conf, 'c');
	struct aq_err err = { 0 };

	conf->max_builds = 1;
	assert_int_equal(queue_wait(&builds, &err), 0);
	early.prefetch = 7;
	alarm(SECONDS);
	/* its job's epilog has come, and its turn has not */
	assert_int_equal(queue_wait(&early, &err), AQ_BUSY);
	queue_leave(&early);
	queue_leave(&builds);
	/* while there is the job it has its turn as everybody */
	next.prefetch = 8;
	assert_int_equal(aq_job_mark(conf, 8, &err), 0);
	assert_int_equal(queue_wait(&next, &err), 0);
	queue_leave(&next);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prefetch_ends_with_its_job,
						cachedir_setup,
						cachedir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
