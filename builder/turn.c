/* SPDX-License-Identifier: Apache-2.0 */
/* One build a key and node, however many ask at once.
 *
 * key-KEY   held exclusively by the builder whose turn it is; when it dies, the
 *           kernel frees it and the next one goes on
 * wait-KEY  held shared by every builder whose step still waits, the building
 *           one included: who can have it exclusively is alone
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/flock.h"

struct waiting {
	struct build *b;
	size_t at; /* in the other builder's progress */
};

static void lock_name(const struct build *b, const char *kind, char *ret,
		      size_t size)
{
	snprintf(ret, size, "%s-%s", kind, b->key);
}

/* Our own step: end of file on the pipe that only its tasks hold open. */
static bool is_step_gone(const struct build *b)
{
	struct pollfd p = { .fd = b->alive_fd, .events = POLLIN };

	return b->alive_fd >= 0 && poll(&p, 1, 0) > 0;
}

bool turn_is_over(void *arg)
{
	struct build *b = arg;
	char name[128];
	int fd = -1;

	if (!is_step_gone(b))
		return false;
	/* we no longer wait; does anybody? */
	aq_close_fd(&b->wait_fd);
	lock_name(b, "wait", name, sizeof(name));
	if (aq_flock_try(b->conf, name, AQ_FLOCK_EXCLUSIVE, &fd, NULL) != 0)
		return false;
	close(fd);
	return true;
}

static bool stop_waiting(void *arg)
{
	struct waiting *w = arg;

	if (is_step_gone(w->b))
		return true;
	if (!w->b->has_waited)
		say(w->b, "waiting: another job builds the same environment");
	w->b->has_waited = true;
	say_others(w->b, &w->at);
	return false;
}

int turn_take(struct build *b, struct aq_err *err)
{
	struct waiting w = { .b = b };
	char name[128];
	int rc;

	lock_name(b, "wait", name, sizeof(name));
	rc = aq_flock_wait(b->conf, name, AQ_FLOCK_SHARED, stop_waiting, &w,
			   &b->wait_fd, err);
	if (rc)
		return rc;
	lock_name(b, "key", name, sizeof(name));
	return aq_flock_wait(b->conf, name, AQ_FLOCK_EXCLUSIVE, stop_waiting,
			     &w, &b->key_fd, err);
}
