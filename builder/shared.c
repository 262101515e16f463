/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builder/inherit.h"
#include "builder/run_inside.h"
#include "builder/shared_judge.h"
#include "common/clock.h"
#include "common/text.h"
#include "common/worker.h"

/* A file system that does nothing for so long hangs, in milliseconds: a server that
 * fails over is back by then, and a build that must wait in vain is not worth more.
 */
#define DEADLINE_MS 10000
/* Another node's resolution is waited for as long, in milliseconds: it takes seconds
 * to some minutes.  One that is still at it hangs in its client, and who waits needs
 * what is left of its own build_timeout.
 */
#define WAIT_MS 300000
/* How often a wait is looked at, in milliseconds; as run.c does. */
#define WATCH_MS 100
/* A process that was told to end is waited for so long, in milliseconds. */
#define END_MS 1000
#define SAID_MAX (AQ_LOCK_MAX + 64 * 1024)

static bool is_used(const struct build *b)
{
	return *b->conf->shared_dir && !b->is_personal && !b->is_private;
}

/* Once a build. */
static void say_alone(struct build *b, const char *why)
{
	if (!b->cluster.is_off)
		say(b, "shared_dir '%s' %s: this node resolves alone",
		    b->conf->shared_dir, why);
	b->cluster.is_off = true;
}

/* -- the process in the cage -- */

/* Nobody waits for what hangs: it dies when its file system lets it. */
static void drop_process(struct build *b, bool is_killed)
{
	struct shared_process *p = &b->cluster;
	int status;

	aq_close_fd(&p->to);
	if (p->pid > 0 && (is_killed ||
			   !aq_reap(p->pid, aq_now_ms() + END_MS, &status))) {
		kill(-p->pid, SIGKILL);
		kill(p->pid, SIGKILL);
		(void)!aq_reap(p->pid, aq_now_ms() + END_MS, &status);
	}
	p->pid = 0;
	aq_close_fd(&p->from);
	aq_close_fd(&p->errors);
	aq_str_free(&p->said);
}

void shared_end(struct build *b)
{
	drop_process(b, false);
}

static bool start(struct build *b, struct shared_job *job)
{
	struct shared_process *p = &b->cluster;
	cleanup_str struct aq_str none = AQ_STR_INIT(1);
	cleanup_close int in = -1, out = -1, errors = -1;
	struct child c = { .b = b, .phase = PHASE_SHARED, .fn = shared_serve,
			   .arg = job, .fn_out = &none };

	p->said = (struct aq_str)AQ_STR_INIT(SAID_MAX);
	p->at = 0;
	p->generation = 0;
	if (!run_make_pipe(&in, &p->to) || !run_make_pipe(&p->from, &out) ||
	    !run_make_pipe(&p->errors, &errors) ||
	    fcntl(p->to, F_SETFL, O_NONBLOCK) < 0)
		return false;
	c.in = in;
	c.out = out;
	c.err = c.fault = errors;
	p->pid = run_start(&c);
	return p->pid > 0;
}

/* -- what it says -- */

enum heard { HEARD_LOCK, HEARD_CLAIMED, HEARD_ALONE, HEARD_NOTHING };

/* One line of it, without the newline.  True: that is the answer. */
static bool take_line(struct build *b, char *line, enum heard *ret)
{
	if (strcmp(line, SHARED_SAYS_CLAIMED) == 0) {
		*ret = HEARD_CLAIMED;
		return true;
	}
	if (strcmp(line, SHARED_SAYS_ALONE) == 0) {
		*ret = HEARD_ALONE;
		return true;
	}
	aq_text_make_printable_text(line);
	if (aq_starts_with(line, SHARED_SAYS_NOTE))
		say(b, "shared_dir: %s", line + strlen(SHARED_SAYS_NOTE));
	else if (aq_starts_with(line, SHARED_SAYS_WAITS))
		say(b, "waiting: node %.*s resolves this for all",
		    (int)strcspn(line + strlen(SHARED_SAYS_WAITS), " "),
		    line + strlen(SHARED_SAYS_WAITS));
	return false;
}

/* "lock GENERATION LENGTH\n" and so many bytes.  True: they are all there. */
static bool take_lock(struct shared_process *p, const char *line,
		      const char *rest, struct aq_lock **ret,
		      struct aq_err *err)
{
	size_t there = p->said.len - (size_t)(rest - p->said.s), len;

	if (sscanf(line, SHARED_SAYS_LOCK "%20" SCNu64 " %9zu", &p->generation,
		   &len) != 2 || len > AQ_LOCK_MAX)
		return aq_fail(err, AQ_CORRUPT, "says what is no lock");
	if (there < len)
		return false;
	(void)!aq_lock_parse(rest, len, ret, err);
	return true;
}

/* Of all that was said so far; true: it has the answer. */
static bool take_said(struct build *b, enum heard *ret, struct aq_lock **lock,
		      struct aq_err *err)
{
	struct shared_process *p = &b->cluster;

	for (;;) {
		const char *text = aq_str_get(&p->said) + p->at;
		const char *end = strchr(text, '\n');
		cleanup_free char *line = NULL;

		if (!end)
			return false;
		line = strndup(text, (size_t)(end - text));
		if (!line || aq_starts_with(line, SHARED_SAYS_LOCK)) {
			*ret = HEARD_LOCK;
			return !line || take_lock(p, line, end + 1, lock, err);
		}
		p->at += (size_t)(end + 1 - text);
		if (take_line(b, line, ret))
			return true;
	}
}

