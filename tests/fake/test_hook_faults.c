/* SPDX-License-Identifier: Apache-2.0 */
/* The root hooks of a job while each call of the C library, of theirs, of libaq and of
 * SQLite, fails once, in whichever of their processes it is made: Slurm sees no
 * failure, the program runs in its environment or is told why not, and the next
 * job finds everything as it should be.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake/jobs.h"
#include "tests/unit/faults.h"

/* Every so many calls one fails (AQ_COUNT_FAULT_HOOKS); of allocations, which are
 * many, one in so many times that.  With a sanitizer a fork takes twenty times as
 * long, and other tests see to completeness.
 */
#define STEP 5
#define MEMORY_TIMES 13
#ifdef __SANITIZE_ADDRESS__
#define SLOWER 8
#else
#define SLOWER 1
#endif

static struct faults *plan;

static void around(bool is_before)
{
	faults_pause(!is_before);
}

static void begin(const char *plugstack, uint32_t job)
{
	fake_new();
	fake->plugstack = plugstack;
	fake->job = job;
}

static const char *where(enum fault_kind kind, unsigned long n)
{
	static char text[64];

	snprintf(text, sizeof(text), "kind %d, call %lu", (int)kind, n);
	return text;
}

/* A job, one call of whose hooks fails.  Returns whether one did. */
static bool run_with(enum fault_kind kind, unsigned long n)
{
	bool has_happened;

	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	*plan = (struct faults){ .kind = kind, .n = n };
	fake_prolog();
	fake_step();
	fake_epilog();
	has_happened = plan->has_happened;
	*plan = (struct faults){ .n = 0 };
	if (fake->n_bad_returns || fake->n_signals)
		fail_msg("%s: %d hooks failed, %d died", where(kind, n),
			 fake->n_bad_returns, fake->n_signals);
	if (fake->task[0].ran && !task_env(0, "WHICH"))
		fail_msg("%s: the program ran without its environment",
			 where(kind, n));
	if (!fake->task[0].ran &&
	    (fake->task[0].status != RIM_EXIT || !strstr(fake_stderr(), "aq: ")))
		fail_msg("%s: exit %d, '%s'", where(kind, n),
			 fake->task[0].status, fake_stderr());
	return has_happened;
}

/* An epilog that failed may have left the mark, as one that never came: who asks
 * Slurm forgets it.
 */
static void forget_mark(uint32_t job)
{
	char mark[64];

	snprintf(mark, sizeof(mark), "run/jobs/%u.n1", job);
	(void)unlink(mark);
}

static unsigned long step_of(enum fault_kind kind)
{
	const char *count = getenv("AQ_COUNT_FAULT_HOOKS");
	unsigned long step = count ? strtoul(count, NULL, 10) : STEP;

	return step * SLOWER * (kind == FAULT_MEMORY ? MEMORY_TIMES : 1);
}

static void fail_each(enum fault_kind kind, bool is_miss)
{
	const char *plugstack = fake->plugstack;
	unsigned long n, step = step_of(kind);
	uint32_t job = fake->job;

	if (!is_miss)
		run_job("a.yaml");
	for (n = 1;; n += step) {
		bool has_happened;

		if (is_miss)
			node_forget();
		begin(plugstack, ++job);
		has_happened = run_with(kind, n);
		forget_mark(job);
		begin(plugstack, ++job);
		run_job("a.yaml");
		if (!fake->task[0].ran || node_references() != 0)
			fail_msg("%s: the next job: '%s', %d references",
				 where(kind, n), fake_stderr(),
				 (int)node_references());
		if (!has_happened)
			break;
	}
	print_message("# %s: of %lu calls of kind %d every %lu. failed once\n",
		      is_miss ? "miss" : "hit", n, (int)kind, step);
}

static void fail_both(enum fault_kind kind)
{
	fail_each(kind, false);
	fail_each(kind, true);
}

static void memory_runs_out(void **state)
{
	(void)state;
	if (FAULTS_HAS_MEMORY)
		fail_both(FAULT_MEMORY);
}

static void the_disk_fails(void **state)
{
	(void)state;
	fail_both(FAULT_DISK);
}

static void who_writes_is_killed(void **state)
{
	(void)state;
	fail_both(FAULT_KILL);
}

static void descriptors_run_out(void **state)
{
	(void)state;
	fail_both(FAULT_OPEN);
}

static void reading_fails(void **state)
{
	(void)state;
	fail_both(FAULT_READ);
}

static void locks_fail(void **state)
{
	(void)state;
	fail_both(FAULT_LOCK);
}

static void forking_fails(void **state)
{
	(void)state;
	fail_both(FAULT_FORK);
}

static void rights_are_refused(void **state)
{
	(void)state;
	fail_both(FAULT_RIGHTS);
}

static void signals_come(void **state)
{
	(void)state;
	fail_both(FAULT_SIGNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_runs_out),	 TEST(the_disk_fails),
		TEST(who_writes_is_killed), TEST(descriptors_run_out),
		TEST(reading_fails),	 TEST(locks_fail),
		TEST(forking_fails),	 TEST(rights_are_refused),
		TEST(signals_come),
	};

	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plan == MAP_FAILED)
		return 1;
	faults_share(plan);
	faults_pause(true);
	fake_around_hook = around;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
