/* SPDX-License-Identifier: Apache-2.0 */
/* References, leases, workflows, collecting: random histories of jobs, kills,
 * reboots, bases, workflows and collections, compared after each step with a model that knows who
 * runs in what.  AQ_COUNT_HISTORY operations; AQ_SEED.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/manifest.h"
#include "common/tally.h"
#include "common/refs_asked.h"
#include "tests/unit/history.h"

/* -- operations -- */

static void begin_job(struct model *m, struct job *j)
{
	const char *digest = m->samples[below(m, REQUESTS)]->digest;
	uint32_t id = 100 + (uint32_t)(j - m->jobs);

	j->is_there = true;
	if (below(m, 2)) /* with a prolog */
		assert_int_equal(aq_job_hold(m->conf, id, digest, 0, NULL), 0);
	else
		assert_int_equal(aq_job_mark(m->conf, id, NULL), 0);
}

static void begin_step(struct model *m, struct job *j, struct step *s)
{
	const struct aq_step id = step_of(m, s);
	unsigned int n = below(m, REQUESTS);
	cleanup_refs struct aq_refs *refs = refs_of(m);
	cleanup_store struct aq_store *store = store_of(m);
	cleanup_env struct aq_env *env = NULL;

	if (!j->is_there)
		begin_job(m, j);
	*s = (struct step){ .runs = true, .request = (int)n };
	assert_int_equal(aq_lease_acquire(m->conf, &id, &s->fd, NULL), 0);
	s->is_stranger = below(m, 8) == 0;
	if (!s->is_stranger)
		assert_int_equal(aq_refs_take(refs, &id, m->samples[n]->digest,
					      NULL), 0);
	if (below(m, 8))
		s->workflow = submit(m);
	if (aq_store_find_key(store, m->samples[n]->key, &env, NULL) == 0) {
		memcpy(s->env, env->name, sizeof(s->env));
		s->request = NOBODY;
		assert_int_equal(aq_store_is_plain(store, m->samples[n]->key,
						   &s->was_plain, NULL), 0);
	}
}

static int request_of(const struct model *m, const char *env)
{
	for (int i = 0; i < REQUESTS; i++)
		if (strncmp(m->samples[i]->env.lock, env, AQ_ENV_LOCK_DIGITS) == 0)
			return i;
	fail_msg("'%s' is nobody's", env);
	return NOBODY;
}

/* Much may happen between looking up and this. */
static void note_step(struct model *m, struct step *s)
{
	const struct aq_step id = step_of(m, s);
	cleanup_refs struct aq_refs *refs = refs_of(m);

	assert_int_equal(hold_hit(refs, &id, s->env, 5), 0);
	s->is_noted = true;
	if (s->workflow.name[0]) {
		note_workflow(m, refs, &s->workflow, request_of(m, s->env));
	} else if (!s->was_plain) {
		int n = request_of(m, s->env);

		assert_int_equal(aq_refs_ask_plainly(refs, m->samples[n]->key,
						     NULL), 0);
		m->noted.is_plain[n] = true;
	}
}

static void end_step(struct step *s)
{
	assert_int_equal(aq_lease_end(s->fd, NULL), 0);
	close(s->fd);
	*s = (struct step){ 0 };
}

/* slurmstepd is killed, its tasks run on until the epilog. */
static void kill_step(struct job *j, struct step *s)
{
	close(s->fd);
	s->fd = NOBODY;
	if (!j->is_there)
		*s = (struct step){ 0 };
}

static void end_job(struct model *m, struct job *j)
{
	uint32_t id = 100 + (uint32_t)(j - m->jobs);
	cleanup_refs struct aq_refs *refs = refs_of(m);

	assert_int_equal(aq_refs_drop_job(refs, id, NULL), 0);
	assert_int_equal(aq_job_unmark(m->conf, id, NULL), 0);
	assert_int_equal(aq_refs_sweep(refs, NULL), 0);
	j->is_there = false;
	for (size_t i = 0; i < STEPS; i++)
		if (j->steps[i].runs && j->steps[i].fd == NOBODY)
			j->steps[i] = (struct step){ 0 };
}

static int age_lease(const char *name, void *arg, struct aq_err *err)
{
	static const char boot[] = "00000000-0000-0000-0000-000000000000";
	cleanup_free char *path = path_below(arg, name);
	struct stat st;

	(void)err;
	assert_int_equal(stat(path, &st), 0);
	if (st.st_size > 1) /* it says what it holds, and of which boot */
		scribble(path, 0, boot, strlen(boot));
	return 0;
}

