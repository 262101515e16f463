/* SPDX-License-Identifier: Apache-2.0 */
/* Room on the disk: a build that finds too little of it collects what can go,
 * and goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "builder/builder.h"
#include "builder/room.h"
#include "builder/run.h"
#include "common/clock.h"
#include "common/collect.h"
#include "common/flock.h"
#include "common/private.h"
#include "common/user_size.h"

/* A failure with less free than this, in bytes, is taken for one of room,
 * whatever a client says of it: larger than what they write in one piece.
 */
#define ROOM_LOW (4 * 1024 * 1024)
/* A build that found no room needs more than it had.  How much is not known:
 * this many times what it wrote is made free, and at least so many bytes.
 */
#define ROOM_FACTOR 4
#define ROOM_LEAST (16 * 1024 * 1024)
/* Bytes: with less gain it would fail where it failed. */
#define ROOM_GAIN (1024 * 1024)
/* Each try finds several times the room of the one before. */
#define ROOM_TRIES 3

static double in_mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static uint64_t get_free(const struct build *b)
{
	uint64_t n_free = 0;

	return aq_collect_get_free(b->conf, &n_free, NULL) == 0 ? n_free :
								  UINT64_MAX;
}

static bool has_no_inodes(const struct build *b)
{
	struct statvfs fs;

	return statvfs(b->conf->cache_dir, &fs) == 0 && fs.f_files &&
	       !fs.f_favail;
}

static bool says_full(const struct aq_err *err)
{
	static const char *const words[] = { "No space left on device",
					     "Disk quota exceeded",
					     "database or disk is full", NULL };

	return err->errnum == ENOSPC || err->errnum == EDQUOT ||
	       run_says(err->text, words);
}

void room_start(struct build *b)
{
	b->room.at_start = get_free(b);
	b->room.is_lacking = b->room.is_crossed = false;
	b->disk = (struct disk_watch){ 0 };
	b->room.is_watched = b->room.at_start >= b->conf->min_free;
}

bool room_is_crossed(struct build *b)
{
	if (b->room.is_watched && !b->room.is_crossed)
		b->room.is_crossed = get_free(b) < b->conf->min_free;
	return b->room.is_watched && b->room.is_crossed;
}

void room_note(struct build *b, const struct aq_err *err)
{
	uint64_t now = get_free(b);

	b->room.is_watched = false;
	/* noted before, remembered, refused, or ended by a signal */
	if (b->room.is_lacking ||
	    (b->verdict != BUILD_FAULT && !b->room.is_crossed))
		return;
	b->room.is_lacking = b->room.is_crossed || now < ROOM_LOW ||
			     has_no_inodes(b) || says_full(err);
	b->room.used = b->room.at_start > now ? b->room.at_start - now : 0;
	b->room.at_end = now;
}

static int collect_in(const struct aq_conf *conf, uint64_t wanted,
		      struct aq_collection *c, struct aq_err *err)
{
	struct aq_conf limits = *conf;

	/* who waits for a build needs room, and nothing else */
	limits.max_size = 0;
	limits.min_free = wanted;
	limits.user_quota = aq_user_quota(conf);
	return aq_collect_run(&limits, c, err);
}

/* The domains that are not the build's own. */
struct others {
	struct build *b;
	uint64_t wanted;
	struct aq_collection *c; /* what was collected is added to it */
};

static int collect_other(const struct aq_conf *conf, const struct others *o)
{
	struct aq_collection c = { .max_freed = UINT64_MAX };
	cleanup_close int lock = -1;

	if (strcmp(conf->cache_dir, o->b->conf->cache_dir) == 0 ||
	    get_free(o->b) >= o->wanted ||
	    aq_collect_begin(conf, &lock, NULL) != 0)
		return 0;
	(void)!collect_in(conf, o->wanted, &c, NULL);
	o->c->n_gone += c.n_gone;
	o->c->freed += c.freed;
	o->c->caches += c.caches;
	o->c->plan.n_held += c.plan.n_held;
	aq_plan_free(&c.plan);
	return 0;
}

static int collect_private(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	(void)err;
	return collect_other(conf, arg);
}

/* Make 'wanted' bytes free, as far as that goes: in the build's own domain, and if
 * that is not enough in all, for the disk is everybody's.
 */
static int collect(struct build *b, uint64_t wanted, struct aq_collection *c,
		   struct aq_err *err)
{
	struct others others = { b, wanted, c };
	int rc = collect_in(b->conf, wanted, c, err);

	if (rc || b->is_personal || get_free(b) >= wanted)
		return rc;
	(void)collect_other(b->shared, &others);
	return aq_private_each(b->shared, collect_private, &others, err);
}

static void say_collected(struct build *b, const struct aq_collection *c)
{
	say(b, "collected %" PRIu64 " environments and %.1f MB to make room",
	    c->n_gone, in_mb(c->freed + c->caches));
}

static bool has_victims(const struct aq_conf *conf)
{
	struct aq_conf limits = *conf;
	cleanup_plan struct aq_plan plan = { 0 };
	struct aq_collect_state state;

	limits.max_size = 0;
	return aq_collect_measure(&limits, &state, NULL) == 0 &&
	       aq_collect_plan(&limits, &state, &plan, NULL) == 0 && plan.n;
}

