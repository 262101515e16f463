/* SPDX-License-Identifier: Apache-2.0 */
/* The process that copies archives from and to shared_dir. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/shared_serve.h"
#include "builder/shared_store.h"
#include "common/clock.h"
#include "common/io.h"

/* While something is copied that is said so often, in milliseconds. */
#define ALIVE_MS 1000

static const char *const kinds[SHARED_GROUPS] = {
	"claim0-", "claim1-", "claim2-", "claim3-",
};

struct serving {
	const struct shared_archives_job *job;
	struct shared_store store;
	struct shared_dir dir; /* of the claims */
	struct shared_claim claims[SHARED_GROUPS];
	unsigned ours; /* groups that this node fetches */
	struct aq_str told;
	int64_t said;
};

/* Those of 'groups', which are no longer ours. */
static void drop(struct serving *s, unsigned groups)
{
	for (size_t g = 0; g < SHARED_GROUPS; g++)
		if (groups & 1u << g)
			shared_claim_drop(&s->dir, &s->claims[g], false);
	s->ours &= ~groups;
}

/* Nobody reads while a client is at work, for hours perhaps. */
static bool is_room(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) != 0;
}

/* Also while nobody reads it: one may begin to at any time, and waits for 10 s without a
 * word.
 */
static int say_alive(void *arg, struct aq_err *err)
{
	struct serving *s = arg;

	if (aq_now_ms() - s->said < ALIVE_MS)
		return 0;
	s->said = aq_now_ms();
	for (size_t g = 0; g < SHARED_GROUPS; g++)
		shared_claim_renew(&s->claims[g]);
	return is_room() ? shared_say(SHARED_SAYS_ALIVE, "", err) : 0;
}

/* Get it, if it is there by now; else *ret_is_missing. */
static int get_one(struct serving *s, const char *name, bool *ret_is_missing,
		   struct aq_err *err)
{
	struct aq_err why = { 0 };
	int rc = shared_store_get(&s->store, name, &why);

	*ret_is_missing = rc == AQ_MISS || rc == AQ_CORRUPT;
	if (rc == AQ_CORRUPT)
		aq_str_add_fmt(&s->dir.notes, "archive '%.16s' is fetched again: %.200s\n",
			       name, why.text);
	if (*ret_is_missing)
		return say_alive(s, err);
	return rc ? aq_fail(err, (enum aq_class)rc, "%s", why.text) :
		    shared_say(SHARED_SAYS_GOT, "", err);
}

/* What is shared by now and not here yet, of groups that are not done; *ret_missing are
 * those of what is not.  At 'until' (aq_now_ms()) the next time is soon enough.
 */
static int get_all(struct serving *s, int64_t until, unsigned *ret_missing,
		   struct aq_err *err)
{
	const struct aq_strv *names = s->job->names;
	cleanup_close int packages = shared_store_open(&s->store);
	int rc = 0;

	*ret_missing = 0;
	for (size_t i = 0; !rc && i < names->n && aq_now_ms() < until; i++) {
		const unsigned group = shared_group(names->v[i]);
		bool is_missing = true;

		if (group & s->job->done ||
		    faccessat(s->store.here, names->v[i], F_OK, 0) == 0)
			continue;
		/* the first one in any case, which judges the places too */
		if (!*ret_missing || shared_store_may_have(packages, names->v[i]))
			rc = get_one(s, names->v[i], &is_missing, err);
		else
			rc = say_alive(s, err);
		*ret_missing |= is_missing ? group : 0;
	}
	return rc || !is_room() ? rc : shared_say_notes(&s->dir, err);
}

static int put_all(struct serving *s, struct aq_err *err)
{
	const struct aq_strv *names = s->job->names;
	int rc = 0;

	for (size_t i = 0; !rc && i < names->n; i++) {
		if (!(shared_group(names->v[i]) & s->ours))
			continue;
		rc = shared_store_put(&s->store, names->v[i], err);
		if (rc == AQ_MISS) /* it is not here yet, or could not be had */
			rc = 0;
	}
	return rc;
}

/* While a client fetches: what it has is others', and then what others have is ours; what
 * is wrong with that is said once it is waited for.
 */
static int exchange(void *arg, struct aq_err *err)
{
	struct serving *s = arg;
	unsigned missing;
	int rc = put_all(s, err);

	if (!rc)
		rc = say_alive(s, err);
	if (!rc && s->told.len)
		(void)!get_all(s, aq_now_ms() + SHARED_RENEW_MS, &missing, NULL);
	return rc;
}

/* Of groups that are missing claim one, or all, that nobody has; *ret_other: a claim that
 * somebody has.  AQ_BUSY: nobody is to be waited for.
 */
