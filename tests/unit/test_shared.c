/* SPDX-License-Identifier: Apache-2.0 */
/* builder/shared_dir.c, shared_claim.c. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/shared_dir.h"
#include "common/io.h"
#include "common/key.h"
#include "common/lock.h"

#define KEY "ab34567890123456789012345678901234567890123456789012345678901234"
#define SHA "0000000000000000000000000000000000000000000000000000000000000001"
#define CONDA "https://mirror.example/conda-forge"
#define PUBLISHERS 8

/* -- files -- */

static int setup(void **state)
{
	static char top[64];

	snprintf(top, sizeof(top), "/tmp/aq-shared.XXXXXX");
	*state = mkdtemp(top);
	return !*state || chmod(top, 0755) < 0;
}

static int teardown(void **state)
{
	return aq_remove_tree(AT_FDCWD, *state, NULL);
}

static void open_key(const char *top, uint32_t job, struct shared_dir *d)
{
	struct aq_err err = { 0 };

	if (shared_dir_open(top, geteuid(), KEY, d, &err) != 0)
		fail_msg("%s", err.text);
	d->job = job;
}

/* The lock whose only package is demo 'version'. */
static void make_text(int version, char ret[512])
{
	snprintf(ret, 512,
		 "aq-lock 1\nplatform %s\nconda " CONDA "/noarch/demo-%d-0.conda " SHA " demo %d 0\n",
		 aq_platform_subdir(), version, version);
}

static void publish_over(const char *top, uint64_t replaced, uint32_t job,
			 int version)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct aq_err err = { 0 };
	char text[512];

	open_key(top, job, &d);
	make_text(version, text);
	if (shared_dir_publish(&d, replaced, text, strlen(text), &err) != 0)
		fail_msg("%s", err.text);
}

static void publish(const char *top, bool is_refresh, uint32_t job, int version)
{
	publish_over(top, is_refresh ? SHARED_NUMBER_MAX : 0, job, version);
}

/* What a node of the job resolved to, which is not built. */
static void publish_job(const char *top, uint32_t job, int version)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct aq_err err = { 0 };
	char text[512];

	open_key(top, job, &d);
	make_text(version, text);
	if (shared_dir_publish_job(&d, text, strlen(text), &err) != 0)
		fail_msg("%s", err.text);
}

/* What is found; 0: nothing.  *ret_generation of it, *ret_notes how many. */
static int find(const char *top, uint64_t *ret_generation, size_t *ret_notes)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	const char *at;
	int rc, version = 0;

	open_key(top, 0, &d);
	rc = shared_dir_find(&d, &text, ret_generation, NULL);
	*ret_notes = 0;
	for (at = aq_str_get(&d.notes); *at; at = aq_next_line(at))
		++*ret_notes;
	if (rc == AQ_MISS)
		return 0;
	assert_int_equal(rc, 0);
	at = strstr(aq_str_get(&text), "/demo-");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "/demo-%d-", &version), 1);
	return version;
}

static void expect(const char *top, int version, uint64_t generation,
		   size_t notes)
{
	uint64_t found = 0;
	size_t n;

	assert_int_equal(find(top, &found, &n), version);
	assert_int_equal(found, generation);
	assert_int_equal(n, notes);
}

static void name_file(const char *top, const char *end, char ret[256])
{
	snprintf(ret, 256, "%s/locks/ab/" KEY ".%s", top, end);
}

static void the_first_one_stays(void **state)
{
	expect(*state, 0, 0, 0);
	publish(*state, false, 0, 1);
	expect(*state, 1, 1, 0);
	publish(*state, false, 0, 2);
	expect(*state, 1, 1, 0);
	publish(*state, true, 0, 3);
	expect(*state, 3, 2, 0);
	publish(*state, false, 0, 4);
	expect(*state, 3, 2, 0);
}

/* However many cannot build it. */
static void one_is_replaced_once(void **state)
{
	publish(*state, false, 0, 1);
	publish_over(*state, 1, 0, 2);
	expect(*state, 2, 2, 0);
	publish_over(*state, 1, 0, 3);
	expect(*state, 2, 2, 0);
	publish_over(*state, 2, 0, 3);
	expect(*state, 3, 3, 0);
}

