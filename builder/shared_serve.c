/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/shared_serve.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/lock.h"

/* Who waits looks so often, in milliseconds: the longer the less, so that a thousand
 * nodes do not keep a server busy.
 */
#define LOOK_LEAST_MS 50
#define LOOK_MOST_MS 1000

struct serving {
	const struct shared_job *job;
	struct shared_dir dir;
	struct shared_claim claim;
};

int shared_say(const char *what, const char *text, struct aq_err *err)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s%s\n", what, text);

	return aq_write_all(STDOUT_FILENO, line, (size_t)n, err);
}

int shared_say_notes(struct shared_dir *d, struct aq_err *err)
{
	int rc = 0;

	for (const char *p = aq_str_get(&d->notes); !rc && *p;
	     p = aq_next_line(p)) {
		char note[400];

		snprintf(note, sizeof(note), "%.*s", (int)strcspn(p, "\n"), p);
		rc = shared_say(SHARED_SAYS_NOTE, note, err);
	}
	aq_str_free(&d->notes);
	return rc;
}

/* What is published, said.  AQ_MISS: nothing is that we may take. */
static int look(struct serving *s, bool is_refresh, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	uint64_t generation = 0;
	char head[64];
	int rc;

	aq_str_free(&s->dir.notes);
	rc = is_refresh ? shared_dir_find_job(&s->dir, &text, err) :
			  shared_dir_find(&s->dir, &text, &generation, err);
	if (rc)
		return rc;
	rc = shared_say_notes(&s->dir, err);
	snprintf(head, sizeof(head), "%" PRIu64 " %zu", generation, text.len);
	if (!rc)
		rc = shared_say(SHARED_SAYS_LOCK, head, err);
	return rc ? rc : aq_write_all(STDOUT_FILENO, aq_str_get(&text), text.len,
				      err);
}

/* Whether there is something to read, or nobody who would write it any more. */
static bool is_told(int64_t ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0;
}

static int64_t interval(int64_t since)
{
	int64_t ms = (aq_now_ms() - since) / 4;

	return ms < LOOK_LEAST_MS ? LOOK_LEAST_MS :
	       ms > LOOK_MOST_MS  ? LOOK_MOST_MS :
				    ms;
}

int shared_wait(const struct shared_claim *c, int64_t since, bool *is_said,
		struct aq_err *err)
{
	bool is_new = !*is_said && c && *c->seen; /* it may be gone by now */
	int rc = shared_say(is_new ? SHARED_SAYS_WAITS : SHARED_SAYS_ALIVE,
			    is_new ? c->seen : "", err);

	*is_said |= is_new;
	if (!rc && is_told(interval(since)))
		rc = aq_fail(err, AQ_SYS, "the build is over");
	return rc;
}

int shared_read_told(struct aq_str *told,
		     int (*tick)(void *arg, struct aq_err *err), void *arg,
		     struct aq_err *err)
{
	char buf[4096];
	ssize_t n;

	for (;;) {
		while (!is_told(SHARED_RENEW_MS)) {
			int rc = tick(arg, err);

			if (rc)
				return rc;
		}
		n = read(STDIN_FILENO, buf, sizeof(buf));
		if (n < 0 && errno != EINTR)
			return aq_fail_errno(err, "cannot read");
		if (n == 0)
			return aq_str_done(told, "the lock", err);
		if (n > 0)
			aq_str_add_mem(told, buf, (size_t)n);
	}
}

/* Until there is a lock, which is said, or the claim is ours (AQ_MISS), or nobody is
 * to be waited for (AQ_BUSY).
 */
static int wait_for_lock(struct serving *s, struct aq_err *err)
{
	int64_t since = aq_now_ms();
	bool is_said = false;

	for (;;) {
		int rc = look(s, s->job->is_refresh, err);

		if (rc != AQ_MISS)
			return rc;
		if (s->claim.fd >= 0) /* and still nothing is there */
			return AQ_MISS;
		if (!s->job->may_claim)
			return AQ_BUSY;
		rc = shared_claim_take(&s->dir, &s->claim, err);
		if (rc == AQ_MISS)
			return AQ_BUSY;
		if (rc == AQ_BUSY)
			rc = shared_wait(&s->claim, since, &is_said, err);
		if (rc)
			return rc;
	}
}

/* A refresh is its job's first, and everybody's once it is built. */
static int publish(struct serving *s, const char *text, size_t len,
		   struct aq_err *err)
{
	return s->job->is_refresh && !s->job->is_built ?
		shared_dir_publish_job(&s->dir, text, len, err) :
		shared_dir_publish(&s->dir, s->job->replaced, text, len, err);
}

static int renew(void *arg, struct aq_err *err)
{
	(void)err;
	shared_claim_renew(arg);
	return 0;
}

/* Publish what is told, and say what is published then. */
static int conclude(struct serving *s, struct aq_err *err)
{
	cleanup_str struct aq_str told = AQ_STR_INIT(SHARED_TOLD_MAX);
	const size_t len = strlen(SHARED_TELL_LOCK);
	bool has_lock;
	int rc = shared_read_told(&told, renew, &s->claim, err);

	has_lock = aq_starts_with(aq_str_get(&told), SHARED_TELL_LOCK);
	if (!rc && has_lock)
		rc = publish(s, told.s + len, told.len - len, err);
	/* whom we keep waiting sees the lock first */
	shared_claim_drop(&s->dir, &s->claim,
			  strcmp(aq_str_get(&told), SHARED_TELL_OVER) == 0);
	if (rc || !has_lock)
		return rc;
	return s->job->is_built ? shared_say(SHARED_SAYS_DONE, "", err) :
				  look(s, s->job->is_refresh, err);
}

int shared_serve(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct shared_job *job = arg;
	struct serving s = { .job = job, .dir = SHARED_DIR_INIT };
	int rc = shared_dir_open(job->path, job->owner, job->key, &s.dir, err);

	(void)out;
	s.dir.job = job->job;
	shared_claim_init(&s.claim, SHARED_CLAIM, job->node);
	if (!rc && !job->is_told)
		rc = wait_for_lock(&s, err);
	else if (!rc)
		rc = AQ_MISS;
	if (rc == AQ_BUSY || rc == AQ_MISS) {
		int said = shared_say_notes(&s.dir, err);

		if (!said && !job->is_told)
			said = shared_say(rc == AQ_MISS ? SHARED_SAYS_CLAIMED :
							SHARED_SAYS_ALONE,
					"", err);
		rc = said || rc == AQ_BUSY ? said : conclude(&s, err);
	}
	shared_claim_drop(&s.dir, &s.claim, false);
	shared_dir_close(&s.dir);
	return rc;
}
