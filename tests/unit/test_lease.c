/* SPDX-License-Identifier: Apache-2.0 */
/* common/lease.c: who holds one, what it says, and what comes between. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"
#include "tests/unit/steps.h"

static void a_lease_is_held_by_its_descriptor(void **state)
{
	const struct aq_conf *conf = *state;
	int fd = -1, fd2 = -1;

	assert_true(is_free(conf, &step0));
	assert_false(has_lease_file(conf, &step0));
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd2, NULL), AQ_BUSY);
	assert_int_equal(fd2, -1);
	assert_false(is_free(conf, &step0));
	assert_true(is_free(conf, &batch));
	close(fd);
	assert_true(is_free(conf, &step0));
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(aq_lease_remove(conf, &step0, NULL), 0);
	assert_int_equal(aq_lease_remove(conf, &step0, NULL), 0);
	close(fd);
}

/* Whoever holds it need not be asked, and ends it where it is by then. */
static void a_lease_moves_to_another_domain(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *run_dir = path_below(conf->run_dir, "private");
	cleanup_free char *leases = path_below(run_dir, "leases");
	struct aq_conf own = *conf;
	int fd = -1;

	own.run_dir = run_dir;
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(aq_lease_move(conf, &own, &step0, NULL), AQ_SYS);
	assert_int_equal(mkdir(run_dir, 0700), 0);
	assert_int_equal(mkdir(leases, 0700), 0);
	assert_int_equal(aq_lease_move(conf, &own, &step0, NULL), 0);
	assert_false(has_lease_file(conf, &step0));
	assert_true(has_lease_file(&own, &step0));
	assert_false(is_free(&own, &step0));
	assert_int_equal(aq_lease_move(conf, &own, &step0, NULL), 0);
	assert_int_equal(aq_lease_put(&own, &step0, DIGEST_A, NULL), 0);
	assert_false(is_free(&own, &step0));
	/* one that nobody holds is not moved over it, but over one like that */
	assert_int_equal(aq_lease_put(conf, &step0, DIGEST_A, NULL), 0);
	assert_int_equal(aq_lease_move(conf, &own, &step0, NULL), 0);
	assert_false(has_lease_file(conf, &step0));
	assert_false(is_free(&own, &step0));
	assert_int_equal(aq_lease_end(fd, NULL), 0);
	assert_false(has_lease_file(&own, &step0));
	close(fd);
	assert_int_equal(aq_lease_put(&own, &step0, DIGEST_A, NULL), 0);
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(aq_lease_move(conf, &own, &step0, NULL), 0);
	assert_false(is_free(&own, &step0));
	assert_int_equal(aq_lease_end(fd, NULL), 0);
	close(fd);
}

/* Looking is in nobody's way, however often; and closes nobody's lock. */
static void looking_takes_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int go = -1, fd = -1;
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	aq_close_fd(&fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(pipes[0]);
		for (;;) {
			(void)is_free(conf, &step0);
			if (write(pipes[1], "x", 1) < 1)
				_exit(0);
		}
	}
	close(pipes[1]);
	go = pipes[0];
	for (int i = 0; i < 2000; i++) {
		char c;

		assert_int_equal(read(go, &c, 1), 1);
		assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
		aq_close_fd(&fd);
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void death_frees_a_lease(void **state)
{
	pid_t pid = hold(*state, &step0);

	assert_false(is_free(*state, &step0));
	end(pid);
	assert_true(is_free(*state, &step0));
}

/* -- what they say -- */

static int note_lease(const struct aq_lease *lease, void *arg,
		      struct aq_err *err)
{
	(void)err;
	*(struct aq_lease *)arg = *lease;
	return 0;
}

static enum aq_lease_state state_of(const struct aq_conf *conf)
{
	struct aq_lease lease = { .state = AQ_LEASE_EMPTY };

	assert_int_equal(aq_lease_each(conf, note_lease, &lease, NULL), 0);
	return lease.state;
}

static void put(const struct aq_conf *conf)
{
	assert_int_equal(aq_lease_remove(conf, &step0, NULL), 0);
	assert_int_equal(aq_lease_put(conf, &step0, DIGEST_A, NULL), 0);
	assert_int_equal(state_of(conf), AQ_LEASE_HOLDS);
}

/* Each part of a record, of 142 bytes, wrong. */
static void what_is_no_record_is_damaged(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = lease_path(conf, &step0);
	char blank[65];

	memset(blank, ' ', sizeof(blank) - 1);
	blank[sizeof(blank) - 1] = '\0';
	put(conf);
	assert_int_equal(truncate(path, 141), 0);
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	put(conf);
	write_lease(conf, 142, "\n");
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	put(conf);
	scribble(path, 120, "", 1); /* a NUL */
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	put(conf);
	write_lease(conf, 141, " ");
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	put(conf);
	write_lease(conf, 37, blank); /* no digest, no environment */
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	put(conf);
	write_lease(conf, 37, "A");
	assert_int_equal(state_of(conf), AQ_LEASE_DAMAGED);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(state_of(conf), AQ_LEASE_EMPTY);
}

static void only_what_holds_gets_an_environment(void **state)
{
	static const char env[] = "0123456789abcdef0123-1";
	const struct aq_conf *conf = *state;
	struct aq_lease lease;

	assert_int_equal(aq_lease_set_env(conf, &step0, env, NULL), AQ_MISS);
	put(conf);
	assert_int_equal(aq_lease_set_env(conf, &step0, env, NULL), 0);
	assert_int_equal(aq_lease_each(conf, note_lease, &lease, NULL), 0);
	assert_string_equal(lease.env, env);
	assert_string_equal(lease.digest, DIGEST_A);
	write_lease(conf, 37, "A");
	assert_int_equal(aq_lease_set_env(conf, &step0, env, NULL), AQ_MISS);
}

static void names_that_are_none_are_passed_over(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	static const char *const names[] = { "1", "1.2", "1.2.3", "a.2.3.n",
					     "1.2.4294967296.n" };
	struct aq_lease lease = { .state = AQ_LEASE_EMPTY };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = path_below(leases, names[i]);

		scribble(path, 0, "x", 1);
	}
	assert_int_equal(aq_lease_each(conf, note_lease, &lease, NULL), 0);
	assert_int_equal(lease.state, AQ_LEASE_EMPTY);
	assert_int_equal(aq_remove_tree(AT_FDCWD, leases, NULL), 0);
	/* nothing has run since the boot */
	assert_int_equal(aq_lease_each(conf, note_lease, &lease, NULL), 0);
}

