/* SPDX-License-Identifier: Apache-2.0 */
/* common/collect_plan.c: which environments go, and in which order. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/collect.h"
#include "common/share.h"
#include "tests/unit/faults.h"

#define NOW 1000000
#define DAY (24 * 3600)

/* A case is a table of environments, sorted by name, and what goes of it. */
static void expect(struct aq_candidate *v, size_t n, const struct aq_conf *conf,
		   const struct aq_collect_state *state, const char *goes)
{
	cleanup_str struct aq_str got = AQ_STR_INIT(4096);
	cleanup_plan struct aq_plan plan = { 0 };

	assert_int_equal(aq_plan_make(v, n, conf, state, &plan, NULL), 0);
	for (size_t i = 0; i < plan.n; i++)
		aq_str_add_fmt(&got, "%s%s:%s", i ? " " : "", plan.v[i].name,
			       aq_collect_reason(plan.v[i].why));
	assert_string_equal(aq_str_get(&got), goes);
}

static const struct aq_collect_state idle = { .now = NOW, .free = 1000,
					      .max_freed = UINT64_MAX };

static void nothing_goes_without_a_reason(void **state)
{
	struct aq_conf conf = { 0 };
	struct aq_candidate v[] = {
		{ .name = "a", .last_used = 1, .bytes = 10 },
		{ .name = "b", .last_used = NOW + DAY, .bytes = 10 },
	};

	(void)state;
	expect(v, 0, &conf, &idle, "");
	expect(v, 2, &conf, &idle, "");
}

static void age_counts_from_the_last_use(void **state)
{
	struct aq_conf conf = { .max_age = DAY };
	struct aq_candidate v[] = {
		{ .name = "a", .last_used = NOW - DAY - 1 },
		{ .name = "b", .last_used = NOW - DAY },
		{ .name = "c", .last_used = NOW + 10 * DAY },
		{ .name = "d", .last_used = 1, .is_held = true },
		{ .name = "e", .last_used = 1, .is_pinned = true },
		{ .name = "f", .last_used = 1, .is_base = true },
		{ .name = "g", .last_used = 1 },
	};

	(void)state;
	expect(v, ARRAY_LEN(v), &conf, &idle, "g:age a:age");
}

static void room_is_made_by_the_least_lately_used(void **state)
{
	struct aq_conf conf = { .max_size = 100, .grace = 60 };
	struct aq_collect_state full = idle;
	struct aq_candidate v[] = {
		{ .name = "a", .last_used = 30, .bytes = 10 },
		{ .name = "b", .last_used = 10, .bytes = 10 },
		{ .name = "c", .last_used = 20, .bytes = 10, .is_held = true },
		{ .name = "d", .last_used = 20, .bytes = 10 },
		{ .name = "e", .last_used = NOW - 59, .bytes = 100 },
	};

	(void)state;
	full.size = 100;
	expect(v, ARRAY_LEN(v), &conf, &full, "");
	full.size = 101;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room");
	full.size = 120;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room d:room");
	/* what was just used stays, however much is asked for */
	full.size = 10000;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room d:room a:room");
	conf.grace = 59;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room d:room a:room e:room");
	/* the larger of both wishes */
	conf.max_size = 0;
	conf.min_free = 1011;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room d:room");
	full.max_freed = 15;
	expect(v, ARRAY_LEN(v), &conf, &full, "b:room");
}

/* Ten years ahead, then right again; or ten years behind. */
static void a_clock_that_was_set_keeps_nothing_for_ever(void **state)
{
	struct aq_conf conf = { .max_size = 1, .max_age = DAY, .grace = 3600 };
	struct aq_collect_state full = { .now = NOW + 3650ull * DAY,
					 .size = 1000,
					 .max_freed = UINT64_MAX };
	struct aq_candidate v[] = {
		{ .name = "a", .last_used = full.now + 3650ull * DAY, .bytes = 10 },
		{ .name = "b", .last_used = full.now + 3600, .bytes = 10 },
		{ .name = "c", .last_used = full.now + 3599, .bytes = 10 },
		{ .name = "d", .last_used = full.now - 3600, .bytes = 10 },
		{ .name = "e", .last_used = full.now + 1, .bytes = 10,
		  .is_held = true },
	};

	(void)state;
	expect(v, ARRAY_LEN(v), &conf, &full, "d:room b:room a:room");
	/* with a clock that has lost its time nothing is old */
	full.now = 0;
	conf.max_size = 0;
	expect(v, ARRAY_LEN(v), &conf, &full, "");
}

static void what_is_asked_for_is_said(void **state)
{
	struct aq_conf conf = { .max_size = 100 };
	struct aq_collect_state full = idle;
	struct aq_candidate v[] = { { .name = "a", .bytes = 10 } };
	cleanup_plan struct aq_plan plan = { 0 };

	(void)state;
	full.size = 150;
	assert_int_equal(aq_plan_make(v, 1, &conf, &full, &plan, NULL), 0);
	assert_int_equal(plan.bytes, 10);
	assert_int_equal(plan.wanted, 50);
}

