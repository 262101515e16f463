/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "builder/order.h"
#include "builder/turn.h"
#include "common/flock.h"
#include "common/grow.h"
#include "common/io.h"

/* More than steps can wait on one node: each is a process, and a slurmstepd. */
#define TICKETS_MAX 16384
/* Users whose turns are remembered: those forgotten are as if never served. */
#define SERVED_MAX 256
#define SERVED_SIZE (SERVED_MAX * 12)
/* How often a waiting builder looks, in milliseconds: who is next soon, others
 * less often, so that a long queue costs the node next to nothing.
 */
#define LOOK_MS 50
#define LOOK_MAX_MS 2000

/* -- tickets -- */

static const char states[] = "wqb"; /* enum ticket_state */

static bool read_name(const char *name, struct ticket *ret)
{
	char what[2];
	int end = 0;

	*ret = (struct ticket){ 0 };
	if (sscanf(name, "%" SCNu64 "-%" SCNu32 "-%32[0-9a-f]-%1[wqb]%n",
		   &ret->at, &ret->uid, ret->key, what, &end) != 4 ||
	    name[end] || strlen(ret->key) != ORDER_KEY_DIGITS)
		return false;
	ret->state = (enum ticket_state)(strchr(states, what[0]) - states);
	return true;
}

static void write_name(const struct ticket *t, char ret[QUEUE_NAME_SIZE])
{
	snprintf(ret, QUEUE_NAME_SIZE, "%" PRIu64 "-%" PRIu32 "-%s-%c", t->at,
		 t->uid, t->key, states[t->state]);
}

static void short_key(const struct build *b, char ret[ORDER_KEY_DIGITS + 1])
{
	snprintf(ret, ORDER_KEY_DIGITS + 1, "%s", b->key);
}

/* Whether its builder lives.  A dead one's ticket goes. */
static bool is_alive(const struct build *b, int dirfd, const struct ticket *t)
{
	char name[QUEUE_NAME_SIZE];
	cleanup_close int fd = -1;

	write_name(t, name);
	if (strcmp(name, b->ticket) == 0)
		return true;
	fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return true;
	(void)unlinkat(dirfd, name, 0);
	return false;
}

struct reading {
	const struct build *b;
	int dirfd;
	bool is_thorough;
	struct order *o;
};

static int read_ticket(const char *name, void *arg, struct aq_err *err)
{
	struct reading *r = arg;
	struct order *o = r->o;
	struct ticket t;

	if (!read_name(name, &t) ||
	    ((r->is_thorough || t.state == TICKET_BUILDS) &&
	     !is_alive(r->b, r->dirfd, &t)))
		return 0;
	if (!aq_grow(o->v, o->n, TICKETS_MAX))
		return aq_fail_errno(err, "cannot count the builds that wait");
	o->v[o->n++] = t;
	return 0;
}

static void free_order(struct order *o)
{
	free(o->v);
	free(o->served);
}
#define cleanup_order __attribute__((cleanup(free_order)))

/* -- whose turn was last -- */

static void read_served(int dirfd, struct order *o)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SERVED_SIZE);
	uint32_t *users = calloc(SERVED_MAX, sizeof(*users));
	const char *p;
	char *end;

	o->served = users;
	if (!users || aq_read_file(dirfd, "served", &text, NULL) != 0 ||
	    text.broken)
		return;
	p = aq_str_get(&text);
	while (o->n_served < SERVED_MAX) {
		unsigned long uid = strtoul(p, &end, 10);

		if (end == p || *end != '\n')
			return;
		users[o->n_served++] = (uint32_t)uid;
		p = end + 1;
	}
}

static void note_served(int dirfd, const struct order *o, uint32_t uid)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SERVED_SIZE);
	size_t first = o->n_served == SERVED_MAX;

	for (size_t i = first; i < o->n_served; i++)
		if (o->served[i] != uid)
			aq_str_add_fmt(&text, "%" PRIu32 "\n", o->served[i]);
	aq_str_add_fmt(&text, "%" PRIu32 "\n", uid);
	if (!text.broken)
		(void)!aq_replace_file(dirfd, "served", aq_str_get(&text),
				       text.len, NULL);
}

/* -- the queue -- */

static bool is_gone(void *arg)
{
	return turn_is_step_gone(arg);
}

int queue_open(struct build *b, struct queue *ret, struct aq_err *err)
{
	char path[BUILD_PATH_MAX];
	int rc;

	*ret = (struct queue){ -1, -1 };
	snprintf(path, sizeof(path), "%s/queue", b->shared->run_dir);
	rc = aq_open_dir(AT_FDCWD, path, &ret->fd, err) ? AQ_SYS : 0;
	if (!rc)
		rc = aq_flock_wait(b->shared, "queue", AQ_FLOCK_EXCLUSIVE,
				   is_gone, b, &ret->lock_fd, err);
	if (rc)
		queue_close(ret);
	return rc;
}

void queue_close(struct queue *q)
{
	aq_close_fd(&q->lock_fd);
	aq_close_fd(&q->fd);
}

/* Who waits is looked at when it would be next, for there may be many; with
 * 'is_thorough' at once.
 */
