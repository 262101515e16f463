/* SPDX-License-Identifier: Apache-2.0 */
/* The build: resolve to a lock, make the lock's environment, commit it.  Until
 * its row is committed what lies on disk is garbage, and the next build of the
 * same name removes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "builder/builder.h"
#include "builder/bytecode.h"
#include "builder/inherit.h"
#include "common/answer_fill.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/matchspec.h"

#define LINES_MAX AQ_LOCK_MAX

static struct aq_binding binding(const struct build *b)
{
	return (struct aq_binding){ .key = b->key,
				    .digest = b->req->digest,
				    .context = b->context,
				    .canonical = b->req->canonical };
}

/* -- what is there already -- */

static int answer_with(struct build *b, const struct aq_env *env,
		       const char *resolution, struct aq_err *err)
{
	snprintf(b->name, sizeof(b->name), "%s", env->name);
	return aq_answer_fill(b->answer, b->conf, env, b->key, b->req,
			      resolution, err);
}

/* Tie the request to 'env', which serves it, and answer. */
static int bind_and_answer(struct build *b, struct aq_store *store,
			   const struct aq_env *env, struct aq_err *err)
{
	const struct aq_binding tie = binding(b);
	int rc = aq_store_bind(store, env->name, &tie, err);

	return rc ? rc : answer_with(b, env, "reused", err);
}

int build_look_again(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (!rc)
		rc = aq_store_find_key(store, b->key, &env, err);
	return rc ? rc : bind_and_answer(b, store, env, err);
}

/* AQ_USER or AQ_SYS: this key failed not long ago, and would again. */
static int recall_failure(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (!rc)
		rc = aq_store_fail_get(store, b->key, (uint64_t)time(NULL),
				       err);
	b->verdict = BUILD_ENDED; /* it is remembered already */
	return rc == AQ_MISS ? 0 : rc;
}

static void remember_failure(struct build *b, const struct aq_err *why)
{
	cleanup_store struct aq_store *store = NULL;
	uint64_t ttl = b->verdict == BUILD_REFUSED ? b->conf->failure_ttl :
						     BUILD_FAULT_TTL;
	struct aq_err err = { 0 };
	int rc;

	/* what is there is as good as it was */
	if (b->verdict == BUILD_ENDED || b->is_refresh)
		return;
	rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, &err);
	if (!rc)
		rc = aq_store_fail_put(store, b->key, why,
				       (uint64_t)time(NULL), ttl, &err);
	if (rc)
		say(b, "cannot remember the failure: %s", err.text);
}

/* -- paths -- */

int build_pass_file(struct build *b, const char *stem, const char *suffix,
		    const char *text, size_t len,
		    char ret_inside[BUILD_PATH_MAX], struct aq_err *err)
{
	cleanup_close int dir = -1, fd = -1;
	char name[96];
	int rc = aq_open_dir(AT_FDCWD, b->pass_dir, &dir, err);

	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%s.%.16s.%s", stem, b->key, suffix);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	fd = openat(dir, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	snprintf(ret_inside, BUILD_PATH_MAX, "%s/pass/%s", b->inside, name);
	return aq_write_all(fd, text, len, err);
}

static void name_prefix(struct build *b, const char *name)
{
	snprintf(b->name, sizeof(b->name), "%s", name);
	snprintf(b->prefix, sizeof(b->prefix), "%s/envs/%s", b->conf->cache_dir,
		 name);
	snprintf(b->site, sizeof(b->site), "%s/envs/%s",
		 b->is_personal ? b->conf->cache_dir : b->work, name);
}

int build_drop_prefix(struct build *b, struct aq_err *err)
{
	return b->site[0] ? aq_remove_tree(AT_FDCWD, b->site, err) : 0;
}

int build_start_prefix(struct build *b, const char *name, struct aq_err *err)
{
	int rc;

	name_prefix(b, name);
	rc = build_drop_prefix(b, err);
	if (rc)
		return rc;
	if (mkdir(b->site, 0755) < 0 || chmod(b->site, 0755) < 0 ||
	    chown(b->site, b->builder.uid, b->builder.gid) < 0)
		return aq_fail_errno(err, "cannot make '%s'", b->site);
	return 0;
}