static void age_leases(const struct aq_conf *conf)
{
	cleanup_free char *path = path_below(conf->run_dir, "leases");
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(aq_each_entry(fd, path, age_lease, path, NULL), 0);
}

static void reboot(struct model *m)
{
	for (size_t j = 0; j < JOBS; j++) {
		for (size_t i = 0; i < STEPS; i++)
			if (m->jobs[j].steps[i].runs &&
			    m->jobs[j].steps[i].fd != NOBODY)
				close(m->jobs[j].steps[i].fd);
		m->jobs[j] = (struct job){ 0 };
	}
	/* now and then run_dir outlives it */
	if (below(m, 2)) {
		assert_int_equal(aq_remove_tree(AT_FDCWD, m->conf->run_dir, NULL), 0);
		assert_int_equal(aq_layout_prepare(m->conf, NULL), 0);
		m->noted = (struct asked){ 0 };
		return;
	}
	age_leases(m->conf);
}

static void change_base(struct model *m)
{
	cleanup_store struct aq_store *store = store_of(m);
	cleanup_env struct aq_env *env = NULL;
	unsigned int n = below(m, REQUESTS / 2);

	if (below(m, 3) == 0 && m->base[0]) {
		assert_int_equal(aq_store_base_unset(store, "3.12", NULL), 0);
		m->base[0] = '\0';
	} else if (aq_store_find_key(store, m->samples[n]->key, &env, NULL) == 0) {
		assert_int_equal(aq_store_base_set(store, "3.12", env->name, NULL), 0);
		memcpy(m->base, env->name, sizeof(m->base));
	}
}

static void pin(struct model *m, bool is_on)
{
	cleanup_store struct aq_store *store = store_of(m);
	cleanup_env struct aq_env *env = NULL;
	unsigned int n = below(m, REQUESTS);

	if (aq_store_find_key(store, m->samples[n]->key, &env, NULL) == 0)
		assert_int_equal(aq_store_pin(store, env->name, is_on, NULL), 0);
}

static bool has_strangers(const struct model *m)
{
	for (size_t j = 0; j < JOBS; j++)
		for (size_t i = 0; i < STEPS; i++)
			if (m->jobs[j].steps[i].is_stranger)
				return true;
	return false;
}

static void collect(struct model *m, bool is_all)
{
	struct aq_collect_state state = { .max_freed = UINT64_MAX,
					  .now = below(m, 2) ? 0 : 1ull << 40,
					  .size = is_all ? 1 << 20 : below(m, 60) };
	cleanup_plan struct aq_plan plan = { 0 };
	cleanup_store struct aq_store *store = NULL;
	cleanup_close int lock = -1;

	m->conf->grace = is_all ? 0 : below(m, 2);
	assert_int_equal(aq_collect_begin(m->conf, &lock, NULL), 0);
	assert_int_equal(aq_collect_plan(m->conf, &state, &plan, NULL), 0);
	store = store_of(m);
	move(m, store);
	for (size_t i = 0; i < plan.n; i++) {
		if (plan.v[i].why == AQ_COLLECT_LEFT) {
			assert_false(is_wanted(m, request_of(m, plan.v[i].name)));
			m->n_left++;
		}
		assert_int_equal(aq_collect_one(m->conf, &plan.v[i], NULL),
				 has_strangers(m) ? AQ_BUSY : 0);
		m->n_collected += !has_strangers(m);
	}
	move(m, store); /* what is gone is not asked for plainly any more */
	assert_int_equal(aq_collect_empty_trash(m->conf, false, NULL), 0);
}

static void act(struct model *m)
{
	struct job *j = &m->jobs[below(m, JOBS)];
	struct step *s = &j->steps[below(m, STEPS)];

	switch (below(m, 28)) {
	case 0:
		reboot(m);
		break;
	case 1:
	case 2:
		change_base(m);
		break;
	case 3:
		pin(m, true);
		break;
	case 4:
	case 5:
		pin(m, false);
		break;
	case 6:
	case 7:
	case 8:
		end_job(m, j);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		build(m, below(m, REQUESTS));
		break;
	case 13:
	case 14:
	case 15:
		collect(m, false);
		break;
	case 16:
		if (s->runs && s->fd != NOBODY && !s->is_stranger)
			kill_step(j, s);
		break;
	case 17:
	case 18:
		remove_workflow(m);
		break;
	case 19:
		take_notes(m);
		break;
	default:
		if (!s->runs)
			begin_step(m, j, s);
		else if (s->env[0] && !s->is_noted && !s->is_stranger)
			note_step(m, s);
		else if (s->fd != NOBODY && below(m, 2))
			end_step(s);
	}
}

