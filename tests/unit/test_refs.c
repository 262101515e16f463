/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/job.h"
#include "common/lease.h"
#include "common/refs.h"
#include "tests/unit/cachedir.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct aq_step step1 = { 10, 1, UINT32_MAX };
static const struct aq_step step0 = { 10, 0, UINT32_MAX };
static const struct aq_step batch = { 10, 0xfffffffb, UINT32_MAX };
static const struct aq_step other = { 11, 0, UINT32_MAX };

static struct aq_refs *must_open(const struct aq_conf *conf)
{
	struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };

	if (aq_refs_open(conf, &refs, &err) != 0)
		fail_msg("%s", err.text);
	return refs;
}

static uint64_t count(struct aq_refs *refs, const char *digest)
{
	uint64_t n = 0;

	assert_int_equal(aq_refs_count(refs, digest, &n, NULL), 0);
	return n;
}

static int take(struct aq_refs *refs, const struct aq_step *step,
		const char *digest)
{
	return aq_refs_take(refs, step, digest, NULL);
}

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

/* What is in step0's lease. */
static void write_lease(const struct aq_conf *conf, size_t at, const char *text)
{
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	cleanup_free char *path = NULL;
	char name[AQ_LEASE_NAME_SIZE];

	aq_lease_name(&step0, conf->node, name);
	path = path_below(leases, name);
	scribble(path, (long)at, text, strlen(text));
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

/* -- leases -- */

static bool is_free(const struct aq_conf *conf, const struct aq_step *step)
{
	bool is = false;

	assert_int_equal(aq_lease_is_free(conf, step, &is, NULL), 0);
	return is;
}

static bool has_lease_file(const struct aq_conf *conf,
			   const struct aq_step *step)
{
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	cleanup_free char *path = NULL;
	char name[AQ_LEASE_NAME_SIZE];

	aq_lease_name(step, conf->node, name);
	path = path_below(leases, name);
	return access(path, F_OK) == 0;
}

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

/* A child that holds the lease of 'step' until it is killed. */
static pid_t hold(const struct aq_conf *conf, const struct aq_step *step)
{
	int ready[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int fd;

		c = aq_lease_acquire(conf, step, &fd, NULL) == 0;
		(void)!write(ready[1], &c, 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_true(c);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void death_frees_a_lease(void **state)
{
	pid_t pid = hold(*state, &step0);

	assert_false(is_free(*state, &step0));
	end(pid);
	assert_true(is_free(*state, &step0));
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
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	cleanup_close int fd = -1;
	cleanup_free char *path = NULL;
	char name[AQ_LEASE_NAME_SIZE];

	aq_lease_name(&step0, conf->node, name);
	path = path_below(leases, name);
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

struct seen {
	int n;
	char digest[AQ_SHA256_HEX_SIZE]; /* of job 10 on n1 */
};

static int see(uint32_t id, const char *node, const char *digest, void *arg,
	       struct aq_err *err)
{
	struct seen *s = arg;

	(void)err;
	s->n++;
	if (id == 10 && strcmp(node, "n1") == 0)
		snprintf(s->digest, sizeof(s->digest), "%s", digest);
	return 0;
}

static struct seen look(const struct aq_conf *conf)
{
	struct seen s = { 0 };

	assert_int_equal(aq_job_each(conf, see, &s, NULL), 0);
	return s;
}

static int add_digest(const char *env, const char *digest, void *arg,
		      struct aq_err *err)
{
	(void)err;
	assert_string_equal(env, "");
	aq_strv_add(arg, digest);
	return 0;
}

static void a_job_holds_what_its_prolog_says(void **state)
{
	static const char others[] =
		"holds 01234567-89ab-cdef-0123-456789abcdef " DIGEST_A "\n"
		"holds\nholds " DIGEST_A "\n\n" DIGEST_A;
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	cleanup_strv struct aq_strv held = AQ_STRV_INIT(8);
	struct aq_conf n2 = *conf;
	char path[256];

	n2.node = (char[]){ "n2" };
	assert_int_equal(aq_job_hold(conf, 10, "none", 0, NULL), AQ_USER);
	assert_int_equal(look(conf).n, 0);
	assert_int_equal(aq_job_hold(conf, 10, DIGEST_A, 0, NULL), 0);
	assert_int_equal(aq_job_note_refresh(conf, 10, DIGEST_B, NULL), 0);
	assert_string_equal(look(conf).digest, DIGEST_A);
	assert_true(aq_job_has_refreshed(conf, 10, DIGEST_B));
	assert_false(aq_job_has_refreshed(conf, 10, DIGEST_A));
	/* requeued, and asking for something else */
	assert_int_equal(aq_job_hold(conf, 10, DIGEST_B, 0, NULL), 0);
	assert_string_equal(look(conf).digest, DIGEST_B);
	assert_int_equal(aq_job_hold(&n2, 10, DIGEST_A, 0, NULL), 0);
	assert_int_equal(aq_job_mark(&n2, 11, NULL), 0);
	assert_int_equal(look(conf).n, 3);
	assert_int_equal(aq_refs_each_held(refs, add_digest, &held, NULL), 0);
	assert_int_equal(held.n, 2);
	/* another boot's, and what is none of ours */
	aq_job_mark_name(conf, 10, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	scribble(path, 0, others, strlen(others));
	assert_string_equal(look(conf).digest, "");
}

static void marks_that_are_none_are_passed_over(void **state)
{
	static const char *const names[] = { "10", ".n1", "x.n1", "-1.n1",
					     "4294967296.n1", "10n1" };
	const struct aq_conf *conf = *state;
	cleanup_free char *jobs = path_below(conf->run_dir, "jobs");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup_free char *path = path_below(jobs, names[i]);

		scribble(path, 0, "", 0);
	}
	assert_int_equal(look(conf).n, 0);
}

static void jobs_are_marked_by_node(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_conf n2 = *conf;
	char path[256], path2[256];

	n2.node = (char[]){ "n2" };
	aq_job_mark_name(conf, 10, path, sizeof(path));
	aq_job_mark_name(&n2, 10, path2, sizeof(path2));
	assert_int_equal(aq_job_mark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_mark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_mark(&n2, 10, NULL), 0);
	assert_int_equal(aq_job_unmark(conf, 10, NULL), 0);
	assert_int_equal(aq_job_unmark(conf, 10, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(access(path2, F_OK), 0);
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
		TEST(a_lease_is_held_by_its_descriptor),
		TEST(a_lease_moves_to_another_domain),
		TEST(who_has_ended_holds_nothing),
		TEST(looking_takes_nothing),
		TEST(death_frees_a_lease),
		TEST(an_epilog_leaves_what_still_runs),
		TEST(tasks_outlive_their_slurmstepd),
		TEST(a_recycled_pid_is_nobody),
		TEST(a_sweep_takes_only_its_own),
		TEST(jobs_are_marked_by_node),
		TEST(a_job_holds_what_its_prolog_says),
		TEST(marks_that_are_none_are_passed_over),
		TEST(many_steps_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
