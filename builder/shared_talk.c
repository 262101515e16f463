/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared_talk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builder/run_inside.h"
#include "builder/shared.h"
#include "builder/shared_store.h"
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
/* What came meanwhile is said so often, in milliseconds: a client takes a tenth of it
 * to start.
 */
#define GOT_MS 1000
/* A process that was told to end is waited for so long, in milliseconds. */
#define END_MS 1000
#define SAID_MAX (AQ_LOCK_MAX + 64 * 1024)

bool shared_is_used(const struct build *b)
{
	/* a private domain has none (common/private.h) */
	return *b->conf->shared_dir && (!b->is_personal || b->is_fetch);
}

/* Once a build. */
static void say_alone(struct build *b, const char *why)
{
	if (!b->sharing.is_off)
		say(b, "shared_dir '%s' %s: this node goes on alone",
		    b->conf->shared_dir, why);
	b->sharing.is_off = true;
}

/* -- the process in the cage -- */

/* Nobody waits for what hangs: it dies when its file system lets it. */
static void drop(struct shared_process *p, bool is_killed)
{
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

void shared_drop(struct shared_process *p)
{
	drop(p, false);
}

void shared_end(struct build *b)
{
	drop(&b->sharing.archives, false);
	drop(&b->sharing.locks, false);
}

static bool start(struct build *b, struct shared_process *p,
		  const struct shared_program *program)
{
	cleanup_str struct aq_str none = AQ_STR_INIT(1);
	cleanup_close int in = -1, out = -1, errors = -1;
	struct child c = { .b = b, .phase = program->phase, .fn = program->fn,
			   .arg = program->arg, .fn_out = &none };

	run_leave(b);
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

/* One line of it, without the newline.  True: that is the answer. */
static bool take_line(struct build *b, struct shared_process *p, char *line,
		      enum shared_heard *ret)
{
	if (aq_starts_with(line, SHARED_SAYS_CLAIMED)) {
		p->groups = (unsigned)strtoul(line + strlen(SHARED_SAYS_CLAIMED), NULL, 10) &
			SHARED_ALL_GROUPS;
		*ret = SHARED_HEARD_CLAIMED;
		return true;
	}
	if (strcmp(line, SHARED_SAYS_ALONE) == 0) {
		*ret = SHARED_HEARD_ALONE;
		return true;
	}
	if (strcmp(line, SHARED_SAYS_DONE) == 0) {
		*ret = SHARED_HEARD_DONE;
		return true;
	}
	if (strcmp(line, SHARED_SAYS_GOT) == 0) {
		p->since = aq_now_ms();
		p->has_got = true;
	}
	aq_text_make_printable_text(line);
	if (aq_starts_with(line, SHARED_SAYS_NOTE))
		say(b, "shared_dir: %s", line + strlen(SHARED_SAYS_NOTE));
	else if (aq_starts_with(line, SHARED_SAYS_WAITS))
		say(b, "waiting: node %.*s does this for all",
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

/* Who waits for long says much. */
static void forget_taken(struct shared_process *p)
{
	if (p->at < p->said.len)
		return;
	aq_str_truncate(&p->said, 0);
	p->at = 0;
}

/* Of all that was said so far; true: it has the answer. */
static bool take_said(struct build *b, struct shared_process *p,
		      enum shared_heard *ret, struct aq_lock **lock,
		      struct aq_err *err)
{
	for (;;) {
		const char *text = aq_str_get(&p->said) + p->at;
		const char *end = strchr(text, '\n');
		cleanup_free char *line = NULL;

		if (!end) {
			forget_taken(p);
			return false;
		}
		line = strndup(text, (size_t)(end - text));
		if (!line || aq_starts_with(line, SHARED_SAYS_LOCK)) {
			*ret = SHARED_HEARD_LOCK;
			return !line || take_lock(p, line, end + 1, lock, err);
		}
		p->at += (size_t)(end + 1 - text);
		if (take_line(b, p, line, ret))
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

static void give_up(struct build *b, struct shared_process *p, const char *why)
{
	char text[512], line[600];

	if (!why) {
		read_errors(p, text, sizeof(text));
		snprintf(line, sizeof(line), "cannot be used (%s)",
			 *text ? text : "its process ended");
		why = line;
	}
	drop(p, true);
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

int shared_hear(struct build *b, struct shared_process *p,
		enum shared_heard *ret, struct aq_lock **lock, struct aq_err *err)
{
	const int64_t begun = aq_now_ms();
	int64_t silent = begun;

	p->since = begun;
	*ret = SHARED_HEARD_NOTHING;
	while (!take_said(b, p, ret, lock, err)) {
		struct pollfd f = { .fd = p->from, .events = POLLIN };

		if (build_is_over(b))
			return end_of_build(b, err);
		if (p->has_got && aq_now_ms() - begun > GOT_MS) {
			p->has_got = false;
			*ret = SHARED_HEARD_GOT;
			return 0;
		}
		if (poll(&f, 1, WATCH_MS) > 0 && !read_more(p, &silent)) {
			give_up(b, p, NULL);
			return 0;
		}
		if (aq_now_ms() - silent > DEADLINE_MS) {
			give_up(b, p, "does not answer");
			return 0;
		}
		if (aq_now_ms() - p->since > WAIT_MS) {
			drop(p, true);
			say(b, "another node works for too long at this: this one no longer waits");
			*ret = SHARED_HEARD_ALONE;
			return 0;
		}
	}
	return 0;
}

/* -- what it is told -- */

static bool write_all(struct build *b, const struct shared_process *p,
		      const char *text, size_t len)
{
	int64_t deadline = aq_now_ms() + DEADLINE_MS;

	while (len) {
		struct pollfd f = { .fd = p->to, .events = POLLOUT };
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

bool shared_start(struct build *b, struct shared_process *p,
		  const struct shared_program *program)
{
	if (start(b, p, program))
		return true;
	give_up(b, p, "cannot be asked: no process can be had");
	return false;
}

void shared_tell_work(struct build *b, struct shared_process *p)
{
	/* where it has ended, another one is told in the end */
	if (p->pid > 0)
		(void)!write_all(b, p, SHARED_TELL_WORK, strlen(SHARED_TELL_WORK));
}

bool shared_tell(struct build *b, struct shared_process *p,
		 const struct shared_program *told, const char *head,
		 const char *text, size_t len)
{
	for (int i = 0; i < 2; i++) {
		if (p->pid <= 0 && (!told || !start(b, p, told)))
			break;
		if (write_all(b, p, head, strlen(head)) && write_all(b, p, text, len)) {
			aq_close_fd(&p->to);
			return true;
		}
		drop(p, true);
	}
	if (told)
		give_up(b, p, "cannot be told");
	return false;
}
