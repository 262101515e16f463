/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/allowance.h"

#include <inttypes.h>
#include <stdio.h>

#include "builder/keys.h"
#include "builder/queue.h"
#include "cli/units.h"
#include "common/clock.h"
#include "common/collect.h"
#include "common/io.h"
#include "common/user_size.h"

#define HOUR 3600
/* Of a user's notes, in bytes: more keys than max_new_keys can allow. */
#define NOTES_MAX (KEYS_LINE_MAX * 10001)

static bool has_limits(const struct build *b)
{
	return b->uid && !b->is_personal;
}

/* -- new keys -- */

static int refuse_key(const struct keys *k, uint64_t now, struct aq_err *err)
{
	uint64_t minutes = (k->oldest + HOUR - now) / 60 + 1;

	return aq_fail(err, AQ_USER,
		       "%zu environments were built for you here within an hour, which is what 'max_new_keys' allows: the next can be in %" PRIu64
		       " min; those that are there can be used meanwhile ('aq list --shared')",
		       k->n, minutes);
}

enum count { COUNT_ASK, COUNT_TAKE, COUNT_GIVE_BACK };

static int count_key(struct build *b, enum count what, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(NOTES_MAX);
	cleanup_str struct aq_str kept = AQ_STR_INIT(NOTES_MAX);
	cleanup_queue struct queue q = { -1, -1 };
	/* of this boot, as run_dir is */
	uint64_t now = (uint64_t)aq_now_ms() / 1000;
	struct keys k;
	char name[32];
	int rc;

	if (!b->shared->max_new_keys)
		return 0;
	snprintf(name, sizeof(name), "keys-%" PRIu32, b->uid);
	rc = queue_open(b, &q, err);
	if (rc)
		return rc;
	(void)!aq_read_file(q.fd, name, &text, NULL);
	k = keys_read(aq_str_get(&text), b->key, now, HOUR, &kept);
	if (what != COUNT_GIVE_BACK && !k.has_ours &&
	    k.n >= b->shared->max_new_keys)
		return refuse_key(&k, now, err);
	if (what == COUNT_ASK)
		return 0;
	if (what == COUNT_TAKE)
		keys_add(&kept, b->key, now);
	rc = aq_str_done(&kept, "the keys of a user", err);
	return rc ? rc :
		    aq_replace_file(q.fd, name, aq_str_get(&kept), kept.len,
				    err);
}

/* -- bytes -- */

/* Shared or private. */
static bool is_over_quota(const struct build *b, uint64_t *ret_size)
{
	return b->shared->user_quota &&
	       aq_user_size(b->shared, b->uid, ret_size, NULL) == 0 &&
	       *ret_size > b->shared->user_quota;
}

/* Whatever keeps us from it: what could not go is still there then. */
static void collect(struct build *b, const struct aq_conf *conf)
{
	struct aq_collection c = { .max_freed = UINT64_MAX };
	struct aq_conf limits = *conf;
	cleanup_close int lock = -1;
	struct aq_err why = { 0 };

	limits.max_size = limits.min_free = 0;
	limits.user_quota = aq_user_quota(conf);
	if (aq_collect_begin_after(conf, build_is_over, b, &lock, &why) != 0 ||
	    aq_collect_run(&limits, &c, &why) != 0)
		say(b, "collecting failed: %s", why.text);
	aq_plan_free(&c.plan);
}

static int check_quota(struct build *b, struct aq_err *err)
{
	char has[UNITS_SIZE], may_have[UNITS_SIZE];
	uint64_t size;

	if (!is_over_quota(b, &size))
		return 0;
	say(b, "your environments hold more than user_quota: collecting");
	collect(b, b->conf);
	if (b->is_private && is_over_quota(b, &size))
		collect(b, b->shared);
	if (!is_over_quota(b, &size))
		return 0;
	return aq_fail(err, AQ_USER,
		       "the environments that were built for you here hold %s, 'user_quota' allows %s, and none of them can go: they are in use, pinned, or were used less than 'grace' ago; end the jobs that use them, use one that is there ('aq list --shared'), or ask for more",
		       units_bytes(size, has),
		       units_bytes(b->conf->user_quota, may_have));
}

int allowance_check(struct build *b, struct aq_err *err)
{
	int rc = has_limits(b) ? count_key(b, COUNT_ASK, err) : 0;

	return rc || !has_limits(b) ? rc : check_quota(b, err);
}

int allowance_take(struct build *b, struct aq_err *err)
{
	/* what was built for them while they waited counts too */
	int rc = has_limits(b) ? check_quota(b, err) : 0;

	return rc || !has_limits(b) ? rc : count_key(b, COUNT_TAKE, err);
}

void allowance_give_back(struct build *b)
{
	/* where it fails it counts for an hour */
	if (has_limits(b))
		(void)!count_key(b, COUNT_GIVE_BACK, NULL);
}