/* -- the steps -- */

/* Whether the lock has what was asked for, by name: a client that says less
 * has misunderstood.
 */
static int check_lock(struct build *b, struct aq_err *err)
{
	int rc = 0;

	if (b->req->python && !b->lock->python)
		return aq_fail(err, AQ_SYS, "the client resolved no python, which was asked for");
	for (size_t i = 0; !rc && i < b->req->conda.n; i++) {
		cleanup_matchspec struct aq_matchspec spec = { 0 };

		rc = aq_matchspec_parse(b->req->conda.v[i], &spec, err);
		/* a virtual package is the node's, not the lock's */
		if (rc || aq_starts_with(spec.name, "__"))
			continue;
		if (!strchr(spec.name, '*') &&
		    !aq_lock_has(b->lock, AQ_LOCK_CONDA, spec.name))
			rc = aq_fail(err, AQ_SYS, "the client resolved no '%s', which was asked for",
				     spec.name);
	}
	return rc;
}

/* Conda's part, then pip's over it: a whole prefix. */
static int resolve_whole(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(LINES_MAX);
	int rc = client_solve(b, &lines, err);

	if (!rc)
		rc = records_to_lock(b, aq_str_get(&lines), err);
	if (!rc)
		rc = check_lock(b, err);
	if (rc || !b->req->pip.n)
		return rc;
	rc = pip_solve(b, &lines, err);
	aq_lock_free(steal(&b->lock));
	return rc ? rc : records_to_lock(b, aq_str_get(&lines), err);
}

static void add_reason(struct build *b, const char *what, const char *why)
{
	size_t len = strlen(b->reason);

	snprintf(b->reason + len, sizeof(b->reason) - len, "%s%s base %s: %s",
		 len ? "; " : "", what, b->base.python, why);
	/* a client's own words are of several lines */
	for (char *p = b->reason; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

/* The cheapest kind that the request admits: a layer over the base, a prefix
 * that shares the base's packages, a prefix of its own.
 */
static int resolve(struct build *b, struct aq_err *err)
{
	int rc;

	if (b->base_manifest) {
		rc = inherit_solve(b, err);
		if (rc != AQ_MISS)
			return rc;
		add_reason(b, "not inherited from", err->text);
	}
	if (b->base_manifest && client_can_constrain(b)) {
		b->kind = AQ_ENV_LINKED;
		rc = resolve_whole(b, err);
		if (rc != AQ_USER)
			return rc;
		add_reason(b, "not linked with the packages of", err->text);
		aq_lock_free(steal(&b->lock));
	}
	b->kind = AQ_ENV_CREATED;
	b->verdict = BUILD_FAULT;
	return resolve_whole(b, err);
}

static bool is_over(void *arg)
{
	struct build *b = arg;

	return turn_is_over(b) || build_now_ms() > b->deadline_ms;
}

/* Builds of this lock that were killed between manifest and move left their
 * prefix in work/envs under an earlier generation.  We hold the lock's lock:
 * nobody builds there any more.
 */
static int drop_earlier(struct build *b, uint32_t generation,
			struct aq_err *err)
{
	char name[AQ_ENV_NAME_SIZE];
	int rc = 0;

	if (b->is_personal) /* built in place: it may be an environment */
		return 0;
	for (uint32_t g = 1; !rc && g < generation; g++) {
		aq_env_make_name(b->lock->digest, g, name);
		name_prefix(b, name);
		rc = build_drop_prefix(b, err);
	}
	return rc;
}

static int make_prefix(struct build *b, struct aq_store **store,
		       uint32_t *ret_generation, struct aq_err *err)
{
	char name[AQ_ENV_NAME_SIZE];
	int rc = aq_store_next_generation(*store, b->lock->digest,
					  ret_generation, err);

	aq_store_close(steal(store)); /* none is open during a build */
	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%.*s-%" PRIu32, AQ_ENV_LOCK_DIGITS,
		 b->lock->digest, *ret_generation);
	rc = drop_earlier(b, *ret_generation, err);
	if (!rc)
		rc = build_start_prefix(b, name, err);
	if (!rc)
		rc = b->kind == AQ_ENV_INHERITED ? layer_start(b, err) :
						   client_link(b, err);
	if (!rc)
		rc = pip_install(b, err);
	if (!rc && b->kind == AQ_ENV_INHERITED)
		rc = layer_complete(b, err);
	return rc || !bytecode_is_shared(b) ? rc : bytecode_link(b, err);
}

/* From work/envs, where it was built, to its place. */
static int move_in(struct build *b, struct aq_err *err)
{
	cleanup_close int envs = -1;
	char path[BUILD_PATH_MAX];
	int rc;

	if (b->is_personal)
		return 0;
	rc = aq_remove_tree(AT_FDCWD, b->prefix, err);
	if (rc)
		return rc;
	if (rename(b->site, b->prefix) < 0)
		return aq_fail_errno(err, "cannot move '%s' to its place",
				     b->site);
	snprintf(b->site, sizeof(b->site), "%s", b->prefix);
	snprintf(path, sizeof(path), "%s/envs", b->conf->cache_dir);
	rc = aq_open_dir(AT_FDCWD, path, &envs, err);
	return rc ? rc : aq_sync_dir(envs, err);
}

/* After a commit that failed: somebody who rebuilt the store from the manifests
 * meanwhile may have made the row all the same.  Where that cannot be ruled out
 * the prefix stays, for the row may be valid.
 */
static void take_back(struct build *b, const struct aq_env *env)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_manifest_remove(b->conf, env->name, NULL);

	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, NULL);
	if (!rc)
		rc = aq_store_remove(store, env->name, NULL);
	if (rc && rc != AQ_MISS)
		b->site[0] = '\0';
}