static void a_user_pushes_out_their_own(void **state)
{
	struct aq_conf conf = { .user_quota = 25, .grace = 60 };
	struct aq_candidate v[] = {
		{ .name = "a", .uid = 1000, .last_used = 30, .bytes = 10 },
		{ .name = "b", .uid = 1000, .last_used = 10, .bytes = 10 },
		{ .name = "c", .uid = 1001, .last_used = 1, .bytes = 25 },
		{ .name = "d", .uid = 1000, .last_used = 20, .bytes = 10 },
		{ .name = "e", .last_used = 1, .bytes = 1000 },
	};
	struct aq_candidate many[] = {
		{ .name = "a", .uid = 1000, .last_used = 1, .bytes = 30,
		  .is_held = true },
		{ .name = "b", .uid = 1000, .last_used = 2, .bytes = 30,
		  .is_pinned = true },
		{ .name = "c", .uid = 1000, .last_used = NOW - 59, .bytes = 30 },
		{ .name = "d", .uid = 1001, .last_used = 4, .bytes = 26 },
	};

	(void)state;
	expect(v, ARRAY_LEN(v), &conf, &idle, "b:quota");
	conf.user_quota = 19;
	expect(v, ARRAY_LEN(v), &conf, &idle, "c:quota b:quota d:quota");
	/* what went for another reason is not theirs any more */
	conf.max_age = NOW - 15;
	expect(v, ARRAY_LEN(v), &conf, &idle,
	       "c:age e:age b:age d:quota");
	conf.max_age = 0;
	conf.user_quota = 30;
	expect(v, ARRAY_LEN(v), &conf, &idle, "");
	conf.user_quota = 0;
	expect(v, ARRAY_LEN(v), &conf, &idle, "");
	/* what cannot go counts all the same, and has nobody else's go */
	conf.user_quota = 26;
	expect(many, ARRAY_LEN(many), &conf, &idle, "");
	conf.grace = 59;
	expect(many, ARRAY_LEN(many), &conf, &idle, "c:quota");
}

static void a_quota_takes_children_before_what_they_stand_on(void **state)
{
	struct aq_conf conf = { .user_quota = 5 };
	struct aq_candidate v[] = {
		{ .name = "base", .uid = 1000, .last_used = 1, .bytes = 10,
		  .uses = 1 },
		{ .name = "child", .uid = 1000, .last_used = 5, .bytes = 10,
		  .base = "base" },
	};

	(void)state;
	v[0].is_base = true;
	expect(v, 2, &conf, &idle, "child:quota");
	v[0].is_base = false;
	expect(v, 2, &conf, &idle, "child:obsolete base:quota");
}

static void children_go_before_bases(void **state)
{
	struct aq_conf conf = { .max_age = DAY };
	struct aq_candidate v[] = {
		{ .name = "base", .last_used = 1, .kind = AQ_ENV_BASE,
		  .uses = 3 },
		{ .name = "child", .last_used = 5, .base = "base" },
		{ .name = "lone", .last_used = 3, .base = "lost" },
	};

	(void)state;
	/* neither is of a current base */
	expect(v, 3, &conf, &idle, "lone:obsolete child:obsolete base:age");
	v[1].is_held = true;
	expect(v, 3, &conf, &idle, "lone:obsolete");
	v[1].is_held = false;
	v[0].is_base = true;
	expect(v, 3, &conf, &idle, "lone:obsolete child:age");
	/* a former base that nobody asked for but as one */
	v[0].is_base = false;
	v[0].uses = 0;
	expect(v, 3, &conf, &idle,
	       "lone:obsolete child:obsolete base:obsolete");
	v[1].is_pinned = true;
	expect(v, 3, &conf, &idle, "lone:obsolete");
}

static void what_workflows_left_goes_first_and_without_grace(void **state)
{
	struct aq_conf conf = { .max_age = DAY, .grace = DAY };
	struct aq_collect_state some = idle;
	struct aq_candidate v[] = {
		{ .name = "a", .last_used = NOW - 1, .bytes = 10, .is_left = true },
		{ .name = "b", .last_used = 1, .bytes = 10 },
		{ .name = "c", .last_used = NOW + DAY, .is_left = true },
		{ .name = "d", .last_used = 1, .is_left = true, .is_held = true },
		{ .name = "e", .last_used = NOW, .is_left = true,
		  .is_pinned = true },
		{ .name = "f", .last_used = NOW, .is_left = true,
		  .is_base = true },
	};

	(void)state;
	expect(v, ARRAY_LEN(v), &conf, &idle, "a:left c:left b:age");
	some.max_freed = 10;
	expect(v, ARRAY_LEN(v), &conf, &some, "a:left c:left");
	/* a layer is left: its former base goes after it */
	v[0].kind = AQ_ENV_BASE;
	v[0].is_left = false;
	memcpy(v[2].base, "a", 2);
	expect(v, ARRAY_LEN(v), &conf, &idle, "c:left a:obsolete b:age");
	v[2].is_held = true;
	expect(v, ARRAY_LEN(v), &conf, &idle, "b:age");
	/* and the other way round */
	v[2].is_held = v[2].is_left = false;
	v[0].is_left = true;
	v[0].uses = 5;
	expect(v, ARRAY_LEN(v), &conf, &idle, "c:obsolete a:left b:age");
}

