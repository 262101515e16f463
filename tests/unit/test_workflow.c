/* SPDX-License-Identifier: Apache-2.0 */
/* Workflows: as notes in refs.db, as rows of cache.db, as their
 * users read them, and what they leave.
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
#include "common/flock.h"
#include "common/notes.h"
#include "common/refs_asked.h"
#include "common/workflows.h"
#include "tests/unit/cachedir.h"

#define SAMPLES 4
#define UID 1001
#define OTHER 1002

/* -- a node with environments -- */

struct node {
	struct aq_conf *conf;
	struct aq_refs *refs;
	struct aq_store *store;
	struct sample *samples[SAMPLES];
};

static void begin(struct node *n, void **state)
{
	n->conf = *state;
	n->conf->max_workflows = 3;
	assert_int_equal(aq_refs_open(n->conf, &n->refs, NULL), 0);
	assert_int_equal(aq_store_open(n->conf, AQ_STORE_WRITE, &n->store, NULL),
			 0);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		n->samples[i] = sample(i, 1);
		n->samples[i]->tie.is_of_workflow = true;
		assert_int_equal(aq_store_commit(n->store, &n->samples[i]->env,
						 &n->samples[i]->tie, NULL), 0);
	}
}

static void end(struct node *n)
{
	for (unsigned int i = 0; i < SAMPLES; i++)
		sample_free(n->samples[i]);
	aq_store_close(n->store);
	aq_refs_close(n->refs);
}

/* 'uid's 'name', submitted at 'at', asks for sample 'i'; or, -1, is removed. */
static void ask(struct node *n, uint32_t uid, const char *name, uint64_t at,
		int i)
{
	struct aq_workflow w = { .uid = uid, .submitted = at,
				 .is_removed = i < 0 };

	assert_true(aq_copy_text(w.name, sizeof(w.name), name));
	assert_int_equal(aq_refs_ask(n->refs, &w, i < 0 ? "" : n->samples[i]->key,
				     i < 0 ? "" : n->samples[i]->digest, NULL),
			 0);
}

static bool has_news(struct node *n)
{
	bool is_any = false;

	assert_int_equal(aq_store_has_news(n->store, n->refs, &is_any, NULL), 0);
	return is_any;
}

static void take(struct node *n)
{
	bool is_asked = true;

	assert_int_equal(aq_store_take_notes(n->conf, n->store, n->refs, NULL),
			 0);
	assert_int_equal(aq_refs_is_asked(n->refs, NULL, &is_asked, NULL), 0);
	assert_false(is_asked);
	assert_false(has_news(n));
}

/* "UID/NAME=NUMBER" of each workflow, as 'fn' gets them. */
struct listing {
	struct node *n;
	struct aq_str text;
};

static int add(const struct aq_workflow_state *w, void *arg, struct aq_err *err)
{
	struct listing *l = arg;
	int found = -1;

	(void)err;
	for (int i = 0; i < SAMPLES; i++)
		if (strcmp(w->key, l->n->samples[i]->key) == 0)
			found = i;
	assert_true(found >= 0);
	assert_string_equal(w->digest, l->n->samples[found]->digest);
	if (*w->env) {
		assert_string_equal(w->env, l->n->samples[found]->env.name);
		assert_string_equal(w->canonical,
				    l->n->samples[found]->canonical);
	} else {
		assert_string_equal(w->canonical, "");
	}
	aq_str_add_fmt(&l->text, "%s%u/%s=%d%s", l->text.len ? " " : "", w->uid,
		       w->name, found, *w->env ? "" : "!");
	return 0;
}

static void expect(struct node *n, uint64_t uid, const char *name,
		   const char *what)
{
	struct listing l = { n, AQ_STR_INIT(4096) };

	assert_int_equal(aq_store_each_workflow(n->store, uid, name, add, &l,
						NULL), 0);
	assert_string_equal(aq_str_get(&l.text), what);
	aq_str_free(&l.text);
}

static void expect_all(struct node *n, const char *what)
{
	expect(n, AQ_WORKFLOWS_ALL, NULL, what);
}

