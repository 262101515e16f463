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
#include "builder/caches.h"
#include "builder/cage.h"
#include "builder/dialect.h"
#include "builder/host.h"
#include "builder/inherit.h"
#include "builder/outcome.h"
#include "builder/pip.h"
#include "builder/prefix.h"
#include "builder/room.h"
#include "builder/seal.h"
#include "builder/shared.h"
#include "builder/turn.h"
#include "cli/units.h"
#include "common/answer_fill.h"
#include "common/clock.h"
#include "common/flock.h"
#include "common/host.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/manifest.h"
#include "common/refs_asked.h"

/* Whether it is noted that a workflow asks for this.  First, so that what is
 * tied to no more than that is never without it; where it cannot be noted the
 * key is asked for plainly, which holds it.
 */
static bool note_workflow(const struct build *b)
{
	cleanup_refs struct aq_refs *refs = NULL;

	return b->workflow.name[0] &&
	       aq_refs_open(b->conf, &refs, NULL) == 0 &&
	       aq_refs_ask(refs, &b->workflow, b->key, b->req->digest, NULL) == 0;
}

/* What nobody has asked for yet but a prolog is nobody's: the step that comes says whose
 * it is, as every hit does.
 */
static struct aq_binding binding(const struct build *b)
{
	return (struct aq_binding){ .key = b->key,
				    .digest = b->req->digest,
				    .context = b->context,
				    .canonical = b->req->canonical,
				    .is_of_workflow = b->prefetch ||
						      note_workflow(b),
				    .behind = b->unfit };
}

/* -- what is there already -- */

int build_answer(struct build *b, const struct aq_env *env,
		 enum aq_tally_what outcome, struct aq_err *err)
{
	int rc = aq_answer_fill(b->answer, b->conf, env, b->key, b->req,
				outcome_resolution(outcome), err);

	if (rc)
		return rc;
	snprintf(b->name, sizeof(b->name), "%s", env->name);
	outcome_found(b, env, outcome);
	return 0;
}

/* Nobody collects it between its row and its becoming a base. */
static int hold_own(struct build *b, const char *env, struct aq_err *err)
{
	char name[128];

	aq_close_fd(&b->own_fd);
	snprintf(name, sizeof(name), AQ_FLOCK_HOLD "%s", env);
	return b->as_base ? aq_flock_wait(b->conf, name, AQ_FLOCK_SHARED,
					  build_is_over, b, &b->own_fd, err) : 0;
}

/* Tie the request to 'env', which serves it, and answer. */
static int bind_and_answer(struct build *b, struct aq_store *store,
			   const struct aq_env *env,
			   enum aq_tally_what outcome, struct aq_err *err)
{
	const struct aq_binding tie = binding(b);
	struct aq_err why = { 0 };
	int rc = hold_own(b, env->name, err);

	if (rc)
		return rc;
	rc = aq_store_bind(store, env->name, &tie, &why);
	if (rc == AQ_MISS)
		return aq_fail(err, rc, "%s", why.text);
	/* it serves the request all the same; the next one comes here again */
	if (rc)
		say(b, "cannot remember the request: %s", why.text);
	return build_answer(b, env, outcome, err);
}

static int find(struct build *b, struct aq_store **store, struct aq_fit *fit,
		struct aq_env **ret, struct aq_err *err)
{
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, store, err);

	if (rc)
		return rc;
	aq_fit_only(b->conf, *store, fit);
	rc = aq_store_find_key(*store, b->key, ret, err);
	memcpy(b->unfit, fit->unfit, sizeof(b->unfit));
	return rc;
}

/* There was one, before a driver left, or cache_dir was carried here. */
static void say_unfit(struct build *b, const struct aq_fit *fit)
{
	size_t len = strlen(b->reason);

	say(b, "environment %s does not fit this node any more: %s; resolving what does",
	    fit->unfit, fit->why);
	snprintf(b->reason + len, sizeof(b->reason) - len,
		 "%s%s does not fit: %s", len ? "; " : "", fit->unfit, fit->why);
}

int build_look_again(struct build *b, bool is_new, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_fit fit;
	int rc = find(b, &store, &fit, &env, err);

	/* of what may have changed not everything tells the stamp */
	if (rc == AQ_MISS && (fit.is_unknown || *fit.unfit)) {
		aq_store_close(steal(&store));
		host_ask(b, !fit.is_unknown);
		rc = find(b, &store, &fit, &env, err);
	}
	if (rc == AQ_MISS && !is_new && *fit.unfit)
		say_unfit(b, &fit);
	if (!rc && is_new)
		rc = AQ_MISS;
	return rc ? rc :
		    bind_and_answer(b, store, env,
				    b->has_waited ? AQ_TALLY_WAITED :
						    AQ_TALLY_HIT,
				    err);
}