/* -- what must hold -- */

static void must_be_there(struct model *m, struct aq_store *store,
			  const char *name)
{
	cleanup_env struct aq_env *env = NULL;
	char *prefix = prefix_of(m, name);

	if (aq_store_find_name(store, name, &env, NULL) != 0 ||
	    access(prefix, F_OK) < 0)
		fail_msg("'%s' is in use and gone", name);
	free(prefix);
	if (env->base[0])
		must_be_there(m, store, env->base);
}

static void check(struct model *m)
{
	cleanup_store struct aq_store *store = store_of(m);

	if (m->base[0])
		must_be_there(m, store, m->base);
	for (size_t j = 0; j < JOBS; j++)
		for (size_t i = 0; i < STEPS; i++)
			if (m->jobs[j].steps[i].runs &&
			    m->jobs[j].steps[i].env[0])
				must_be_there(m, store, m->jobs[j].steps[i].env);
}

static int count_one(const struct aq_env *env, void *arg, struct aq_err *err)
{
	(void)err;
	*(size_t *)arg += !env->pinned;
	return 0;
}

/* Without a limit what is wanted stays, but for layers of no base, and nothing
 * else does.
 */
static void check_left(struct model *m)
{
	bool was_there[REQUESTS];
	cleanup_store struct aq_store *store = store_of(m);

	for (int i = 0; i < REQUESTS; i++)
		was_there[i] = is_there(store, m->samples[i]);
	aq_store_close(steal(&store));
	m->conf->max_size = 0;
	collect(m, false);
	m->conf->max_size = 1;
	store = store_of(m);
	for (int i = 0; i < REQUESTS; i++) {
		bool is_layer = m->samples[i]->env.base[0];
		bool is_now = is_there(store, m->samples[i]);

		if (is_now && (is_layer || !is_wanted(m, i)))
			fail_msg("request %d: its environment is left", i);
		if (was_there[i] && !is_now && !is_layer && is_wanted(m, i))
			fail_msg("request %d: its environment is gone", i);
	}
}

/* Everything ends: nothing is referenced, nothing but pins and the base, and
 * what they stand on, is left.
 */
static void end_all(struct model *m)
{
	cleanup_refs struct aq_refs *refs = NULL;
	cleanup_store struct aq_store *store = NULL;
	uint64_t n = 0;
	size_t left = 0;

	for (size_t j = 0; j < JOBS; j++) {
		for (size_t i = 0; i < STEPS; i++)
			if (m->jobs[j].steps[i].runs &&
			    m->jobs[j].steps[i].fd != NOBODY)
				end_step(&m->jobs[j].steps[i]);
		end_job(m, &m->jobs[j]);
	}
	refs = refs_of(m);
	assert_int_equal(aq_refs_count(refs, NULL, &n, NULL), 0);
	assert_int_equal(n, 0);
	store = store_of(m);
	for (size_t i = 0; i < REQUESTS; i++) {
		cleanup_env struct aq_env *env = NULL;

		if (aq_store_find_key(store, m->samples[i]->key, &env, NULL) == 0)
			assert_int_equal(aq_store_pin(store, env->name, false,
						      NULL), 0);
	}
	if (m->base[0])
		assert_int_equal(aq_store_base_unset(store, "3.12", NULL), 0);
	m->base[0] = '\0';
	aq_store_close(steal(&store));
	check_left(m);
	collect(m, true);
	store = store_of(m);
	assert_int_equal(aq_store_each(store, AQ_STORE_BY_NAME, false, count_one, &left, NULL), 0);
	assert_int_equal(left, 0);
}

static void nothing_in_use_ever_goes(void **state)
{
	unsigned long n = count_of("AQ_COUNT_HISTORY", 2000);
	struct model m = { .conf = *state,
			   .seed = (unsigned int)count_of("AQ_SEED", 1) };

	m.conf->max_size = 1;
	m.conf->max_workflows = 100;
	for (unsigned int i = 0; i < REQUESTS; i++)
		m.samples[i] = sample(i, 1);
	for (unsigned long i = 0; i < n; i++) {
		act(&m);
		check(&m);
	}
	end_all(&m);
	/* it would be no test of collecting otherwise */
	assert_true(m.n_collected > n / 100);
	assert_true(m.n_left > n / 1000);
	for (size_t i = 0; i < REQUESTS; i++)
		sample_free(m.samples[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_in_use_ever_goes,
						cachedir_setup,
						cachedir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