static void the_last_one_submitted_counts(void **state)
{
	struct node n;

	begin(&n, state);
	ask(&n, UID, "a", 20, 1);
	ask(&n, UID, "a", 10, 0);
	take(&n);
	expect_all(&n, "1001/a=1");
	/* the same in cache.db */
	ask(&n, UID, "a", 15, 2);
	assert_false(has_news(&n));
	take(&n);
	expect_all(&n, "1001/a=1");
	ask(&n, UID, "a", 30, 2);
	assert_true(has_news(&n));
	take(&n);
	expect_all(&n, "1001/a=2");
	/* submitted at once: the later one */
	ask(&n, UID, "a", 30, 3);
	assert_true(has_news(&n));
	take(&n);
	expect_all(&n, "1001/a=3");
	/* again: nothing that bears on what is obsolete, but kept */
	ask(&n, UID, "a", 50, 3);
	assert_false(has_news(&n));
	take(&n);
	ask(&n, UID, "a", 40, 1);
	take(&n);
	expect_all(&n, "1001/a=3");
	end(&n);
}

static void users_do_not_meet(void **state)
{
	struct node n;

	begin(&n, state);
	ask(&n, UID, "a", 10, 0);
	ask(&n, OTHER, "a", 20, 1);
	ask(&n, OTHER, "b", 20, 1);
	ask(&n, UINT32_MAX, "b", 20, 2);
	take(&n);
	expect_all(&n, "1001/a=0 1002/a=1 1002/b=1 4294967295/b=2");
	expect(&n, UID, NULL, "1001/a=0");
	expect(&n, OTHER, "b", "1002/b=1");
	ask(&n, OTHER, "a", 30, -1);
	take(&n);
	expect_all(&n, "1001/a=0 1002/b=1 4294967295/b=2");
	end(&n);
}

static void what_is_removed_comes_back_by_what_is_submitted_later(void **state)
{
	struct node n;

	begin(&n, state);
	ask(&n, UID, "a", 20, -1);
	ask(&n, UID, "a", 10, 0);
	take(&n);
	expect_all(&n, "");
	ask(&n, UID, "a", 15, 0);
	take(&n);
	expect_all(&n, "");
	ask(&n, UID, "a", 21, 0);
	take(&n);
	expect_all(&n, "1001/a=0");
	assert_int_equal(aq_store_forget_workflow(n.store,
			 &(struct aq_workflow){ .uid = UID, .name = "a",
						.submitted = 21 }, NULL), 0);
	expect_all(&n, "");
	end(&n);
}

static void a_user_has_so_many(void **state)
{
	struct node n;
	char name[16];

	begin(&n, state);
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "w%u", i);
		ask(&n, UID, name, 100 + i, 0);
		if (i % 2)
			take(&n);
	}
	ask(&n, OTHER, "x", 1, 1);
	take(&n);
	expect_all(&n, "1001/w7=0 1001/w8=0 1001/w9=0 1002/x=1");
	/* removed ones are as many, and in nobody's way */
	for (unsigned int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		ask(&n, UID, name, 200 + i, -1);
	}
	ask(&n, UID, "w8", 300, 0);
	take(&n);
	expect(&n, UID, NULL, "1001/w7=0 1001/w8=0 1001/w9=0");
	ask(&n, UID, "r9", 205, 0); /* still known as removed */
	take(&n);
	expect(&n, UID, NULL, "1001/w7=0 1001/w8=0 1001/w9=0");
	/* one that comes late, and was submitted before the others */
	ask(&n, UID, "late", 50, 0);
	take(&n);
	expect(&n, UID, NULL, "1001/w7=0 1001/w8=0 1001/w9=0");
	end(&n);
}

/* -- what is left -- */

static bool has_left(struct node *n)
{
	bool is_any = false;

	assert_int_equal(aq_store_has_left(n->store, n->refs, &is_any, NULL), 0);
	return is_any;
}

/* The samples that are left: "01", ... */
static void expect_left(struct node *n, const char *what)
{
	struct aq_candidate *v = NULL;
	char got[SAMPLES + 1] = "";
	size_t size = 0;

	assert_int_equal(aq_store_candidates(n->store, n->refs, &v, &size, NULL),
			 0);
	for (int i = 0; i < SAMPLES; i++)
		for (size_t j = 0; j < size; j++)
			if (v[j].is_left &&
			    strcmp(v[j].name, n->samples[i]->env.name) == 0)
				got[strlen(got)] = (char)('0' + i);
	free(v);
	assert_string_equal(got, what);
}