int build_recall_failure(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
	char left_text[UNITS_SIZE];
	uint64_t left = 0;

	if (!rc)
		rc = aq_store_fail_get(store, b->key, (uint64_t)time(NULL),
				       &left, err);
	if (left)
		say(b, "this failed a while ago, and is tried again in %s, or at once with %s",
		    units_ms(left * 1000, left_text),
		    b->step ? "--aq-refresh" : "--refresh");
	b->verdict = BUILD_NOT_KEPT; /* it is already */
	return rc == AQ_MISS ? 0 : rc;
}

void build_remember_failure(struct build *b, const struct aq_err *why)
{
	cleanup_store struct aq_store *store = NULL;
	uint64_t ttl = b->verdict == BUILD_REFUSED ? b->conf->failure_ttl :
						     BUILD_FAULT_TTL;
	struct aq_err err = { 0 };
	int rc;

	/* what is there is as good as it was */
	if (b->verdict == BUILD_ENDED || b->verdict == BUILD_NOT_KEPT ||
	    why->class == AQ_BUSY || b->is_refresh || b->again)
		return;
	rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, &err);
	if (!rc)
		rc = aq_store_fail_put(store, b->key, why,
				       (uint64_t)time(NULL), ttl, &err);
	if (rc)
		say(b, "cannot remember the failure: %s", err.text);
}

bool build_is_over(void *arg)
{
	struct build *b = arg;

	return turn_is_over(b) || aq_now_ms() > b->deadline_ms;
}

static int make_prefix(struct build *b, struct aq_store **store,
		       uint32_t *ret_generation, struct aq_err *err)
{
	char name[AQ_ENV_NAME_SIZE];
	struct aq_bases bases;
	int rc = 0;

	*ret_generation = b->generation; /* its path stays what it was */
	if (!b->generation)
		rc = aq_store_next_generation(*store, b->lock->digest,
					      ret_generation, err);
	if (!rc)
		rc = aq_store_bases(*store, &bases, err);
	aq_store_close(steal(store)); /* none is open during a build */
	if (rc)
		return rc;
	parts_begin(&b->parts, PART_LINK);
	bytecode_choose_compiler(b, &bases);
	aq_env_make_name(b->lock->digest, *ret_generation, name);
	rc = prefix_drop_earlier(b, *ret_generation, err);
	if (!rc)
		rc = cage_prepare(b, err); /* with a place for the compiler */
	if (!rc)
		rc = prefix_start(b, name, err);
	if (!rc)
		rc = seal_note_metadata(b, err);
	parts_begin(&b->parts, PART_INSTALL);
	if (!rc) /* as little as wheels they may say what is there */
		rc = scripts_run(b, err);
	if (!rc)
		rc = pip_install(b, err);
	if (!rc && b->kind == AQ_ENV_INHERITED)
		rc = layer_complete(b, err);
	if (!rc)
		rc = seal_check_metadata(b, err);
	return rc ? rc : bytecode_link(b, err);
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

/* Files, then the manifest, from which a row may be made, then the row: only that
 * makes it an environment.
 */
static int commit(struct build *b, const struct aq_env *env, struct aq_err *err)
{
	const struct aq_binding tie = binding(b);
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_layout_flush(b->conf, err);

	if (!rc)
		rc = aq_manifest_write(b->conf, env, &tie, b->lock, err);
	if (!rc)
		rc = prefix_move_in(b, err);
	if (!rc)
		rc = hold_own(b, env->name, err);
	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
	if (!rc)
		rc = aq_store_commit(store, env, &tie, err);
	if (rc) {
		take_back(b, env);
		return rc;
	}
	b->site[0] = '\0'; /* it is no try's any more, whatever fails from here on */
	outcome_note_build(b, store, env);
	return 0;
}

static int finish(struct build *b, uint32_t generation, struct aq_err *err)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct aq_env env = { .generation = generation,
			      .kind = b->kind,
			      .reason = b->reason,
			      .created = (uint64_t)time(NULL) };
	struct sizes sizes = { 0 };
	int rc;

	parts_begin(&b->parts, PART_CHECK);
	rc = probe(b, &ops, err);
	parts_begin(&b->parts, PART_SEAL);
	if (!rc)
		rc = seal(b, &sizes, err);
	if (rc)
		return rc;
	parts_begin(&b->parts, PART_COMMIT);
	snprintf(env.name, sizeof(env.name), "%s", b->name);
	snprintf(env.lock, sizeof(env.lock), "%s", b->lock->digest);
	snprintf(env.python, sizeof(env.python), "%s",
		 b->lock->python ? b->lock->python : "");
	if (b->kind == AQ_ENV_INHERITED)
		snprintf(env.base, sizeof(env.base), "%s", b->base.env);
	env.last_used = env.created;
	env.uid = b->uid;
	env.build_ms = (uint64_t)(aq_now_ms() - b->start_ms);
	env.size_own = sizes.own;
	env.size_shared = sizes.shared;
	env.packages = (uint32_t)b->lock->n_items;
	env.ops = ops.s;
	env.ops_len = ops.len;
	rc = commit(b, &env, err);
	if (rc)
		return rc;
	b->answer->build_ms = env.build_ms;
	b->answer->new_bytes = sizes.own;
	return build_answer(b, &env, outcome_of_kind(b->kind), err);
}

