/* SPDX-License-Identifier: Apache-2.0 */
/* The stage's short way: in a worker, and in slurmstepd itself where nothing has to be
 * waited for.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/flock.h"
#include "common/hit.h"
#include "common/io.h"
#include "common/job.h"
#include "tests/unit/calls.h"
#include "tests/unit/memo_node.h"

struct step {
	struct memo_node node;
	char *conf_path;
	struct aq_stage stage;
};

static void begin(struct step *s, void **state)
{
	char text[8192];

	*s = (struct step){ 0 };
	memo_node_begin(&s->node, state);
	snprintf(text, sizeof(text), "cache_dir = %s\nrun_dir = %s\n"
		 "channels = conda-forge=https://mirror.example/conda-forge\n",
		 s->node.conf->cache_dir, s->node.conf->run_dir);
	s->conf_path = path_below(s->node.conf->cache_dir, "aq.conf");
	scribble(s->conf_path, 0, text, strlen(text));
	s->stage = (struct aq_stage){
		.conf_path = s->conf_path,
		.node = "n1",
		.step = { 7, 63, UINT32_MAX },
		.canonical = MEMO_CANONICAL,
		.canonical_len = strlen(MEMO_CANONICAL),
		.since_us = aq_now_us(),
		.answer = s->node.answer,
		.ret_lease_fd = -1,
	};
	s->node.conf->stamp = aq_hash(text, strlen(text));
}

/* What is kept of the answer is all that is left of it. */
static void keep(struct step *s)
{
	memo_node_keep(&s->node);
	memset(s->node.answer, 0, sizeof(*s->node.answer));
}

static void let_go(struct step *s)
{
	aq_close_fd(&s->stage.ret_lease_fd);
}

static void end(struct step *s)
{
	let_go(s);
	free(s->conf_path);
	memo_node_end(&s->node);
}

static bool is_held(const struct step *s)
{
	bool is_free = false;

	assert_int_equal(aq_lease_is_free(s->node.conf, &s->stage.step, &is_free,
					  NULL), 0);
	return !is_free;
}

