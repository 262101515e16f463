/* SPDX-License-Identifier: Apache-2.0 */
/* Databases that are damaged in any way, met by the hooks of a job and by its builder:
 * none crashes or hangs, none gives another environment than the one that was asked
 * for, and what was ready is so again.  AQ_COUNT_DAMAGE of them, from AQ_SEED on.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/db_raw.h"
#include "common/hit.h"
#include "common/io.h"
#include "common/key.h"
#include "common/manifest.h"
#include "common/memo.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/damage.h"

#define REQUESTS 4
#define PINNED 2 /* that one of them */
#define SECONDS 60 /* of one, on a loaded machine, under a sanitizer */
#define DB_MAX (1024 * 1024)

/* What one process saw; shared with it. */
struct seen {
	enum aq_class first[REQUESTS], later[REQUESTS];
	enum aq_class opened, found[REQUESTS], epilog;
	bool is_wrong; /* something else than was asked for */
	bool is_pinned, has_base;
	char text[AQ_ERR_TEXT_MAX]; /* the last that was said */
};

struct node {
	struct aq_conf *conf; /* as loaded */
	char *conf_path, *cache_db, *refs_db;
	char canonical[REQUESTS][96];
	char key[REQUESTS][AQ_SHA256_HEX_SIZE];
	struct aq_request *req[REQUESTS];
	char *context[REQUESTS];
	struct sample *samples[REQUESTS];
	struct aq_answer *right[REQUESTS]; /* of a hit */
	struct whole cache, refs;
	struct seen *seen;
};

/* -- a node whose cache has an environment for each request -- */

static void read_whole_file(const char *path, struct aq_str *ret)
{
	*ret = (struct aq_str)AQ_STR_INIT(DB_MAX);
	if (aq_read_file(AT_FDCWD, path, ret, NULL) != 0)
		fail_msg("'%s' cannot be read", path);
}

/* The journal of a transaction that was under way. */
static void take_journal(const char *path, struct whole *ret)
{
	cleanup_free char *journal = NULL;
	cleanup_db struct aq_db *db = NULL;

	assert_true(asprintf(&journal, "%s-journal", path) > 0);
	assert_int_equal(aq_db_open_raw(path, 1000, &db, NULL), 0);
	/* unflushed: its header says that it is whole from the start */
	assert_int_equal(aq_db_script(db, "PRAGMA synchronous=0;"
				      "CREATE TABLE IF NOT EXISTS x(y)", NULL), 0);
	assert_int_equal(aq_db_begin(db, NULL), 0);
	assert_int_equal(aq_db_script(db, "DROP TABLE x", NULL), 0);
	read_whole_file(journal, &ret->journal);
	assert_int_not_equal(aq_db_end(db, AQ_BUSY, NULL), 0);
	assert_int_equal(aq_db_script(db, "DROP TABLE x", NULL), 0);
}

static void write_conf(struct node *n, const struct aq_conf *dirs)
{
	char text[2048];
	struct aq_err err = { 0 };

	snprintf(text, sizeof(text), "cache_dir = %s\nrun_dir = %s\n"
		 "channels = conda-forge=https://mirror.example/conda-forge\n",
		 dirs->cache_dir, dirs->run_dir);
	n->conf_path = path_below(dirs->cache_dir, "aq.conf");
	scribble(n->conf_path, 0, text, strlen(text));
	if (aq_conf_load(n->conf_path, "n1", &n->conf, &err) != 0)
		fail_msg("%s", err.text);
}

static void commit(struct node *n, struct aq_store *store, unsigned int i)
{
	cleanup_free char *envs = NULL, *prefix = NULL;
	struct sample *s = n->samples[i] = sample(i, 1);
	struct aq_base base;
	struct aq_err err = { 0 };

	snprintf(n->canonical[i], sizeof(n->canonical[i]),
		 "aq-request 1\nchannel conda-forge\nconda demo ==%u\n", i);
	assert_int_equal(aq_request_parse(n->canonical[i],
					  strlen(n->canonical[i]), n->conf,
					  &n->req[i], &err), 0);
	assert_int_equal(aq_base_context(store, n->conf, n->req[i],
					 &n->context[i], &base, &err), 0);
	assert_int_equal(aq_key(n->req[i], n->context[i], n->key[i], &err), 0);
	s->tie = (struct aq_binding){ .key = n->key[i],
				      .digest = n->req[i]->digest,
				      .context = n->context[i],
				      .canonical = n->req[i]->canonical };
	envs = path_below(n->conf->cache_dir, "envs");
	prefix = path_below(envs, s->env.name);
	assert_int_equal(mkdir(prefix, 0755), 0);
	if (aq_manifest_write(n->conf, &s->env, &s->tie, s->lock, &err) != 0 ||
	    aq_store_commit(store, &s->env, &s->tie, &err) != 0)
		fail_msg("%s", err.text);
}

