/* SPDX-License-Identifier: Apache-2.0 */
/* References of a job that has very many steps.  AQ_COUNT_LEASES of them. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/refs.h"
#include "tests/unit/cachedir.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct aq_step step0 = { 10, 0, UINT32_MAX };

static struct aq_refs *must_open(const struct aq_conf *conf)
{
	struct aq_refs *refs = NULL;

	assert_int_equal(aq_refs_open(conf, &refs, NULL), 0);
	return refs;
}

static uint64_t count(struct aq_refs *refs, const char *digest)
{
	uint64_t n = 0;

	assert_int_equal(aq_refs_count(refs, digest, &n, NULL), 0);
	return n;
}

static int add_digest(const char *env, const char *digest, void *arg,
		      struct aq_err *err)
{
	(void)env;
	(void)err;
	aq_strv_add(arg, digest);
	return 0;
}

static size_t count_files(const struct aq_conf *conf)
{
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	cleanup_closedir DIR *dir = opendir(leases);
	size_t n = 0;

	while (readdir(dir))
		n++;
	return n - 2;
}

/* Of a job that nobody took care of: every step's slurmstepd was killed. */
static void leave_many(const struct aq_conf *conf, uint32_t job, size_t n)
{
	static char record[512];
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	struct aq_step step = { job, 0, UINT32_MAX };
	cleanup_free char *path = NULL;
	char name[AQ_LEASE_NAME_SIZE];
	ssize_t len;
	int fd;

	assert_int_equal(aq_lease_put(conf, &step, DIGEST_A, NULL), 0);
	aq_lease_name(&step, conf->node, name);
	path = path_below(leases, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, record, sizeof(record));
	assert_true(len > 0);
	close(fd);
	for (step.step = 1; step.step < n; step.step++) {
		cleanup_free char *other = NULL;

		aq_lease_name(&step, conf->node, name);
		other = path_below(leases, name);
		scribble(other, 0, record, (size_t)len);
	}
}

/* What a user's job leaves keeps no epilog from its two seconds, and no collector
 * from knowing what is held.
 */
static void very_many_leases_are_in_nobodys_way(void **state)
{
	const unsigned long n = count_of("AQ_COUNT_LEASES", 45000);
	const struct aq_conf *conf = *state;
	cleanup_refs struct aq_refs *refs = must_open(conf);
	int64_t start;
	int fd;

	assert_int_equal(aq_job_mark(conf, 77, NULL), 0);
	leave_many(conf, 77, n);
	assert_int_equal(aq_lease_acquire(conf, &step0, &fd, NULL), 0);
	close(fd);
	assert_int_equal(count(refs, NULL), n);
	/* another's epilog, while that job is there */
	start = aq_now_ms();
	assert_int_equal(aq_refs_drop_job(refs, 10, NULL), 0);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	print_message("another job's epilog: %d ms\n", (int)(aq_now_ms() - start));
	assert_int_equal(count_files(conf), n);
	/* its own takes some of them, and the next ones go on */
	assert_int_equal(aq_job_unmark(conf, 77, NULL), 0);
	start = aq_now_ms();
	assert_int_equal(aq_refs_drop_job(refs, 77, NULL), 0);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	print_message("its own: %d ms\n", (int)(aq_now_ms() - start));
	assert_true(count_files(conf) < n && count_files(conf) >= n - 20000);
	assert_int_equal(count(refs, NULL), count_files(conf));
	assert_int_equal(aq_refs_sweep_all(refs, NULL), 0);
	assert_int_equal(count_files(conf), 0);
}

/* As many steps as one job likes leave nothing that others read. */
static void steps_that_ended_leave_nothing(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_step step = { 78, 0, UINT32_MAX };

	for (; step.step < 100; step.step++) {
		int fd = -1;

		assert_int_equal(aq_lease_acquire(conf, &step, &fd, NULL), 0);
		assert_int_equal(aq_lease_write(fd, DIGEST_A, "", NULL), 0);
		assert_int_equal(aq_lease_end(fd, NULL), 0);
		close(fd);
		assert_int_equal(count_files(conf), 0);
	}
}

/* A requeued job's step has the ids, and the name, of one that ended. */
static void an_end_takes_nobody_elses_lease(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_close int old = -1, new = -1;

	assert_int_equal(aq_lease_acquire(conf, &step0, &old, NULL), 0);
	assert_int_equal(aq_lease_remove(conf, &step0, NULL), 0);
	assert_int_equal(aq_lease_acquire(conf, &step0, &new, NULL), 0);
	assert_int_equal(aq_lease_end(old, NULL), 0);
	assert_int_equal(count_files(conf), 1);
	assert_int_equal(aq_lease_end(new, NULL), 0);
	assert_int_equal(count_files(conf), 0);
}

/* A mark that can be read whatever a job's steps add. */
static void a_mark_has_an_end(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_tally tally = { 0 };
	cleanup_strv struct aq_strv uses = AQ_STRV_INIT(2 * AQ_JOB_USES_MAX);
	cleanup_strv struct aq_strv held = AQ_STRV_INIT(8);
	cleanup_refs struct aq_refs *refs = must_open(conf);
	cleanup_free char *note = calloc(1, 1 << 20);
	char path[1024];

	aq_job_mark_name(conf, 79, path, sizeof(path));
	memset(note, '\n', 1 << 20);
	for (int i = 0; i < 4; i++)
		scribble(path, i << 20, note, 1 << 20);
	for (int i = 0; i < 3; i++)
		assert_int_equal(aq_job_note_use(conf, 79, "e", 0, NULL), 0);
	assert_int_equal(aq_job_uses(conf, 79, &uses, &tally, NULL), 0);
	assert_int_equal(uses.n, 1);
	/* what it holds counts whatever there is */
	assert_int_equal(aq_job_hold(conf, 79, DIGEST_A, 0, NULL), 0);
	assert_int_equal(aq_refs_each_held(refs, add_digest, &held, NULL), 0);
	assert_int_equal(held.n, 1);
	assert_int_equal(aq_job_unmark(conf, 79, NULL), 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(very_many_leases_are_in_nobodys_way),
		TEST(steps_that_ended_leave_nothing),
		TEST(an_end_takes_nobody_elses_lease),
		TEST(a_mark_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