static void a_job_refreshes_once(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	char want[512], path[256];
	struct stat st;

	open_key(*state, 7, &d);
	assert_int_equal(shared_dir_find_job(&d, &text, NULL), AQ_MISS);
	publish_job(*state, 7, 1);
	publish_job(*state, 7, 3); /* another node of it, that did not look */
	assert_int_equal(shared_dir_find_job(&d, &text, NULL), 0);
	make_text(1, want);
	assert_string_equal(aq_str_get(&text), want);
	/* nobody else's before it is built, and then once */
	expect(*state, 0, 0, 0);
	publish(*state, true, 7, 1);
	publish(*state, true, 7, 1);
	expect(*state, 1, 1, 0);
	/* the very file, so that many at once take no two names */
	name_file(*state, "1", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	publish_job(*state, 8, 2);
	publish(*state, true, 8, 2);
	expect(*state, 2, 2, 0);
	publish(*state, true, 0, 2);
	expect(*state, 2, 2, 0);
	/* what its node resolved to instead */
	publish(*state, true, 7, 4);
	expect(*state, 4, 3, 0);
}

static void old_ones_go(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[256], other[256];
	FILE *f;

	for (int i = 1; i <= 4; i++) {
		publish_job(*state, (uint32_t)i, i);
		publish(*state, true, (uint32_t)i, i);
	}
	for (int i = 1; i <= 4; i++) {
		char end[8];

		snprintf(end, sizeof(end), "%d", i);
		name_file(*state, end, path);
		assert_int_equal(access(path, F_OK) == 0, i >= 3);
	}
	name_file(*state, "job-1", path);
	snprintf(other, sizeof(other), "%s/locks/ab/new-1", (char *)*state);
	f = fopen(other, "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	publish(*state, true, 5, 5);
	assert_int_equal(access(path, F_OK) | access(other, F_OK), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, other, old, 0), 0);
	publish(*state, true, 6, 6);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(other, F_OK), -1);
}

static void truncate_it(const char *path)
{
	assert_int_equal(truncate(path, 100), 0);
}
static void empty_it(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}
static void open_it(const char *path)
{
	assert_int_equal(chmod(path, 0664), 0);
}
static void give_it_away(const char *path)
{
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
}
static void lengthen_it(const char *path)
{
	assert_int_equal(truncate(path, AQ_LOCK_MAX + 1), 0);
}
static void link_it(const char *path)
{
	char other[300];

	snprintf(other, sizeof(other), "%s.real", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
}

/* The one before is taken, and the next one replaces it. */
static void what_is_not_whole_is_not_there(void **state)
{
	void (*const harms[])(const char *path) = { truncate_it, empty_it,
						    open_it, lengthen_it,
						    link_it, give_it_away };
	uint64_t generation = 1;
	char path[256], end[8];

	publish(*state, false, 0, 1);
	for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
		if (harms[i] == give_it_away && geteuid() != 0)
			continue;
		snprintf(end, sizeof(end), "%d", (int)generation);
		name_file(*state, end, path);
		harms[i](path);
		expect(*state, 0, 0, generation > 1 ? 2 : 1);
		publish(*state, false, 0, (int)i + 2);
		expect(*state, (int)i + 2, ++generation, 0);
	}
}

