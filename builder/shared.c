/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "builder/host.h"
#include "builder/inherit.h"
#include "builder/shared_judge.h"
#include "builder/shared_talk.h"
#include "common/text.h"

/* -- another node's lock -- */

/* Whether all that the base has too is the base's. */
static enum aq_env_kind kind_of(const struct build *b,
				const struct aq_lock *lock)
{
	if (lock->base[0])
		return AQ_ENV_INHERITED;
	if (!b->base_manifest)
		return AQ_ENV_CREATED;
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i], *base;

		if (item->kind != AQ_LOCK_CONDA)
			continue;
		base = aq_lock_find(b->base_manifest->lock, AQ_LOCK_CONDA,
				    item->name);
		if (base && strcmp(base->sha256, item->sha256) != 0)
			return AQ_ENV_CREATED;
	}
	return AQ_ENV_LINKED;
}

static int judge(struct build *b, const struct aq_lock *lock,
		 struct aq_err *err)
{
	struct aq_host host;
	int rc;

	host_find(b, lock, &host);
	rc = shared_judge(b->conf, b->req, &host,
			  b->base_manifest ? b->base_manifest->lock : NULL, lock, err);
	if (!rc && lock->base[0])
		rc = inherit_check(b, err);
	return rc;
}

/* It becomes b->lock, if this node may have it. */
static bool adopt(struct build *b, struct aq_lock **lock)
{
	struct aq_err why = { 0 };
	size_t len = strlen(b->reason);

	if (!*lock || judge(b, *lock, &why) != 0) {
		aq_text_make_printable_text(why.text);
		say(b, "shared_dir: the lock of this request is not taken: %.300s",
		    why.text);
		return false;
	}
	aq_lock_free(steal(&b->lock));
	b->kind = kind_of(b, *lock);
	b->lock = steal(lock);
	b->sharing.is_adopted = true;
	if (b->sharing.locks.generation)
		snprintf(b->reason + len, sizeof(b->reason) - len,
			 "%sas the cluster's lock has it, generation %" PRIu64,
			 len ? "; " : "", b->sharing.locks.generation);
	return true;
}

/* -- all -- */

static struct shared_job make_job(const struct build *b)
{
	return (struct shared_job){ .path = b->conf->shared_dir,
				    .key = b->key,
				    .node = b->conf->node,
				    .owner = b->builder.uid,
				    .job = b->job,
				    .is_refresh = b->is_refresh,
				    .replaced = b->sharing.replaced,
				    .may_claim = !b->is_explain };
}

/* 0: b->lock is the cluster's; AQ_MISS: resolve. */
static int ask(struct build *b, struct aq_err *err)
{
	struct shared_job job = make_job(b);
	const struct shared_program program = { PHASE_SHARED, shared_serve, &job };
	cleanup_lock struct aq_lock *lock = NULL;
	enum shared_heard heard;
	int rc;

	if (!shared_start(b, &b->sharing.locks, &program))
		return AQ_MISS;
	rc = shared_hear(b, &b->sharing.locks, &heard, &lock, err);
	if (rc || heard == SHARED_HEARD_CLAIMED)
		return rc ? rc : AQ_MISS;
	shared_drop(&b->sharing.locks);
	if (heard != SHARED_HEARD_LOCK)
		return AQ_MISS;
	if (adopt(b, &lock))
		return 0;
	/* one that others may have is not for this node to replace */
	b->sharing.is_alone = true;
	return AQ_MISS;
}

/* Tell b->lock: *ret is what is published then, with SHARED_HEARD_LOCK. */
static int tell(struct build *b, bool is_built, enum shared_heard *ret_heard,
		struct aq_lock **ret, struct aq_err *err)
{
	struct shared_job job = make_job(b);
	const struct shared_program told = { PHASE_SHARED, shared_serve, &job };
	int rc;