/* Nobody else makes it meanwhile. */
static int make_alone(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	uint32_t generation = 0;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (rc)
		return rc;
	rc = aq_store_find_lock(store, b->lock->digest, &env, err);
	if (!rc)
		rc = bind_and_answer(b, store, env, AQ_TALLY_BOUND, err);
	if (rc != AQ_MISS) /* collected meanwhile: made again */
		return rc;
	rc = make_prefix(b, &store, &generation, err);
	return rc ? rc : finish(b, generation, err);
}

/* Make the environment of b->lock, unless another key has led to it before. */
static int make(struct build *b, struct aq_err *err)
{
	int lock_fd = -1, want_fd, rc;
	char name[128];

	snprintf(name, sizeof(name), AQ_FLOCK_LOCK "%s", b->lock->digest);
	want_fd = turn_want_lock(b);
	rc = aq_flock_try(b->conf, name, AQ_FLOCK_EXCLUSIVE, &lock_fd, err);
	if (rc == AQ_BUSY) { /* and a client that stays is not looked at while we wait */
		run_leave(b);
		rc = aq_flock_wait(b->conf, name, AQ_FLOCK_EXCLUSIVE,
				   build_is_over, b, &lock_fd, err);
	}
	turn_unwant_lock(b, &want_fd);
	if (!rc)
		rc = make_alone(b, err);
	run_leave(b); /* before others may have the lock */
	aq_flock_drop(b->conf, name, &lock_fd);
	return rc;
}

/* Nothing stays of a try that failed for 'why'. */
static void undo(struct build *b, size_t reason_len, const struct aq_err *why)
{
	struct aq_err ignored;

	room_note(b, why);
	(void)!prefix_drop(b, &ignored);
	b->reason[reason_len] = '\0';
}

int build_resolve(struct build *b, int *ret_caches, struct aq_err *err)
{
	int rc = caches_enter(b, ret_caches, err);

	if (rc)
		return rc;
	b->verdict = BUILD_FAULT;
	rc = cage_prepare(b, err);
	if (rc)
		return rc;
	rc = b->again ? again_resolve(b, err) : shared_resolve(b, err);
	if (!rc && !b->again && !b->sharing.is_adopted)
		host_note_lock(b);
	return rc;
}

int build(struct build *b, struct aq_err *err)
{
	cleanup_close int caches = -1;
	size_t reason_len = strlen(b->reason);
	int rc;

	parts_begin(&b->parts, PART_RESOLVE);
	rc = build_resolve(b, &caches, err);
	if (!rc)
		rc = make(b, err);
	if (rc)
		undo(b, reason_len, err);
	/* a full disk is no lock's fault */
	if (rc && !b->room.is_lacking && shared_is_doubtful(b, err)) {
		room_start(b);
		rc = shared_resolve_instead(b, err);
		if (!rc)
			rc = make(b, err);
		if (rc)
			undo(b, reason_len, err);
	}
	if (!rc)
		shared_built(b);
	aq_lock_free(steal(&b->lock));
	return rc;
}

int build_become_base(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_close int caches = -1;
	struct aq_bases bases;
	int rc = caches_enter(b, &caches, err);

	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
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
	rc = inherit_hold_base(b, err);
	if (!rc)
		rc = cage_prepare(b, err);
	return rc ? rc : stubs_make(b, err);
}