static void only_what_nobody_asks_for_is_left(void **state)
{
	struct aq_binding tie;
	struct node n;
	bool is_plain = true;

	begin(&n, state);
	expect_left(&n, "0123");
	ask(&n, UID, "a", 10, 0);
	ask(&n, OTHER, "a", 10, 0);
	ask(&n, OTHER, "b", 10, 1);
	take(&n);
	expect_left(&n, "23");
	assert_int_equal(aq_store_is_plain(n.store, n.samples[2]->key, &is_plain,
					   NULL), 0);
	assert_false(is_plain);
	assert_int_equal(aq_refs_ask_plainly(n.refs, n.samples[2]->key, NULL), 0);
	assert_int_equal(aq_refs_ask_plainly(n.refs, n.samples[2]->key, NULL), 0);
	assert_true(has_news(&n));
	take(&n);
	assert_int_equal(aq_store_is_plain(n.store, n.samples[2]->key, &is_plain,
					   NULL), 0);
	assert_true(is_plain);
	expect_left(&n, "3");
	/* a second key of the same environment holds it too */
	tie = n.samples[3]->tie;
	tie.key = n.samples[1]->key;
	assert_int_equal(aq_store_bind(n.store, n.samples[3]->env.name, &tie,
				       NULL), 0);
	expect_left(&n, "");
	ask(&n, OTHER, "b", 20, 0);
	take(&n);
	expect_left(&n, "13");
	ask(&n, OTHER, "a", 20, -1);
	ask(&n, OTHER, "b", 21, -1);
	take(&n);
	expect_left(&n, "13");
	ask(&n, UID, "a", 20, -1);
	take(&n);
	expect_left(&n, "013");
	/* once plain, whoever binds it */
	assert_int_equal(aq_store_bind(n.store, n.samples[2]->env.name,
				       &n.samples[2]->tie, NULL), 0);
	expect_left(&n, "013");
	tie.is_of_workflow = false;
	assert_int_equal(aq_store_bind(n.store, n.samples[3]->env.name, &tie,
				       NULL), 0);
	expect_left(&n, "0");
	assert_int_equal(aq_store_make_plain(n.store, n.samples[0]->key, NULL),
			 0);
	expect_left(&n, "");
	end(&n);
}

static void what_is_left_goes_when_it_can(void **state)
{
	const struct aq_step step = { 1, 0, UINT32_MAX };
	const char *env;
	struct node n;

	begin(&n, state);
	env = n.samples[0]->env.name;
	for (int i = 1; i < SAMPLES; i++)
		assert_int_equal(aq_store_make_plain(n.store, n.samples[i]->key,
						     NULL), 0);
	assert_true(has_left(&n));
	assert_int_equal(aq_refs_take(n.refs, &step, n.samples[0]->digest, NULL),
			 0);
	assert_false(has_left(&n));
	assert_int_equal(hold_hit(n.refs, &step, env, 5), 0);
	assert_false(has_left(&n));
	assert_int_equal(hold_hit(n.refs, &step, n.samples[1]->env.name, 5), 0);
	assert_true(has_left(&n));
	assert_int_equal(aq_store_base_set(n.store, "3.12", env, NULL), 0);
	assert_false(has_left(&n));
	assert_int_equal(aq_store_base_unset(n.store, "3.12", NULL), 0);
	assert_true(has_left(&n));
	end(&n);
}

/* Between the plan and its turn somebody asked for it. */
static void what_is_asked_for_again_stays(void **state)
{
	struct aq_victim v = { .why = AQ_COLLECT_LEFT };
	struct node n;

	begin(&n, state);
	memcpy(v.name, n.samples[0]->env.name, sizeof(v.name));
	ask(&n, UID, "a", 10, 0);
	assert_int_equal(aq_store_collect(n.store, n.refs, &v, NULL), AQ_BUSY);
	take(&n);
	assert_int_equal(aq_store_collect(n.store, n.refs, &v, NULL), AQ_BUSY);
	ask(&n, UID, "a", 20, -1);
	take(&n);
	assert_int_equal(aq_refs_ask_plainly(n.refs, n.samples[0]->key, NULL), 0);
	assert_int_equal(aq_store_collect(n.store, n.refs, &v, NULL), AQ_BUSY);
	assert_int_equal(aq_refs_clear_asked(n.refs, NULL), 0);
	assert_int_equal(aq_store_collect(n.store, n.refs, &v, NULL), 0);
	/* room is made whoever asks */
	memcpy(v.name, n.samples[1]->env.name, sizeof(v.name));
	v.why = AQ_COLLECT_ROOM;
	ask(&n, UID, "b", 10, 1);
	take(&n);
	expect_all(&n, "1001/b=1");
	assert_int_equal(aq_store_collect(n.store, n.refs, &v, NULL), 0);
	expect_all(&n, "1001/b=1!");
	end(&n);
}