/* The step's end is said to who has it open, and a boot ends them all. */
static void what_has_ended_holds_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = lease_path(conf, &step0);

	put(conf);
	scribble(path, 0, "", 1);
	assert_int_equal(state_of(conf), AQ_LEASE_ENDED);
	put(conf);
	write_lease(conf, 0, "00000000-0000-0000-0000-000000000000");
	assert_int_equal(state_of(conf), AQ_LEASE_ENDED);
}

static bool is_of_job_11(const struct aq_lease *lease, void *arg)
{
	(void)arg;
	return lease->step.job == 11;
}

static void only_those_that_are_wanted_are_opened(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_lease lease = { .state = AQ_LEASE_EMPTY };

	put(conf);
	assert_int_equal(aq_lease_each_of(conf, is_of_job_11, note_lease,
					  &lease, NULL), 0);
	assert_int_equal(lease.state, AQ_LEASE_EMPTY);
	assert_int_equal(aq_lease_put(conf, &other, DIGEST_B, NULL), 0);
	assert_int_equal(aq_lease_each_of(conf, is_of_job_11, note_lease,
					  &lease, NULL), 0);
	assert_string_equal(lease.digest, DIGEST_B);
}

static bool end_it_first(const struct aq_lease *lease, void *arg)
{
	(void)lease;
	assert_int_equal(aq_lease_remove(arg, &step0, NULL), 0);
	return true;
}

static int expect_no_lease(const struct aq_lease *lease, void *arg,
			   struct aq_err *err)
{
	(void)lease;
	(void)arg;
	return aq_fail(err, AQ_USER, "it was there");
}

static void one_that_ends_meanwhile_is_none(void **state)
{
	const struct aq_conf *conf = *state;

	put(conf);
	assert_int_equal(aq_lease_each_of(conf, end_it_first, expect_no_lease,
					  *state, NULL), 0);
}

/* -- what comes between opening and locking -- */

static const struct aq_conf *epilog; /* its lease is removed then */
static unsigned int removals;        /* so many times */
static int refusal;                  /* the lock is: errno */

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	void *argument;
	va_list ap;

	va_start(ap, command);
	argument = va_arg(ap, void *);
	va_end(ap);
	if (command == F_OFD_SETLK && removals) {
		removals--;
		assert_int_equal(aq_lease_remove(epilog, &step0, NULL), 0);
	}
	if (command == F_OFD_SETLK && refusal) {
		errno = refusal;
		return -1;
	}
	return __real_fcntl(fd, command, argument);
}

static void an_epilog_may_be_faster(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_err err;
	int fd = -1;

	epilog = conf;
	removals = 1;
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(removals, 0);
	/* of the file that is there now */
	assert_true(has_lease_file(conf, &step0));
	assert_false(is_free(conf, &step0));
	aq_close_fd(&fd);
	removals = 1000;
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "again and again"));
	assert_true(removals > 0 && fd < 0);
	removals = 0;
}