/* Ends at the first that has. */
static int find_victims(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	return has_victims(conf) ? AQ_BUSY : 0;
}

/* Whether any environment can go; unlike a collection this walks no files. */
static bool can_collect(const struct build *b)
{
	return has_victims(b->conf) ||
	       (!b->is_personal &&
		((b->is_private && has_victims(b->shared)) ||
		 aq_private_each(b->shared, find_victims, NULL, NULL) == AQ_BUSY));
}

void room_prepare(struct build *b)
{
	struct aq_collection c = { .max_freed = UINT64_MAX };
	cleanup_close int lock = -1;
	struct aq_err err = { 0 };
	int rc;

	aq_collect_keep_reserve(b->conf);
	if (get_free(b) >= b->conf->min_free || !can_collect(b) ||
	    aq_collect_begin(b->conf, &lock, NULL) != 0)
		return;
	say(b, "less than min_free is free: collecting");
	rc = collect(b, b->conf->min_free, &c, &err);
	say_collected(b, &c);
	if (rc)
		say(b, "collecting failed: %s", err.text);
	aq_plan_free(&c.plan);
}

void room_give_back(struct build *b)
{
	uint64_t bytes = 0;

	if (!b->disk.is_over)
		return;
	(void)!aq_collect_caches(b->conf, false, &bytes, NULL);
	say(b, "%.1f MB are given back that it wrote to the package caches",
	    in_mb(bytes));
}

/* It failed for want of room: what is full, and what can be done; 'why': or
 * collecting failed.
 */
static void complain(struct build *b, const struct aq_collection *c,
		     const struct aq_err *why, struct aq_err *err)
{
	uint64_t now = get_free(b);

	b->verdict = BUILD_FAULT;
	if (b->room.is_crossed)
		(void)aq_fail(err, AQ_SYS,
			      "'%s' has too little room: the build was ended with %.1f MB free, of which 'min_free' keeps %.1f MB",
			      b->conf->cache_dir, in_mb(b->room.at_end),
			      in_mb(b->conf->min_free));
	if (why)
		(void)aq_fail_prefix(err, "'%s' is full, and collecting failed (%.400s)",
				     b->conf->cache_dir, why->text);
	else
		(void)aq_fail_prefix(err,
				     "'%s' is full: %.1f MB are free%s, at least %.1f MB more are needed, and nothing else can be collected: %" PRIu64 " environments are in use, the rest is pinned, a base, or was used less than 'grace' ago; make room there, or see 'aq list'",
				     b->conf->cache_dir, in_mb(now),
				     has_no_inodes(b) ? " and no inodes" : "",
				     in_mb(c->lacks > ROOM_GAIN ? c->lacks :
								  ROOM_GAIN),
				     c->plan.n_held);
}

/* Who took the room is not known where several build: those that were ended go
 * on one after the other, so that one that is too big fails alone.
 */
static void wait_for_others(struct build *b)
{
	int64_t since = aq_now_ms();

	if (!b->room.is_crossed || b->room.alone_fd >= 0)
		return;
	say(b, "'%s' has too little room beside 'min_free': waiting until others that had are through",
	    b->conf->cache_dir);
	(void)!aq_flock_wait(b->conf, "room", AQ_FLOCK_EXCLUSIVE, build_is_over,
			     b, &b->room.alone_fd, NULL);
	b->deadline_ms += aq_now_ms() - since;
}

/* Whether to try again with 'now' bytes free. */
static bool is_better(struct build *b, uint64_t now, bool was_alone)
{
	if (build_is_over(b) || b->room.n_made++ >= ROOM_TRIES)
		return false;
	if (b->room.is_crossed && !was_alone)
		return now >= b->conf->min_free;
	return now > b->room.at_start && now - b->room.at_start >= ROOM_GAIN;
}

bool room_make(struct build *b, struct aq_err *err)
{
	struct aq_collection c = { .max_freed = UINT64_MAX };
	uint64_t wanted, now, more = b->room.used * ROOM_FACTOR;
	bool was_alone = b->room.alone_fd >= 0, is_again;
	cleanup_close int lock = -1;
	struct aq_err why = { 0 };
	int rc;

	if (!b->room.is_lacking || build_is_over(b))
		return false;
	wait_for_others(b);
	say(b, "'%s' is full: collecting", b->conf->cache_dir);
	/* who repairs keeps collectors out until we are through */
	rc = b->again ? aq_collect_begin(b->conf, &lock, &why) :
			aq_collect_begin_after(b->conf, build_is_over, b, &lock,
					       &why);
	now = get_free(b);
	wanted = now + (more > ROOM_LEAST ? more : ROOM_LEAST);
	if (wanted < b->conf->min_free)
		wanted = b->conf->min_free;
	if (!rc)
		rc = collect(b, wanted, &c, &why);
	if (!rc)
		say_collected(b, &c);
	is_again = is_better(b, get_free(b), was_alone);
	if (!is_again)
		complain(b, &c, rc ? &why : NULL, err);
	aq_plan_free(&c.plan);
	return is_again;
}