/* The lease says what is used, and the job's mark counts it. */
static void expect_held(struct step *s)
{
	struct aq_tally tally = { 0 };
	cleanup_strv struct aq_strv uses = AQ_STRV_INIT(8);
	struct aq_refs *refs = NULL;
	uint64_t held = 0;

	assert_true(aq_answer_is_sound(s->node.answer));
	assert_true(is_held(s));
	assert_int_equal(aq_refs_open(s->node.conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_count(refs, s->node.req->digest, &held, NULL), 0);
	assert_int_equal(held, 1);
	aq_refs_close(refs);
	assert_int_equal(aq_job_uses(s->node.conf, 7, &uses, &tally, NULL), 0);
	assert_int_equal(uses.n, 1);
	assert_string_equal(uses.v[0], s->node.sample->env.name);
	assert_int_equal(tally.n[AQ_TALLY_STAGES], 1);
	assert_in_range(tally.n[AQ_TALLY_STAGE_US], 1,
			(uint64_t)(aq_now_us() - s->stage.since_us));
}

/* In a worker the lease is taken whatever is known. */
static void expect_miss(struct step *s)
{
	assert_int_equal(aq_hit(&s->stage, NULL), AQ_MISS);
	assert_true(s->stage.ret_lease_fd >= 0);
	let_go(s);
}

static void a_hit_holds_and_counts(void **state)
{
	struct step s;

	begin(&s, state);
	expect_miss(&s);
	keep(&s);
	assert_int_equal(aq_hit(&s.stage, NULL), 0);
	expect_held(&s);
	let_go(&s);
	/* what has to be noted, or resolved afresh, is looked up */
	s.stage.is_refresh = true;
	expect_miss(&s);
	s.stage.is_refresh = false;
	assert_true(aq_copy_text(s.stage.workflow.name,
				 sizeof(s.stage.workflow.name), "w"));
	expect_miss(&s);
	end(&s);
}

/* -- at hand -- */

static void expect_a_worker(struct step *s)
{
	assert_false(aq_hit_at_hand(&s->stage));
	assert_int_equal(s->stage.ret_lease_fd, -1);
	assert_false(is_held(s));
	assert_false(aq_answer_is_sound(s->node.answer));
}

static void expect_at_hand(struct step *s)
{
	assert_true(aq_hit_at_hand(&s->stage));
	assert_true(aq_answer_is_sound(s->node.answer));
	assert_true(is_held(s));
	let_go(s);
}

static void what_is_known_is_at_hand(void **state)
{
	struct step s;

	begin(&s, state);
	expect_a_worker(&s);
	keep(&s);
	assert_true(aq_hit_at_hand(&s.stage));
	expect_held(&s);
	let_go(&s);
	/* somebody else has a commit in between */
	assert_int_equal(aq_store_used(s.node.store, s.node.sample->env.name, 1,
				       NULL), 0);
	expect_a_worker(&s);
	keep(&s);
	expect_at_hand(&s);
	end(&s);
}

static void what_waits_is_not_at_hand(void **state)
{
	cleanup_close int collector = -1, other = -1;
	struct step s;

	begin(&s, state);
	keep(&s);
	assert_int_equal(aq_flock_try(s.node.conf, AQ_FLOCK_REFS,
				      AQ_FLOCK_EXCLUSIVE, &collector, NULL), 0);
	expect_a_worker(&s);
	aq_close_fd(&collector);
	expect_at_hand(&s);
	/* this step's own, of whoever */
	assert_int_equal(aq_lease_acquire(s.node.conf, &s.stage.step, &other,
					  NULL), 0);
	assert_false(aq_hit_at_hand(&s.stage));
	assert_int_equal(s.stage.ret_lease_fd, -1);
	end(&s);
}

static void what_is_noted_is_not_at_hand(void **state)
{
	static const char private[] = "aq-request 1\npip a @ git+https://h.example/a\n";
	struct step s;

	begin(&s, state);
	keep(&s);
	s.stage.is_refresh = true;
	expect_a_worker(&s);
	s.stage.is_refresh = false;
	s.stage.canonical = private;
	s.stage.canonical_len = strlen(private);
	expect_a_worker(&s);
	end(&s);
}

static void a_prefix_that_is_gone_is_not_at_hand(void **state)
{
	char prefix[AQ_ANSWER_PATH_MAX];
	struct step s;

	begin(&s, state);
	memo_node_keep(&s.node);
	snprintf(prefix, sizeof(prefix), "%s", s.node.answer->prefix);
	memset(s.node.answer, 0, sizeof(*s.node.answer));
	assert_int_equal(rmdir(prefix), 0);
	expect_a_worker(&s);
	assert_int_equal(mkdir(prefix, 0755), 0);
	expect_at_hand(&s);
	end(&s);
}

static void a_configuration_elsewhere_is_not_at_hand(void **state)
{
	cleanup_free char *link = NULL;
	struct step s;

	begin(&s, state);
	keep(&s);
	link = path_below(s.node.conf->cache_dir, "link.conf");
	assert_int_equal(symlink(s.conf_path, link), 0);
	s.stage.conf_path = link;
	expect_a_worker(&s);
	s.stage.conf_path = "/proc/version";
	expect_a_worker(&s);
	end(&s);
}

/* Who made it before us, in a directory that all may write to, wrote what is in it. */
static void a_run_dir_of_others_is_not_believed(void **state)
{
	struct step s;

	if (geteuid() != 0)
		skip();
	begin(&s, state);
	keep(&s);
	assert_int_equal(chown(s.node.conf->run_dir, 65534, 65534), 0);
	assert_false(aq_hit_at_hand(&s.stage));
	assert_int_equal(aq_hit(&s.stage, NULL), AQ_MISS);
	assert_int_equal(s.stage.ret_lease_fd, -1);
	assert_int_not_equal(aq_job_hold(s.node.conf, 7, s.node.req->digest,
					 aq_now_us(), NULL), 0);
	assert_int_equal(chown(s.node.conf->run_dir, 0, 0), 0);
	expect_at_hand(&s);
	end(&s);
}

/* A run_dir on a disk. */
static void a_disk_is_not_at_hand(void **state)
{
	struct step s;

	begin(&s, state);
	if (aq_at_hand_memory(s.node.conf->run_dir)) /* /tmp is */
		skip();
	keep(&s);
	expect_a_worker(&s);
	assert_int_equal(aq_hit(&s.stage, NULL), 0);
	end(&s);
}

static int hit_at_hand(void *arg, struct aq_err *err)
{
	struct step *s = arg;
	bool is_hit = aq_hit_at_hand(&s->stage);

	assert_int_equal(is_hit, s->stage.ret_lease_fd >= 0);
	assert_int_equal(is_hit, aq_answer_is_sound(s->node.answer));
	return is_hit ? 0 : aq_fail(err, AQ_MISS, "a worker has to look");
}

static void release(void *arg)
{
	struct step *s = arg;

	let_go(s);
	aq_answer_begin(s->node.answer);
}

/* Then a worker has to look. */
static void calls_that_fail_at_hand(void **state)
{
	static const struct calls_part part = { "a hit", hit_at_hand };
	static const struct calls_life life = { &part, 1, release, release };
	struct step s;

	begin(&s, state);
	keep(&s);
	calls_every_one_fails(&life, &s);
	end(&s);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)
#define TEST_IN_MEMORY(name)                                                   \
	cmocka_unit_test_setup_teardown(name, cachedir_setup_in_memory,        \
					cachedir_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_hit_holds_and_counts),
		TEST(a_disk_is_not_at_hand),
		TEST_IN_MEMORY(a_run_dir_of_others_is_not_believed),
		TEST_IN_MEMORY(what_is_known_is_at_hand),
		TEST_IN_MEMORY(what_waits_is_not_at_hand),
		TEST_IN_MEMORY(what_is_noted_is_not_at_hand),
		TEST_IN_MEMORY(a_prefix_that_is_gone_is_not_at_hand),
		TEST_IN_MEMORY(a_configuration_elsewhere_is_not_at_hand),
		TEST_IN_MEMORY(calls_that_fail_at_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
