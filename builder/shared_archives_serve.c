/* SPDX-License-Identifier: Apache-2.0 */
/* The process that copies archives from and to shared_dir. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/shared_serve.h"
#include "builder/shared_store.h"
#include "common/clock.h"
#include "common/io.h"

/* While something is copied that is said so often, in milliseconds. */
#define ALIVE_MS 1000

struct serving {
	const struct shared_archives_job *job;
	struct shared_store store;
	struct shared_dir dir; /* of the claim */
	struct shared_claim claim;
	int64_t said;
};

/* Also while nobody reads it, as the packages are fetched: one may begin to at any time,
 * and waits for 10 s without a word.  Hours of it fit into a pipe.
 */
static int say_alive(void *arg, struct aq_err *err)
{
	struct serving *s = arg;

	if (aq_now_ms() - s->said < ALIVE_MS)
		return 0;
	s->said = aq_now_ms();
	shared_claim_renew(&s->claim);
	return shared_say(SHARED_SAYS_ALIVE, "", err);
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

/* What is shared by now and not here yet; *ret_missing is how many are not. */
static int get_all(struct serving *s, size_t *ret_missing, struct aq_err *err)
{
	const struct aq_strv *names = s->job->names;
	cleanup_close int packages = shared_store_open(&s->store);
	int rc = 0;

	*ret_missing = 0;
	for (size_t i = 0; !rc && i < names->n; i++) {
		bool is_missing = true;

		if (faccessat(s->store.here, names->v[i], F_OK, 0) == 0)
			continue;
		/* the first one in any case, which judges the places too */
		if (!*ret_missing || shared_store_may_have(packages, names->v[i]))
			rc = get_one(s, names->v[i], &is_missing, err);
		else
			rc = say_alive(s, err);
		*ret_missing += is_missing;
	}
	return rc ? rc : shared_say_notes(&s->dir, err);
}

static int put_all(void *arg, struct aq_err *err)
{
	struct serving *s = arg;
	const struct aq_strv *names = s->job->names;
	int rc = 0;

	for (size_t i = 0; !rc && i < names->n; i++) {
		rc = shared_store_put(&s->store, names->v[i], err);
		if (rc == AQ_MISS) /* it is not here yet, or could not be had */
			rc = 0;
	}
	return rc;
}

/* AQ_MISS: the claim is ours; AQ_BUSY: nobody is to be waited for; 0: all is here. */
static int wait_for_archives(struct serving *s, struct aq_err *err)
{
	int64_t since = aq_now_ms();
	bool is_said = false;

	for (;;) {
		size_t missing = 0;
		int rc = get_all(s, &missing, err);

		if (rc || !missing)
			return rc;
		if (s->claim.fd >= 0)
			return AQ_MISS;
		rc = shared_claim_or_wait(&s->dir, &s->claim, since, &is_said,
					  err);
		if (rc)
			return rc;
	}
}

/* The one before has ended while a program fetched, and what it had is ours: who waits
 * goes on waiting.  Without a claim, if another node was faster, we publish too.
 */
static void take_over(struct serving *s)
{
	if (!shared_claim_adopt(&s->dir, &s->claim))
		(void)!shared_claim_take(&s->dir, &s->claim, NULL);
}

static int conclude(struct serving *s, struct aq_err *err)
{
	cleanup_str struct aq_str told = AQ_STR_INIT(SHARED_TOLD_MAX);
	int rc;

	if (s->job->is_told)
		take_over(s);
	rc = shared_read_told(&s->claim, &told, put_all, s, err);
	if (!rc && told.len)
		rc = put_all(s, err);
	shared_claim_drop(&s->dir, &s->claim, false);
	return rc || !told.len ? rc : shared_say(SHARED_SAYS_DONE, "", err);
}

static int serve(struct serving *s, struct aq_err *err)
{
	int rc = s->job->is_told ? AQ_MISS : wait_for_archives(s, err);

	if (!rc)
		return shared_say(SHARED_SAYS_DONE, "", err);
	if (rc == AQ_BUSY)
		return shared_say(SHARED_SAYS_ALONE, "", err);
	if (rc != AQ_MISS)
		return rc;
	rc = s->job->is_told ? 0 : shared_say(SHARED_SAYS_CLAIMED, "", err);
	return rc ? rc : conclude(s, err);
}

int shared_archives_serve(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct shared_archives_job *job = arg;
	struct serving s = { .job = job, .dir = SHARED_DIR_INIT };
	cleanup_close int here = -1;
	int rc = shared_dir_open(job->path, job->owner, job->key, &s.dir, err);

	(void)out;
	(void)mkdir(job->dir, 0755); /* that of wheels stays */
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, job->dir, &here, err);
	s.store = (struct shared_store){ .path = job->path, .owner = job->owner,
					 .here = here, .tag = job->key,
					 .alive = say_alive, .arg = &s };
	shared_claim_init(&s.claim, job->node);
	if (!rc)
		rc = serve(&s, err);
	shared_claim_drop(&s.dir, &s.claim, false);
	shared_dir_close(&s.dir);
	return rc;
}