/* The manifest first, then the row: only the row makes it an environment. */
static int commit(struct build *b, const struct aq_env *env, struct aq_err *err)
{
	const struct aq_binding tie = binding(b);
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_manifest_write(b->conf, env, &tie, b->lock, err);

	if (!rc)
		rc = move_in(b, err);
	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
	if (!rc)
		rc = aq_store_commit(store, env, &tie, err);
	if (rc)
		take_back(b, env);
	return rc;
}

static const char *const resolutions[] = {
	[AQ_ENV_CREATED] = "created",
	[AQ_ENV_LINKED] = "linked",
	[AQ_ENV_INHERITED] = "inherited",
};

static int finish(struct build *b, uint32_t generation, struct aq_err *err)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct aq_env env = { .generation = generation,
			      .kind = b->kind,
			      .created = (uint64_t)time(NULL) };
	struct sizes sizes = { 0 };
	int rc = probe(b, &ops, err);

	if (!rc)
		rc = seal(b, &sizes, err);
	if (rc)
		return rc;
	snprintf(env.name, sizeof(env.name), "%s", b->name);
	snprintf(env.lock, sizeof(env.lock), "%s", b->lock->digest);
	snprintf(env.python, sizeof(env.python), "%s",
		 b->lock->python ? b->lock->python : "");
	if (b->kind == AQ_ENV_INHERITED)
		snprintf(env.base, sizeof(env.base), "%s", b->base.env);
	snprintf(env.reason, sizeof(env.reason), "%s", b->reason);
	env.last_used = env.created;
	env.build_ms = (uint64_t)(build_now_ms() - b->start_ms);
	env.size_own = sizes.own;
	env.size_shared = sizes.shared;
	env.ops = ops.s;
	env.ops_len = ops.len;
	rc = commit(b, &env, err);
	if (rc)
		return rc;
	b->answer->build_ms = env.build_ms;
	b->answer->new_bytes = sizes.own;
	say(b, "built in %.1f s, %.1f MB of its own and %.1f MB shared with the package cache",
	    (double)env.build_ms / 1e3, (double)sizes.own / 1e6,
	    (double)sizes.shared / 1e6);
	return answer_with(b, &env, resolutions[b->kind], err);
}