/* As the stage's worker does: the short way first. */
static enum aq_class stage(const struct node *n, unsigned int i,
			   struct aq_answer *ret, struct aq_err *err)
{
	struct aq_stage s = { .conf_path = n->conf_path, .node = "n1",
			      .step = { 7, i, UINT32_MAX },
			      .canonical = n->canonical[i],
			      .canonical_len = strlen(n->canonical[i]),
			      .answer = ret };
	int rc = aq_hit(&s, err);

	if (rc == AQ_MISS)
		rc = aq_phase_stage(&s, err);
	if (s.ret_lease_fd >= 0)
		close(s.ret_lease_fd);
	return (enum aq_class)rc;
}

static void begin(struct node *n, void **state)
{
	struct aq_store *store = NULL;
	struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };

	*n = (struct node){ 0 };
	write_conf(n, *state);
	assert_int_equal(aq_refs_open(n->conf, &refs, &err), 0);
	aq_refs_close(refs);
	assert_int_equal(aq_store_open(n->conf, AQ_STORE_WRITE, &store, &err), 0);
	for (unsigned int i = 0; i < REQUESTS; i++)
		commit(n, store, i);
	assert_int_equal(aq_store_pin(store, n->samples[PINNED]->env.name, true,
				      &err), 0);
	assert_int_equal(aq_store_base_set(store, "3.12",
					   n->samples[0]->env.name, &err), 0);
	aq_store_close(store);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		n->right[i] = calloc(1, sizeof(*n->right[i]));
		assert_non_null(n->right[i]);
		if (stage(n, i, n->right[i], &err) != AQ_OK)
			fail_msg("%s", err.text);
	}
	n->cache_db = path_below(n->conf->cache_dir, "cache.db");
	n->refs_db = path_below(n->conf->run_dir, "refs.db");
	take_journal(n->cache_db, &n->cache);
	take_journal(n->refs_db, &n->refs);
	read_whole_file(n->cache_db, &n->cache.db);
	read_whole_file(n->refs_db, &n->refs.db);
	n->seen = mmap(NULL, sizeof(*n->seen), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(n->seen != MAP_FAILED);
}

static void end(struct node *n)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		sample_free(n->samples[i]);
		aq_request_free(n->req[i]);
		free(n->context[i]);
		free(n->right[i]);
	}
	for (struct whole *w = &n->cache; w; w = w == &n->cache ? &n->refs : NULL) {
		aq_str_free(&w->db);
		aq_str_free(&w->journal);
	}
	munmap(n->seen, sizeof(*n->seen));
	aq_conf_free(n->conf);
	free(n->conf_path);
	free(n->cache_db);
	free(n->refs_db);
}

/* -- what a job's processes do, in one of their own -- */

static enum aq_class note(struct seen *s, int rc, const struct aq_err *err)
{
	if (rc && err->text[0])
		memcpy(s->text, err->text, sizeof(s->text));
	return (enum aq_class)rc;
}

static void ask(const struct node *n, enum aq_class ret[REQUESTS])
{
	static struct aq_answer a;
	static struct aq_err err;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		memset(&a, 0, sizeof(a));
		err.text[0] = '\0';
		ret[i] = note(n->seen, (int)stage(n, i, &a, &err), &err);
		if (ret[i] == AQ_OK)
			n->seen->is_wrong |=
				!aq_answer_is_sound(&a) ||
				strcmp(a.prefix, n->right[i]->prefix) != 0 ||
				strcmp(a.lock, n->right[i]->lock) != 0 ||
				a.ops_len != n->right[i]->ops_len ||
				memcmp(a.ops, n->right[i]->ops, a.ops_len) != 0;
	}
}

/* A builder, whose request is missing. */
static void examine(const struct node *n)
{
	static struct aq_err err;
	cleanup_store struct aq_store *store = NULL;
	struct seen *s = n->seen;
	struct aq_bases bases = { 0 };

	s->opened = note(s, aq_store_open(n->conf, AQ_STORE_EXAMINE, &store,
					  &err), &err);
	for (unsigned int i = 0; store && i < REQUESTS; i++) {
		cleanup_env struct aq_env *env = NULL;

		s->found[i] = note(s, aq_store_find_key(store, n->key[i], &env,
							&err), &err);
		if (env && strcmp(env->name, n->samples[i]->env.name) != 0)
			s->is_wrong = true;
		if (env && i == PINNED)
			s->is_pinned = env->pinned;
		if (env)
			(void)note(s, aq_store_bind(store, env->name,
						    &n->samples[i]->tie, &err),
				   &err);
	}
	if (store && aq_store_bases(store, &bases, &err) == 0)
		s->has_base = bases.n == 1 &&
			      strcmp(bases.v[0].env,
				     n->samples[0]->env.name) == 0;
}