/* It is as good as it was. */
static void what_cannot_be_read_is_not_damaged(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	struct rlimit was, none;
	int rc;

	publish_job(*state, 7, 1);
	open_key(*state, 7, &d);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc = shared_dir_find_job(&d, &text, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(rc, AQ_SYS);
	assert_int_equal(d.notes.len, 0);
	assert_int_equal(shared_dir_find_job(&d, &text, NULL), 0);
}

static void places_are_ours_alone(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct aq_err err = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/none", (char *)*state);
	assert_int_equal(shared_dir_open(path, geteuid(), KEY, &d, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "is not there"));
	assert_int_equal(chmod(*state, 0775), 0);
	assert_int_equal(shared_dir_open(*state, geteuid(), KEY, &d, &err),
			 AQ_SYS);
	assert_non_null(strstr(err.text, "nobody else may write it"));
	assert_int_equal(chmod(*state, 0755), 0);
	publish(*state, false, 0, 1);
	snprintf(path, sizeof(path), "%s/locks/ab", (char *)*state);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(shared_dir_open(*state, geteuid(), KEY, &d, &err),
			 AQ_SYS);
	assert_int_equal(chmod(path, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(*state, 12345, (gid_t)-1), 0);
		assert_int_equal(shared_dir_open(*state, 0, KEY, &d, &err),
				 AQ_SYS);
		assert_int_equal(chown(*state, 0, (gid_t)-1), 0);
	}
	assert_int_equal(shared_dir_try(*state, geteuid(), &err), 0);
	expect(*state, 1, 1, 0);
}

/* Many at once publish the locks 1 to PUBLISHERS, or job's, which is 1; all find the
 * one that is returned.
 */
static int race(const char *top, uint32_t job)
{
	uint64_t generation = 0;
	size_t notes;
	int gate[2], version, status;
	char byte;

	assert_int_equal(pipe(gate), 0);
	for (int i = 1; i <= PUBLISHERS; i++) {
		if (fork() != 0)
			continue;
		close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		publish(top, job != 0, job, job ? 1 : i);
		_exit(find(top, &generation, &notes));
	}
	close(gate[0]);
	close(gate[1]);
	assert_true(wait(&status) > 0);
	version = WEXITSTATUS(status);
	for (int i = 1; i < PUBLISHERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(WEXITSTATUS(status), version);
	}
	return version;
}

/* Of many at once, each with a lock of its own, one wins. */
static void many_publish_at_once(void **state)
{
	int version = race(*state, 0);

	assert_in_range(version, 1, PUBLISHERS);
	expect(*state, version, 1, 0);
}

static void all_nodes_of_a_job_publish_once(void **state)
{
	publish_job(*state, 7, 1);
	assert_int_equal(race(*state, 7), 1);
	expect(*state, 1, 1, 0);
}

/* -- claims -- */

/* The first has it, and the second has seen that. */
static void begin_claims(const char *top, struct shared_dir *d,
			 struct shared_claim *a, struct shared_claim *b,
			 struct shared_claim *c)
{
	open_key(top, 0, d);
	shared_claim_init(a, SHARED_CLAIM, "node-a");
	shared_claim_init(b, SHARED_CLAIM, "node-b");
	shared_claim_init(c, SHARED_CLAIM, "node-c");
	assert_int_equal(shared_claim_take(d, a, NULL), 0);
	assert_int_equal(shared_claim_take(d, b, NULL), AQ_BUSY);
}

static void a_claim_is_one_s_until_it_is_stale(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct shared_claim a, b, c;

	begin_claims(*state, &d, &a, &b, &c);
	assert_true(aq_starts_with(b.seen, "node-a "));
	assert_int_equal(shared_claim_take(&d, &c, NULL), AQ_BUSY);
	/* it lives, however long that takes */
	b.since -= 2 * SHARED_STALE_MS;
	shared_claim_renew(&a);
	assert_int_equal(shared_claim_take(&d, &b, NULL), AQ_BUSY);
	/* it does not: the first one who sees that has it, and no other */
	b.since -= SHARED_STALE_MS;
	c.since -= SHARED_STALE_MS;
	assert_int_equal(shared_claim_take(&d, &b, NULL), 0);
	assert_int_equal(shared_claim_take(&d, &c, NULL), AQ_BUSY);
	assert_true(aq_starts_with(c.seen, "node-b "));
	/* who lost it takes nothing away */
	shared_claim_renew(&a);
	shared_claim_drop(&d, &a, false);
	assert_int_equal(shared_claim_take(&d, &c, NULL), AQ_BUSY);
	shared_claim_drop(&d, &b, false);
	assert_int_equal(shared_claim_take(&d, &c, NULL), 0);
	shared_claim_drop(&d, &c, false);
}

static void who_gives_up_is_not_waited_for(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct shared_claim a, b, c;

	begin_claims(*state, &d, &a, &b, &c);
	shared_claim_drop(&d, &a, true);
	assert_int_equal(shared_claim_take(&d, &b, NULL), AQ_MISS);
	/* who comes later tries it again */
	assert_int_equal(shared_claim_take(&d, &c, NULL), 0);
	shared_claim_drop(&d, &c, false);
}

/* Of two who find the same claim stale the slower one knows whom it waits for. */
static void who_was_slower_knows_the_faster_one(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct shared_claim a;
	char path[256], other[256];
	FILE *f;

	open_key(*state, 0, &d);
	shared_claim_init(&a, SHARED_CLAIM, "node-a");
	/* the number after the last that is looked for: taken since then */
	name_file(*state, "claim-999999", path);
	name_file(*state, "claim-1000000", other);
	for (int i = 0; i < 2; i++) {
		f = fopen(i ? other : path, "we");
		assert_non_null(f);
		assert_true(fputs(i ? "node-b 1 00000000\n" : "-over-", f) >= 0);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(chmod(i ? other : path, 0644), 0);
	}
	assert_int_equal(shared_claim_take(&d, &a, NULL), AQ_BUSY);
	assert_true(aq_starts_with(a.seen, "node-b "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		IN_DIR(the_first_one_stays),
		IN_DIR(one_is_replaced_once),
		IN_DIR(a_job_refreshes_once),
		IN_DIR(old_ones_go),
		IN_DIR(what_is_not_whole_is_not_there),
		IN_DIR(what_cannot_be_read_is_not_damaged),
		IN_DIR(places_are_ours_alone),
		IN_DIR(many_publish_at_once),
		IN_DIR(all_nodes_of_a_job_publish_once),
		IN_DIR(a_claim_is_one_s_until_it_is_stale),
		IN_DIR(who_gives_up_is_not_waited_for),
		IN_DIR(who_was_slower_knows_the_faster_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
