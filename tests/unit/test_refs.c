/* SPDX-License-Identifier: Apache-2.0 */
/* References: what jobs and their steps hold. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/job.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/steps.h"

static void references_are_taken_and_dropped(void **state)
{
	cleanup_refs struct aq_refs *refs = must_open(*state);

	assert_int_equal(count(refs, NULL), 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(take(refs, &batch, DIGEST_A), 0);
	assert_int_equal(take(refs, &other, DIGEST_B), 0);
	assert_int_equal(count(refs, NULL), 3);
	assert_int_equal(count(refs, DIGEST_A), 2);
	assert_int_equal(take(refs, &batch, DIGEST_B), 0);
	assert_int_equal(count(refs, DIGEST_A), 1);
	assert_int_equal(aq_lease_remove(*state, &step0, NULL), 0);
	assert_int_equal(aq_lease_remove(*state, &step0, NULL), 0);
	assert_int_equal(count(refs, DIGEST_A), 0);
	assert_int_equal(count(refs, NULL), 2);
}

static void only_digests_are_taken(void **state)
{
	static const char *const claims[] = { "", "x", "../../etc/passwd",
					      DIGEST_A "a" };
	cleanup_refs struct aq_refs *refs = must_open(*state);

	for (size_t i = 0; i < ARRAY_LEN(claims); i++)
		assert_int_equal(take(refs, &step0, claims[i]), AQ_USER);
	assert_int_equal(count(refs, NULL), 0);
}

static int check_order(const struct aq_lease *ref, void *arg, struct aq_err *err)
{
	int *n = arg;

	(void)err;
	assert_string_equal(ref->node, "n1");
	assert_string_equal(ref->digest, *n == 3 ? DIGEST_B : DIGEST_A);
	assert_int_equal(ref->step.job, *n == 3 ? 11 : 10);
	assert_int_equal(ref->step.het, UINT32_MAX);
	++*n;
	return *n > 3 ? AQ_BUSY : 0;
}

static void each_comes_in_order(void **state)
{
	cleanup_refs struct aq_refs *refs = must_open(*state);
	int n = 0;

	assert_int_equal(aq_refs_each(refs, check_order, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(take(refs, &other, DIGEST_B), 0);
	assert_int_equal(take(refs, &batch, DIGEST_A), 0);
	assert_int_equal(take(refs, &step1, DIGEST_A), 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(aq_refs_each(refs, check_order, &n, NULL), AQ_BUSY);
	assert_int_equal(n, 4);
}

static void another_boots_references_are_nobodys(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);

	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(count(refs, NULL), 1);
	write_lease(conf, 0, "00000000-0000-0000-0000-000000000000");
	assert_int_equal(count(refs, NULL), 0);
	assert_int_equal(aq_refs_check_leases(refs, NULL), 0);
	assert_int_equal(hold_hit(refs, &step0, "0123456789abcdef0123-1", 5), 0);
	assert_int_equal(count(refs, NULL), 0);
}

static void what_a_damaged_lease_holds_nobody_knows(void **state)
{
	static const char *const texts[] = { "z", " ", "A", "\n" };
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(take(refs, &step0, DIGEST_A), 0);
		assert_int_equal(aq_refs_check_leases(refs, NULL), 0);
		write_lease(conf, 40, texts[i]); /* in the digest */
		assert_int_equal(count(refs, NULL), 0);
		assert_int_equal(aq_refs_check_leases(refs, NULL), AQ_BUSY);
	}
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	write_lease(conf, 142, "x"); /* behind its end */
	assert_int_equal(aq_refs_check_leases(refs, NULL), AQ_BUSY);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	assert_int_equal(aq_refs_check_leases(refs, NULL), 0);
}

static void a_damaged_file_is_set_aside(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->run_dir, "refs.db");
	cleanup_free char *aside =
		path_below(conf->run_dir, "refs.db.corrupt-1");
	cleanup_refs struct aq_refs *refs = NULL;

	aq_refs_close(must_open(conf));
	assert_int_equal(mode_of(path), 0600);
	scribble(path, 0, "garbage garbage ", 16);
	refs = must_open(conf);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(access(aside, F_OK), 0);
}

static void who_has_ended_holds_nothing(void **state)
{
	static const char env[] = "0123456789abcdef0123-1";
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	int fd = -1;

	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	/* about to hold something, nobody knows what */
	assert_int_equal(aq_refs_check_leases(refs, NULL), AQ_BUSY);
	assert_int_equal(aq_lease_write(fd, DIGEST_A, "", NULL), 0);
	assert_int_equal(aq_refs_check_leases(refs, NULL), 0);
	assert_int_equal(take(refs, &batch, DIGEST_B), 0);
	assert_int_equal(count(refs, NULL), 2);
	assert_int_equal(aq_lease_end(fd, NULL), 0);
	assert_int_equal(count(refs, NULL), 1);
	assert_int_equal(count(refs, DIGEST_A), 0);
	/* a builder that found it too late */
	assert_int_equal(hold_hit(refs, &step0, env, 5), 0);
	assert_int_equal(count(refs, NULL), 1);
	close(fd);
	/* its job was requeued: a step of the same ids begins */
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	assert_int_equal(aq_refs_check_leases(refs, NULL), AQ_BUSY);
	assert_int_equal(aq_lease_write(fd, DIGEST_A, env, NULL), 0);
	assert_int_equal(count(refs, DIGEST_A), 1);
	assert_int_equal(aq_lease_end(fd, NULL), 0);
	close(fd);
	assert_false(has_lease_file(conf, &step0));
	assert_int_equal(count(refs, NULL), 1);
}