	job.is_told = true;
	job.is_built = is_built;
	*ret_heard = SHARED_HEARD_NOTHING;
	if (!shared_tell(b, &b->sharing.locks, &told, SHARED_TELL_LOCK, b->lock->text,
			 b->lock->text_len))
		return 0;
	rc = shared_hear(b, &b->sharing.locks, ret_heard, ret, err);
	shared_drop(&b->sharing.locks);
	return rc;
}

/* Publish b->lock, and take what is published then. */
static int publish(struct build *b, struct aq_err *err)
{
	cleanup_lock struct aq_lock *lock = NULL;
	enum shared_heard heard;
	int rc = tell(b, false, &heard, &lock, err);

	if (rc || heard != SHARED_HEARD_LOCK ||
	    (lock && strcmp(lock->digest, b->lock->digest) == 0))
		return rc;
	(void)adopt(b, &lock);
	return 0;
}

/* Nothing is promised then; once a step. */
static void say_unshared(struct build *b)
{
	if (b->nodes > 1 && !*b->shared->shared_dir)
		say(b, "each of the step's %u nodes resolves this by itself (aq.conf has no shared_dir): AQ_LOCK tells whether they have the same",
		    b->nodes);
	b->nodes = 0;
}

static int resolve_and_publish(struct build *b, struct aq_err *err)
{
	bool is_own = b->is_refresh && !b->job; /* nobody waits for that lock */
	int rc = resolve(b, err);

	if (!rc && !b->is_explain && !b->sharing.is_off &&
	    !b->sharing.is_alone && !is_own)
		return publish(b, err);
	if (rc && b->sharing.locks.pid > 0 && b->verdict != BUILD_ENDED)
		(void)!shared_tell(b, &b->sharing.locks, NULL, SHARED_TELL_OVER, "", 0);
	shared_drop(&b->sharing.locks);
	return rc;
}

int shared_resolve(struct build *b, struct aq_err *err)
{
	int rc = AQ_MISS;

	if (!shared_is_used(b)) {
		say_unshared(b);
		return resolve(b, err);
	}
	b->sharing.is_off = b->sharing.is_alone = b->sharing.is_adopted = false;
	b->sharing.replaced = b->is_refresh ? SHARED_NUMBER_MAX : 0;
	rc = ask(b, err);
	if (rc == AQ_MISS)
		rc = resolve_and_publish(b, err);
	b->sharing.is_next = !rc && b->is_refresh && !b->sharing.is_alone;
	return rc;
}

bool shared_is_doubtful(const struct build *b, const struct aq_err *why)
{
	return b->lock && b->sharing.is_adopted && why->class &&
	       why->class != AQ_BUSY &&
	       (b->verdict == BUILD_FAULT || b->verdict == BUILD_REFUSED);
}

int shared_resolve_instead(struct build *b, struct aq_err *err)
{
	cleanup_lock struct aq_lock *failed = steal(&b->lock);
	const enum build_verdict verdict = b->verdict;
	struct aq_err why = *err;
	int rc;

	aq_text_make_printable_text(why.text);
	say(b, "shared_dir: the lock of this request cannot be built here, so it is resolved once more: %.*s",
	    (int)strcspn(why.text, "\n"), why.text);
	b->sharing.is_adopted = false;
	if (!b->is_refresh)
		b->sharing.replaced = b->sharing.locks.generation;
	b->verdict = BUILD_FAULT;
	rc = resolve(b, err);
	if (rc)
		return rc;
	if (strcmp(b->lock->digest, failed->digest) == 0) {
		*err = why;
		b->verdict = verdict;
		return why.class;
	}
	b->sharing.is_next = true;
	return 0;
}

void shared_built(struct build *b)
{
	cleanup_lock struct aq_lock *none = NULL;
	struct aq_err ignored = { 0 };
	enum shared_heard heard;

	/* the environment is there, whatever becomes of this */
	if (b->sharing.is_next && !b->sharing.is_off)
		(void)!tell(b, true, &heard, &none, &ignored);
}