/* Why it ended, in one line. */
static void read_errors(struct shared_process *p, char *ret, size_t size)
{
	ssize_t n;

	/* it has ended, or is not waited for */
	(void)fcntl(p->errors, F_SETFL, O_NONBLOCK);
	n = read(p->errors, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	aq_text_make_printable_text(ret);
}

static void give_up(struct build *b, const char *why)
{
	char text[512], line[600];

	if (!why) {
		read_errors(&b->cluster, text, sizeof(text));
		snprintf(line, sizeof(line), "cannot be used (%s)",
			 *text ? text : "its process ended");
		why = line;
	}
	drop_process(b, true);
	say_alone(b, why);
}

static int end_of_build(struct build *b, struct aq_err *err)
{
	shared_end(b);
	b->verdict = BUILD_ENDED;
	return aq_fail(err, AQ_SYS, aq_now_ms() > b->deadline_ms ?
		       "the build took longer than build_timeout allows" :
		       "the build was cancelled: nobody waits for it any more");
}

/* False: it has ended. */
static bool read_more(struct shared_process *p, int64_t *silent_since)
{
	char buf[16384];
	ssize_t n = read(p->from, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	aq_str_add_mem(&p->said, buf, (size_t)n);
	*silent_since = aq_now_ms();
	return !p->said.broken;
}

/* Wait for the answer.  HEARD_NOTHING: there will be none, which was said; non-zero:
 * the build is over.
 */
static int hear(struct build *b, enum heard *ret, struct aq_lock **lock,
		struct aq_err *err)
{
	struct shared_process *p = &b->cluster;
	int64_t since = aq_now_ms(), silent = since;

	*ret = HEARD_NOTHING;
	while (!take_said(b, ret, lock, err)) {
		struct pollfd f = { .fd = p->from, .events = POLLIN };

		if (build_is_over(b))
			return end_of_build(b, err);
		if (poll(&f, 1, WATCH_MS) > 0 && !read_more(p, &silent)) {
			give_up(b, NULL);
			return 0;
		}
		if (aq_now_ms() - silent > DEADLINE_MS) {
			give_up(b, "does not answer");
			return 0;
		}
		if (aq_now_ms() - since > WAIT_MS) {
			drop_process(b, true);
			say(b, "another node resolves this for too long: this one no longer waits");
			*ret = HEARD_ALONE;
			return 0;
		}
	}
	return 0;
}

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
	int rc = shared_judge(b->conf, b->req,
			      b->base_manifest ? b->base.lock : "", lock, err);

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
	if (b->cluster.generation)
		snprintf(b->reason + len, sizeof(b->reason) - len,
			 "%sas the cluster's lock has it, generation %" PRIu64,
			 len ? "; " : "", b->cluster.generation);
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
				    .may_claim = !b->is_explain && !b->cgroup };
}

/* 0: b->lock is the cluster's; AQ_MISS: resolve. */
static int ask(struct build *b, struct aq_err *err)
{
	struct shared_job job = make_job(b);
	cleanup_lock struct aq_lock *lock = NULL;
	enum heard heard;
	int rc;

	if (!start(b, &job)) {
		give_up(b, "cannot be asked: no process can be had");
		return AQ_MISS;
	}
	rc = hear(b, &heard, &lock, err);
	if (rc || heard == HEARD_CLAIMED)
		return rc ? rc : AQ_MISS;
	shared_end(b);
	if (heard != HEARD_LOCK)
		return AQ_MISS;
	if (adopt(b, &lock))
		return 0;
	/* one that others may have is not for this node to replace */
	b->cluster.is_off = true;
	return AQ_MISS;
}

static bool write_to(struct build *b, const char *text, size_t len)
{
	int64_t deadline = aq_now_ms() + DEADLINE_MS;

	while (len) {
		struct pollfd f = { .fd = b->cluster.to, .events = POLLOUT };
		ssize_t n = write(f.fd, text, len);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		} else if (aq_now_ms() > deadline || build_is_over(b)) {
			return false;
		} else {
			(void)poll(&f, 1, WATCH_MS);
		}
	}
	return true;
}

/* To the process that has the claim; to another if that is gone: it is no part of
 * the build's control group, and may have ended with its step.
 */
static bool send_lock(struct build *b)
{
	struct shared_job job = make_job(b);

	job.is_told = true;
	for (int i = 0; i < 2; i++) {
		if (b->cluster.pid <= 0 && !start(b, &job))
			return false;
		if (write_to(b, SHARED_TELL_LOCK, strlen(SHARED_TELL_LOCK)) &&
		    write_to(b, b->lock->text, b->lock->text_len)) {
			aq_close_fd(&b->cluster.to);
			return true;
		}
		drop_process(b, true);
	}
	return false;
}

/* Publish b->lock, and take what is published then. */
static int tell(struct build *b, struct aq_err *err)
{
	cleanup_lock struct aq_lock *lock = NULL;
	enum heard heard;
	int rc;

	if (!send_lock(b)) {
		give_up(b, "cannot be written to");
		return 0;
	}
	rc = hear(b, &heard, &lock, err);
	shared_end(b);
	if (rc || heard != HEARD_LOCK ||
	    (lock && strcmp(lock->digest, b->lock->digest) == 0))
		return rc;
	(void)adopt(b, &lock);
	return 0;
}

int shared_resolve(struct build *b, struct aq_err *err)
{
	int rc = AQ_MISS;

	if (!is_used(b))
		return resolve(b, err);
	b->cluster.is_off = false;
	rc = ask(b, err);
	if (rc != AQ_MISS)
		return rc;
	rc = resolve(b, err);
	if (!rc && !b->is_explain && !b->cluster.is_off)
		return tell(b, err);
	if (rc && b->cluster.pid > 0 && b->verdict != BUILD_ENDED)
		(void)!write_to(b, SHARED_TELL_OVER, strlen(SHARED_TELL_OVER));
	shared_end(b);
	return rc;
}