/* -- for their users -- */

static void expect_file(struct node *n, uint32_t uid, const char *name, int rc,
			const char *what)
{
	struct listing l = { n, AQ_STR_INIT(4096) };

	assert_int_equal(aq_workflows_read(n->conf, uid, name, add, &l, NULL),
			 rc);
	assert_string_equal(aq_str_get(&l.text), what);
	aq_str_free(&l.text);
}

static void their_users_read_what_is_there(void **state)
{
	struct stat st;
	struct node n;
	char *path;

	begin(&n, state);
	expect_file(&n, UID, NULL, AQ_MISS, "");
	ask(&n, UID, "a", 10, 0);
	ask(&n, UID, "b", 10, 1);
	ask(&n, OTHER, "b", 10, 2);
	take(&n);
	expect_file(&n, UID, NULL, 0, "1001/a=0 1001/b=1");
	expect_file(&n, UID, "b", 0, "1001/b=1");
	expect_file(&n, OTHER, NULL, 0, "1002/b=2");
	path = path_below(n.conf->public_dir, "workflows/1001");
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_mode & 0337, 0); /* the group's bits: the mask */
	/* a link in its place is replaced, not followed */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../../elsewhere", path), 0);
	expect_file(&n, UID, NULL, AQ_SYS, "");
	assert_int_equal(aq_workflows_publish(n.conf, n.store, UID, 0, NULL), 0);
	expect_file(&n, UID, NULL, 0, "1001/a=0 1001/b=1");
	free(path);
	/* what is gone is told of, once a collector has told of all */
	assert_int_equal(aq_store_remove(n.store, n.samples[1]->env.name, NULL),
			 0);
	ask(&n, OTHER, "b", 20, -1);
	take(&n);
	expect_file(&n, OTHER, NULL, AQ_MISS, "");
	assert_int_equal(aq_workflows_publish_all(n.conf, n.store, NULL), 0);
	expect_file(&n, UID, NULL, 0, "1001/a=0 1001/b=1!");
	end(&n);
}

static void files_of_nobody_go(void **state)
{
	struct node n;
	char *path;

	begin(&n, state);
	path = path_below(n.conf->public_dir, "workflows/77");
	scribble(path, 0, "x", 1);
	expect_file(&n, 77, NULL, AQ_CORRUPT, "");
	scribble(path, 0, "aq-workflows 1\nworkflow a x", 27);
	expect_file(&n, 77, NULL, AQ_CORRUPT, "");
	assert_int_equal(aq_workflows_publish_all(n.conf, n.store, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	free(path);
	end(&n);
}

static void one_writes_at_a_time(void **state)
{
	struct node n;
	int lock;

	begin(&n, state);
	ask(&n, UID, "a", 0, 1);
	take(&n);
	assert_int_equal(aq_flock_try(n.conf, "workflows", AQ_FLOCK_EXCLUSIVE,
				      &lock, NULL),
			 0);
	assert_int_equal(aq_workflows_publish(n.conf, n.store, UID, 0, NULL),
			 AQ_BUSY);
	close(lock);
	assert_int_equal(aq_workflows_publish(n.conf, n.store, UID, 0, NULL), 0);
	end(&n);
}

int main(void)
{
#define ON_NODE(test)                                                          \
	cmocka_unit_test_setup_teardown(test, cachedir_setup, cachedir_teardown)
	const struct CMUnitTest tests[] = {
		ON_NODE(the_last_one_submitted_counts),
		ON_NODE(users_do_not_meet),
		ON_NODE(what_is_removed_comes_back_by_what_is_submitted_later),
		ON_NODE(a_user_has_so_many),
		ON_NODE(only_what_nobody_asks_for_is_left),
		ON_NODE(what_is_left_goes_when_it_can),
		ON_NODE(what_is_asked_for_again_stays),
		ON_NODE(their_users_read_what_is_there),
		ON_NODE(files_of_nobody_go),
		ON_NODE(one_writes_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