/* Make the environment of b->lock, unless another key has led to it before. */
static int make(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	cleanup_close int lock_fd = -1;
	uint32_t generation = 0;
	char name[128];
	int rc;

	snprintf(name, sizeof(name), "lock-%s", b->lock->digest);
	rc = aq_flock_wait(b->conf, name, AQ_FLOCK_EXCLUSIVE, is_over, b,
			   &lock_fd, err);
	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
	if (rc)
		return rc;
	rc = aq_store_find_lock(store, b->lock->digest, &env, err);
	if (!rc)
		return bind_and_answer(b, store, env, err);
	if (rc != AQ_MISS)
		return rc;
	rc = make_prefix(b, &store, &generation, err);
	return rc ? rc : finish(b, generation, err);
}

int build(struct build *b, struct aq_err *err)
{
	int rc = b->is_refresh ? 0 : recall_failure(b, err);

	if (!rc) {
		b->verdict = BUILD_FAULT;
		rc = cage_prepare(b, err);
	}
	if (!rc)
		rc = resolve(b, err);
	if (!rc)
		rc = make(b, err);
	if (rc) {
		struct aq_err ignored;

		remember_failure(b, err);
		(void)!build_drop_prefix(b, &ignored);
	}
	aq_lock_free(steal(&b->lock));
	return rc;
}

/* -- explaining -- */

/* What the base does not have; of a layer that is all. */
static void add_difference(const struct build *b, struct aq_str *out)
{
	const struct aq_lock *base =
		b->base_manifest ? b->base_manifest->lock : NULL;

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];
		bool is_there = false;

		for (size_t k = 0; base && k < base->n_items; k++)
			is_there |= strcmp(base->items[k].sha256,
					   item->sha256) == 0;
		if (!is_there)
			aq_str_add_fmt(out, "add %s %s %s\n",
				       item->kind == AQ_LOCK_CONDA ? "conda" :
								     "wheel",
				       item->name, item->version);
	}
}

/* Whether another key's environment has this very lock. */
static int find_same_lock(struct build *b, struct aq_env **ret,
			  struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	return rc ? rc :
		    aq_store_find_lock(store, b->lock->digest, ret, err);
}

int build_explain(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str text =
		AQ_STR_INIT(sizeof(b->answer->text) - 1);
	cleanup_env struct aq_env *same = NULL;
	struct aq_answer *a = b->answer;
	int rc = cage_prepare(b, err);

	if (!rc)
		rc = resolve(b, err);
	if (!rc)
		rc = find_same_lock(b, &same, err);
	if (!rc)
		rc = answer_with(b, same, "reused", err);
	if (rc != AQ_MISS)
		return rc;
	if (b->base_manifest)
		aq_str_add_fmt(&text, "base %s %s\n", b->base.python,
			       b->base.env);
	if (b->reason[0])
		aq_str_add_fmt(&text, "because %s\n", b->reason);
	add_difference(b, &text);
	(void)!aq_copy_text(a->resolution, sizeof(a->resolution),
			    resolutions[b->kind]);
	(void)!aq_copy_text(a->key, sizeof(a->key), b->key);
	(void)!aq_copy_text(a->lock, sizeof(a->lock), b->lock->digest);
	/* a list that does not fit is cut */
	aq_answer_fail(a, AQ_OK, aq_str_get(&text));
	return 0;
}

int build_become_base(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	struct aq_bases bases;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (!rc)
		rc = aq_store_base_set(store, b->as_base, b->name, err);
	if (!rc)
		rc = aq_store_bases(store, &bases, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < bases.n; i++)
		if (strcmp(bases.v[i].python, b->as_base) == 0)
			b->base = bases.v[i];
	/* now, rather than while the first who inherits waits for it */
	b->kind = AQ_ENV_INHERITED;
	rc = inherit_hold_base(b, err);
	if (!rc)
		rc = cage_prepare(b, err);
	return rc ? rc : stubs_make(b, err);
}