static void an_epilog_leaves_what_still_runs(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	struct aq_conf n2 = *conf;
	struct aq_refs *refs2;
	pid_t pid = hold(conf, &batch);
	int fd;

	n2.node = (char[]){ "n2" };
	refs2 = must_open(&n2);
	assert_int_equal(take(refs2, &step0, DIGEST_B), 0);
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	close(fd);
	assert_int_equal(aq_lease_acquire(conf, &other, &fd, NULL), 0);
	close(fd);
	assert_int_equal(take(refs, &step1, DIGEST_A), 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(take(refs, &batch, DIGEST_A), 0);
	assert_int_equal(take(refs, &other, DIGEST_B), 0);
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	/* the batch step's stays, and those of the other job and node */
	assert_int_equal(count(refs, DIGEST_A), 1);
	assert_int_equal(count(refs, DIGEST_B), 2);
	assert_false(has_lease_file(conf, &step0));
	assert_true(has_lease_file(conf, &batch));
	assert_true(has_lease_file(conf, &other));
	end(pid);
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	assert_int_equal(count(refs, DIGEST_A), 0);
	assert_false(has_lease_file(conf, &batch));
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	aq_refs_close(refs2);
}

/* A task whose slurmstepd was killed, in 'env'. */
static pid_t run_task(const struct aq_conf *conf, const char *env)
{
	char variable[512], *argv[] = { (char[]){ "sleep" }, (char[]){ "60" }, NULL };
	char *envp[] = { variable, NULL };
	int ready[2];
	char c;
	pid_t pid;

	snprintf(variable, sizeof(variable), "AQ_ENV_PREFIX=%s/envs/%s",
		 conf->cache_dir, env);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		execvpe("sleep", argv, envp);
		_exit(127);
	}
	close(ready[1]);
	/* end of file: it was executed */
	assert_int_equal(read(ready[0], &c, 1), 0);
	close(ready[0]);
	return pid;
}

/* Their epilog comes; and its environment is held until they end. */
static void tasks_outlive_their_slurmstepd(void **state)
{
	static const char env[] = "0123456789abcdef0123-1";
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	pid_t task = run_task(conf, env);

	assert_int_equal(aq_job_mark(conf, 10, NULL), 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_int_equal(take(refs, &batch, DIGEST_A), 0);
	assert_int_equal(hold_hit(refs, &step0, env, 5), 0);
	assert_int_equal(hold_hit(refs, &batch, "0123456789abcdef0123-2", 5), 0);
	/* no slurmstepd, but the job has not ended */
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	assert_int_equal(count(refs, NULL), 2);
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	assert_int_equal(count(refs, NULL), 1);
	assert_int_equal(aq_job_unmark(conf, 10, NULL), 0);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	assert_int_equal(count(refs, NULL), 1);
	end(task);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	assert_int_equal(count(refs, NULL), 0);
}

/* A pid that another process has by now says nothing, whoever has it: only a
 * lock does.
 */
static void a_recycled_pid_is_nobody(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	cleanup_free char *path = lease_path(conf, &step0);
	cleanup_close int fd = -1;

	/* what is alive has it open */
	scribble(path, 0, "", 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(take(refs, &step0, DIGEST_A), 0);
	assert_true(is_free(conf, &step0));
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	assert_int_equal(count(refs, NULL), 0);
}

/* Files that are no leases of this job and node are not touched. */
static void a_sweep_takes_only_its_own(void **state)
{
	static const char *const names[] = { "10", "10.0", "10.0.1", "10.x.1.n1",
					     "10.0.1.n1.x", "100.0.1.n1",
					     "10.0.1.n2", "10.0.4294967296.n1" };
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	cleanup_free char *leases = path_below(conf->run_dir, "leases");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = path_below(leases, names[i]);

		scribble(path, 0, "", 0);
	}
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = path_below(leases, names[i]);

		assert_int_equal(access(path, F_OK), 0);
	}
}

/* Steps that come and go at once, each in a process of its own. */
static void many_steps_at_once(void **state)
{
	unsigned long n = count_of("AQ_COUNT_STORE_LOAD", 20);
	cleanup_refs struct aq_refs *refs = NULL;
	pid_t pids[8];

	aq_refs_close(must_open(*state));
	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		pids[p] = fork();
		assert_true(pids[p] >= 0);
		if (pids[p])
			continue;
		for (uint32_t i = 0; i < n; i++) {
			const struct aq_step s = { 20 + p, i, UINT32_MAX };
			struct aq_refs *mine = NULL;

			if (aq_refs_open(*state, &mine, NULL) ||
			    take(mine, &s, DIGEST_A) ||
			    (i % 2 && aq_lease_remove(*state, &s, NULL)))
				_exit(1);
			aq_refs_close(mine);
		}
		_exit(0);
	}
	for (unsigned int p = 0; p < ARRAY_LEN(pids); p++) {
		int status = 0;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	refs = must_open(*state);
	assert_int_equal(count(refs, NULL), ARRAY_LEN(pids) * ((n + 1) / 2));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(references_are_taken_and_dropped),
		TEST(only_digests_are_taken),
		TEST(each_comes_in_order),
		TEST(another_boots_references_are_nobodys),
		TEST(what_a_damaged_lease_holds_nobody_knows),
		TEST(a_damaged_file_is_set_aside),
		TEST(who_has_ended_holds_nothing),
		TEST(an_epilog_leaves_what_still_runs),
		TEST(tasks_outlive_their_slurmstepd),
		TEST(a_recycled_pid_is_nobody),
		TEST(a_sweep_takes_only_its_own),
		TEST(many_steps_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