static void be_a_job(const struct node *n)
{
	static struct aq_err err;
	const struct aq_job job = { .conf_path = n->conf_path, .node = "n1",
				    .job = 7 };

	alarm(SECONDS);
	ask(n, n->seen->first);
	examine(n);
	ask(n, n->seen->later);
	n->seen->epilog = note(n->seen, aq_phase_epilog(&job, &err), &err);
	_exit(0);
}

/* -- what it must have seen -- */

/* It may be: what tells a version from damage is nothing. */
static bool is_newer(const char *path)
{
	unsigned char v[4] = { 0 };
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && pread(fd, v, 4, 60) < 0)
		v[0] = 0;
	if (fd >= 0)
		close(fd);
	return v[0] || v[1] || v[2] || v[3] > 1;
}

/* Who wrote rows as ours are decides what there is, but not what a request gets. */
static const char *judge(const struct node *n, bool was_newer, bool has_rows)
{
	cleanup_free char *aside =
		path_below(n->conf->cache_dir, "cache.db.corrupt-1");
	const struct seen *s = n->seen;
	bool is_left_alone = s->opened == AQ_SYS;

	if (s->is_wrong)
		return "another environment than was asked for";
	if (is_left_alone && !was_newer)
		return "what is not newer is left alone";
	if (!is_left_alone && s->opened)
		return "it is not opened";
	for (int i = 0; i < REQUESTS; i++) {
		if (s->first[i] && s->first[i] != AQ_MISS)
			return "the job does not run";
		if (has_rows) {
			if ((s->later[i] && s->later[i] != AQ_MISS) ||
			    (s->found[i] && s->found[i] != AQ_MISS))
				return "the next job does not run";
			continue;
		}
		if (s->later[i] != (is_left_alone ? AQ_MISS : AQ_OK))
			return "no hit once it was healed";
		if (!is_left_alone && s->found[i])
			return "an environment is lost";
	}
	/* else it looked sound: `aq verify` compares these with what is in meta/ */
	if (access(aside, F_OK) == 0 && (!s->is_pinned || !s->has_base))
		return "a pin or a base is lost";
	return s->epilog && s->epilog != AQ_MISS ? "the epilog fails" : NULL;
}

/* As they were, and nothing that was set aside or is in use. */
static int drop_one(const char *name, void *arg, struct aq_err *err)
{
	return aq_starts_with(name, "cache.db") || aq_starts_with(name, "refs.db") ?
		       aq_remove_tree(*(const int *)arg, name, err) : 0;
}

static void restore(const struct node *n)
{
	const char *const dirs[] = { n->conf->cache_dir, n->conf->run_dir };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		cleanup_close int fd = -1;

		assert_int_equal(aq_open_dir(AT_FDCWD, dirs[i], &fd, NULL), 0);
		assert_int_equal(aq_each_entry(fd, "", drop_one, &fd, NULL), 0);
	}
	scribble(n->cache_db, 0, n->cache.db.s, n->cache.db.len);
	scribble(n->refs_db, 0, n->refs.db.s, n->refs.db.len);
}

static void try_one(const struct node *n, uint64_t seed)
{
	uint64_t state = seed;
	uint64_t which = dice(&state, 4); /* refs.db, both, or cache.db */
	const char *what = "", *of_refs = "", *wrong;
	bool was_newer;
	int status = 0;
	pid_t pid;

	restore(n);
	if (which < 2)
		of_refs = damage(n->refs_db, &n->refs, &state);
	if (which > 0)
		what = damage(n->cache_db, &n->cache, &state);
	was_newer = is_newer(n->cache_db);
	memset(n->seen, 0, sizeof(*n->seen));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		be_a_job(n);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	wrong = WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) :
		status ? "it ended by itself" :
			 judge(n, was_newer, strstr(what, "rows") != NULL);
	if (wrong)
		fail_msg("seed %llu, cache.db%s, refs.db%s: %s (%s)",
			 (unsigned long long)seed, what, of_refs, wrong,
			 n->seen->text);
}

static void none_is_lost_or_wrong(void **state)
{
	uint64_t count = count_of("AQ_COUNT_DAMAGE", 150);
	uint64_t seed = count_of("AQ_SEED", 1);
	struct node n;

	begin(&n, state);
	for (uint64_t i = 0; i < count; i++)
		try_one(&n, seed + i);
	end(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(none_is_lost_or_wrong,
						cachedir_setup,
						cachedir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