static void who_holds_it_is_told_from_what_fails(void **state)
{
	/* POSIX lets a system say either of a lock that is held */
	static const int held[] = { EAGAIN, EACCES };
	struct aq_err err;
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		refusal = held[i];
		assert_int_equal(aq_lease_acquire(*state, &step0, &fd, NULL),
				 AQ_BUSY);
	}
	refusal = ENOLCK;
	assert_int_equal(aq_lease_acquire(*state, &step0, &fd, &err), AQ_SYS);
	assert_int_equal(err.errnum, ENOLCK);
	refusal = 0;
	assert_int_equal(fd, -1);
}

static void one_that_is_held_is_not_removed(void **state)
{
	const struct aq_conf *conf = *state;
	pid_t pid = hold(conf, &step0);

	assert_int_equal(aq_lease_remove_free(conf, &step0, NULL), AQ_BUSY);
	assert_true(has_lease_file(conf, &step0));
	end(pid);
	assert_int_equal(aq_lease_remove_free(conf, &step0, NULL), 0);
	assert_false(has_lease_file(conf, &step0));
}

/* -- calls that fail -- */

/* One step's, with its end; and another's, whose slurmstepd was killed. */
struct steps {
	const struct aq_conf *conf;
	struct aq_conf own; /* another domain */
	int fd;
};

static int stage(void *arg, struct aq_err *err)
{
	struct steps *s = arg;
	int rc = aq_lease_acquire(s->conf, &step0, &s->fd, err);

	if (!rc)
		rc = aq_lease_write(s->fd, DIGEST_A, "", err);
	return rc ? rc : aq_lease_set_env(s->conf, &step0, "env", err);
}

static int move(void *arg, struct aq_err *err)
{
	struct steps *s = arg;

	return aq_lease_move(s->conf, &s->own, &step0, err);
}

static int look(void *arg, struct aq_err *err)
{
	struct steps *s = arg;
	struct aq_lease lease;
	bool is = false;
	int rc = aq_lease_is_free(&s->own, &step0, &is, err);

	if (!rc)
		rc = aq_lease_each(&s->own, note_lease, &lease, err);
	return rc;
}

static int release(void *arg, struct aq_err *err)
{
	struct steps *s = arg;
	int rc = s->fd < 0 ? 0 : aq_lease_end(s->fd, err);

	aq_close_fd(&s->fd);
	return rc;
}

/* Of a step that was killed, wherever it came to; and of a stranger. */
static int clean_up(void *arg, struct aq_err *err)
{
	struct steps *s = arg;
	int rc = aq_lease_put(s->conf, &batch, DIGEST_B, err);

	if (!rc)
		rc = aq_lease_remove_free(s->conf, &batch, err);
	if (!rc)
		rc = aq_lease_remove(s->conf, &step0, err);
	return rc ? rc : aq_lease_remove(&s->own, &step0, err);
}

static void expect_none(void *arg)
{
	const struct steps *s = arg;

	assert_int_equal(calls_entries(s->conf->run_dir, "leases"), 0);
	assert_int_equal(calls_entries(s->own.run_dir, "leases"), 0);
}

static void each_call_may_fail(void **state)
{
	static const struct calls_part parts[] = {
		{ "stage", stage },	{ "move", move },
		{ "look", look },	{ "release", release },
		{ "clean up", clean_up },
	};
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL,
					 expect_none };
	const struct aq_conf *conf = *state;
	cleanup_free char *run_dir = path_below(conf->run_dir, "private");
	cleanup_free char *leases = path_below(run_dir, "leases");
	struct steps s = { .conf = conf, .own = *conf, .fd = -1 };

	s.own.run_dir = run_dir;
	assert_int_equal(mkdir(run_dir, 0700), 0);
	assert_int_equal(mkdir(leases, 0700), 0);
	calls_every_one_fails(&life, &s);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lease_is_held_by_its_descriptor),
		TEST(a_lease_moves_to_another_domain),
		TEST(looking_takes_nothing),
		TEST(death_frees_a_lease),
		TEST(what_is_no_record_is_damaged),
		TEST(only_what_holds_gets_an_environment),
		TEST(names_that_are_none_are_passed_over),
		TEST(what_has_ended_holds_nothing),
		TEST(only_those_that_are_wanted_are_opened),
		TEST(one_that_ends_meanwhile_is_none),
		TEST(an_epilog_may_be_faster),
		TEST(who_holds_it_is_told_from_what_fails),
		TEST(one_that_is_held_is_not_removed),
		TEST(each_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