static void sizes_that_overflow_nothing(void **state)
{
	struct aq_conf conf = { .max_size = 1, .min_free = UINT64_MAX / 2 };
	struct aq_collect_state full = { .now = 0, .size = UINT64_MAX,
					 .max_freed = UINT64_MAX };
	struct aq_candidate v[] = {
		{ .name = "a", .bytes = UINT64_MAX - 5 },
		{ .name = "b", .bytes = 10 },
	};

	(void)state;
	expect(v, 2, &conf, &full, "a:room");
}

/* Who used theirs least lately gives it, whoever that is. */
static void domains_share_what_room_is_wanted(void **state)
{
	struct aq_claim v[] = {
		{ .last_used = 5, .bytes = 10, .uid = 7 },
		{ .last_used = 1, .bytes = 10, .uid = 0 },
		{ .last_used = 2, .bytes = 30, .uid = 7 },
		{ .last_used = 3, .bytes = 20, .uid = 8 },
	};
	struct aq_claims claims = { v, ARRAY_LEN(v) }, none = { 0 };

	(void)state;
	assert_int_equal(aq_claims_share(&none, 7, 100), 0);
	assert_int_equal(aq_claims_share(&claims, 7, 0), 0);
	assert_int_equal(aq_claims_share(&claims, 7, 10), 0);
	assert_int_equal(aq_claims_share(&claims, 7, 11), 30);
	assert_int_equal(aq_claims_share(&claims, 8, 40), 0);
	assert_int_equal(aq_claims_share(&claims, 8, 41), 20);
	assert_int_equal(aq_claims_share(&claims, 7, 1000), 40);
	assert_int_equal(aq_claims_share(&claims, 0, 1000), 10);
}

static void every_reason_has_a_word(void **state)
{
	static const char *const words[] = { "left", "obsolete", "age", "quota",
					     "room", "damaged", "unknown" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_string_equal(aq_collect_reason((enum aq_collect_why)i),
				    words[i]);
}

static void nobody_is_found_among_none(void **state)
{
	struct aq_candidate v[] = { { .name = "a" } };

	(void)state;
	assert_null(aq_candidates_find(NULL, 0, "a"));
	assert_null(aq_candidates_find(v, 1, ""));
	assert_ptr_equal(aq_candidates_find(v, 1, "a"), v);
}

#if FAULTS_HAS_MEMORY
static void without_memory_there_is_no_plan(void **state)
{
	struct aq_conf conf = { .max_age = DAY, .user_quota = 1 };
	struct aq_candidate v[] = { { .name = "a", .last_used = 1, .uid = 7 } };
	unsigned long n = 1;

	(void)state;
	for (bool has_failed = true; has_failed; n++) {
		cleanup_plan struct aq_plan plan = { 0 };
		int rc;

		faults_arm(FAULT_MEMORY, n, false);
		rc = aq_plan_make(v, 1, &conf, &idle, &plan, NULL);
		has_failed = faults_disarm();
		assert_int_equal(rc, has_failed ? AQ_SYS : 0);
		assert_int_equal(plan.n, has_failed ? 0 : 1);
	}
	assert_true(n > 3);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_goes_without_a_reason),
		cmocka_unit_test(age_counts_from_the_last_use),
		cmocka_unit_test(room_is_made_by_the_least_lately_used),
		cmocka_unit_test(a_clock_that_was_set_keeps_nothing_for_ever),
		cmocka_unit_test(what_is_asked_for_is_said),
		cmocka_unit_test(a_user_pushes_out_their_own),
		cmocka_unit_test(a_quota_takes_children_before_what_they_stand_on),
		cmocka_unit_test(children_go_before_bases),
		cmocka_unit_test(what_workflows_left_goes_first_and_without_grace),
		cmocka_unit_test(sizes_that_overflow_nothing),
		cmocka_unit_test(every_reason_has_a_word),
		cmocka_unit_test(nobody_is_found_among_none),
#if FAULTS_HAS_MEMORY
		cmocka_unit_test(without_memory_there_is_no_plan),
#endif
		cmocka_unit_test(domains_share_what_room_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