static int claim(struct serving *s, unsigned missing, struct shared_claim **ret_other,
		 struct aq_err *err)
{
	unsigned first = 0;

	/* so that nodes which begin at once begin with another one each */
	(void)!getrandom(&first, sizeof(first), 0);
	*ret_other = NULL;
	for (unsigned i = 0; i < SHARED_GROUPS; i++) {
		const unsigned g = (first % SHARED_GROUPS + i) % SHARED_GROUPS;
		struct shared_claim *c = &s->claims[g];
		int rc;

		if (!(missing & 1u << g) || (s->ours && !s->job->takes_all))
			continue;
		rc = s->job->has_failed ? shared_claim_look(&s->dir, c, err) :
					  shared_claim_take(&s->dir, c, err);
		if (rc == AQ_BUSY)
			*ret_other = c;
		else if (rc)
			return rc == AQ_MISS ? AQ_BUSY : rc;
		else if (!s->job->has_failed)
			s->ours |= 1u << g;
	}
	return 0;
}

/* AQ_MISS: s->ours is to be fetched; AQ_BUSY: nobody is to be waited for; 0: all is here. */
static int wait_for_archives(struct serving *s, struct aq_err *err)
{
	int64_t since = aq_now_ms(), held = since;
	bool is_said = false;

	for (;;) {
		struct shared_claim *other;
		unsigned missing = 0;
		int rc = get_all(s, INT64_MAX, &missing, err);

		/* it may have come before we had the claim */
		drop(s, s->ours & ~missing);
		if (rc || !missing)
			return rc;
		if (s->ours)
			return AQ_MISS;
		rc = claim(s, missing, &other, err);
		if (rc)
			return rc;
		if (s->ours)
			continue;
		/* who has one may be between two of them */
		if (other)
			held = aq_now_ms();
		else if (aq_now_ms() - held >= SHARED_STALE_MS)
			return AQ_BUSY;
		rc = shared_wait(other, since, &is_said, err);
		if (rc)
			return rc;
	}
}

/* The one before has ended while a program fetched, and what it had is ours: who waits
 * goes on waiting.  Without a claim, if another node was faster, we publish too.
 */
static void take_over(struct serving *s)
{
	s->ours = s->job->ours;
	for (size_t g = 0; g < SHARED_GROUPS; g++)
		if (s->ours & 1u << g &&
		    !shared_claim_adopt(&s->dir, &s->claims[g]))
			(void)!shared_claim_take(&s->dir, &s->claims[g], NULL);
}

static int conclude(struct serving *s, struct aq_err *err)
{
	int rc = shared_read_told(&s->told, exchange, s, err);
	/* else the build has ended */
	const bool is_told = s->told.len && strcmp(s->told.s, SHARED_TELL_WORK) != 0;

	if (!rc && is_told)
		rc = put_all(s, err);
	drop(s, SHARED_ALL_GROUPS);
	return rc || !is_told ? rc : shared_say(SHARED_SAYS_DONE, "", err);
}

static int serve(struct serving *s, struct aq_err *err)
{
	char groups[16];
	int rc;

	if (s->job->ours) {
		take_over(s);
		return conclude(s, err);
	}
	rc = wait_for_archives(s, err);
	if (!rc)
		return shared_say(SHARED_SAYS_DONE, "", err);
	if (rc == AQ_BUSY)
		return shared_say(SHARED_SAYS_ALONE, "", err);
	if (rc != AQ_MISS)
		return rc;
	snprintf(groups, sizeof(groups), " %u", s->ours);
	rc = shared_say(SHARED_SAYS_CLAIMED, groups, err);
	return rc ? rc : conclude(s, err);
}

int shared_archives_serve(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct shared_archives_job *job = arg;
	struct serving s = { .job = job, .dir = SHARED_DIR_INIT,
			     .told = AQ_STR_INIT(SHARED_TOLD_MAX) };
	cleanup_close int here = -1;
	int rc = shared_dir_open(job->path, job->owner, job->key, &s.dir, err);

	(void)out;
	(void)mkdir(job->dir, 0755); /* that of wheels stays */
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, job->dir, &here, err);
	s.store = (struct shared_store){ .path = job->path, .owner = job->owner,
					 .here = here, .tag = job->key,
					 .alive = say_alive, .arg = &s };
	for (size_t g = 0; g < SHARED_GROUPS; g++)
		shared_claim_init(&s.claims[g], kinds[g], job->node);
	if (!rc)
		rc = serve(&s, err);
	drop(&s, SHARED_ALL_GROUPS);
	shared_dir_close(&s.dir);
	aq_str_free(&s.told);
	return rc;
}