static int read_order(const struct build *b, const struct queue *q,
		      bool is_thorough, struct order *ret, struct aq_err *err)
{
	struct reading r = { .b = b, .dirfd = q->fd,
			     .is_thorough = is_thorough, .o = ret };

	*ret = (struct order){ .max_builds = b->shared->max_builds,
			       .max_builds_user = b->shared->max_builds_user };
	read_served(q->fd, ret);
	return aq_each_entry(q->fd, "queue", read_ticket, &r, err);
}

int queue_join(struct build *b, struct aq_err *err)
{
	cleanup_order struct order o = { 0 };
	cleanup_queue struct queue q = { -1, -1 };
	cleanup_close int fd = -1;
	struct ticket t = { .uid = b->uid };
	char name[QUEUE_NAME_SIZE];
	int rc;

	if (b->is_personal || b->ticket_fd >= 0)
		return 0;
	rc = queue_open(b, &q, err);
	if (!rc)
		rc = read_order(b, &q, true, &o, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < o.n; i++)
		if (o.v[i].at > t.at)
			t.at = o.v[i].at;
	t.at++;
	short_key(b, t.key);
	write_name(&t, name);
	rc = aq_flock_at(q.fd, name, AQ_FLOCK_EXCLUSIVE, 0, &fd, err);
	if (rc)
		return rc;
	memcpy(b->ticket, name, sizeof(name));
	b->ticket_fd = steal_fd(&fd);
	return 0;
}

/* Our ticket says that from now on, in the turn of 'uid'. */
static int change_ticket(struct build *b, const struct queue *q,
			 enum ticket_state state, uint32_t uid,
			 struct aq_err *err)
{
	char name[QUEUE_NAME_SIZE];
	struct ticket t;

	if (!read_name(b->ticket, &t))
		return aq_fail(err, AQ_SYS, "'%s' is no ticket", b->ticket);
	t.uid = uid;
	t.state = state;
	write_name(&t, name);
	if (renameat(q->fd, b->ticket, q->fd, name) < 0)
		return aq_fail_errno(err, "cannot queue in '%s/queue'",
				     b->shared->run_dir);
	memcpy(b->ticket, name, sizeof(name));
	return 0;
}

static int begin(struct build *b, const struct queue *q, const struct order *o,
		 uint32_t uid, struct aq_err *err)
{
	int rc = change_ticket(b, q, TICKET_BUILDS, uid, err);

	if (!rc && uid)
		note_served(q->fd, o, uid);
	return rc;
}

/* Whose turn it is, of those who live and whose builder does; or NULL. */
static const struct ticket *find_next(const struct build *b,
				      const struct queue *q, struct order *o)
{
	struct ticket *next, *holder;

	while ((next = order_next(o))) {
		holder = order_holder(o, next->key);
		if (!is_alive(b, q->fd, next))
			*next = o->v[--o->n];
		else if (!is_alive(b, q->fd, holder))
			*holder = o->v[--o->n];
		else
			return next;
	}
	return NULL;
}

static void say_waiting(struct build *b, const struct order *o, size_t before)
{
	say(b, "waiting for a turn: %zu being built, %zu before this one ('max_builds' %" PRIu64
	       ", 'max_builds_user' %" PRIu64 ")",
	    order_count_building(o), before, b->shared->max_builds,
	    b->shared->max_builds_user);
}

struct look {
	bool has_said;
	size_t before; /* as far as is known */
};

/* AQ_MISS: not yet. */
static int look(struct build *b, struct look *l, struct aq_err *err)
{
	cleanup_order struct order o = { 0 };
	cleanup_queue struct queue q = { -1, -1 };
	char key[ORDER_KEY_DIGITS + 1];
	const struct ticket *next;
	int rc = queue_open(b, &q, err);

	if (!rc)
		rc = change_ticket(b, &q, TICKET_QUEUES, b->uid, err);
	if (!rc)
		rc = read_order(b, &q, false, &o, err);
	if (rc)
		return rc;
	short_key(b, key);
	next = find_next(b, &q, &o);
	if (next && strcmp(next->key, key) == 0)
		return begin(b, &q, &o, next->uid, err);
	if (next || !l->has_said)
		l->before = order_count_before(&o, key);
	if (!l->has_said) {
		say_waiting(b, &o, l->before);
		malloc_trim(0); /* we may wait for long */
	}
	l->has_said = true;
	return AQ_MISS;
}

int queue_wait(struct build *b, struct aq_err *err)
{
	struct pollfd alive = { .fd = b->alive_fd, .events = POLLIN };
	struct look l = { 0 };
	int rc;

	if (b->is_personal)
		return 0;
	rc = queue_join(b, err);
	while (!rc && (rc = look(b, &l, err)) == AQ_MISS) {
		int ms = l.before < LOOK_MAX_MS / LOOK_MS ?
				 LOOK_MS * ((int)l.before + 1) : LOOK_MAX_MS;

		rc = 0;
		(void)poll(&alive, 1, ms); /* or until our step is gone */
		/* others of this key have tickets, and the next of them goes on */
		if (turn_is_step_gone(b))
			return AQ_BUSY;
	}
	return rc;
}

void queue_leave(struct build *b)
{
	char path[BUILD_PATH_MAX];

	if (b->ticket_fd < 0)
		return;
	snprintf(path, sizeof(path), "%s/queue/%s", b->shared->run_dir,
		 b->ticket);
	(void)unlink(path);
	aq_close_fd(&b->ticket_fd);
	b->ticket[0] = '\0';
}
