/* SPDX-License-Identifier: Apache-2.0 */
/* One build a key and node, however many ask at once.
 *
 * key-KEY   held exclusively by the builder whose turn it is; when it dies, the
 *           kernel frees it and the next one goes on
 * wait-KEY  held shared by every builder whose step still waits, the building
 *           one included: who can have it exclusively is alone
 * want-LOCK locked by who waits for another key's build of the same lock: by
 *           fcntl(2), which is a process's own, so that a copy that a child has
 *           of it says nothing
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "builder/queue.h"
#include "builder/room.h"
#include "builder/turn.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/job.h"

struct waiting {
	struct build *b;
	size_t at; /* in the other builder's progress */
};

static void lock_name(const struct build *b, const char *kind, char *ret,
		      size_t size)
{
	snprintf(ret, size, "%s-%s", kind, b->key);
}

/* End of file on the pipe that only our step's tasks hold open; before there is a step,
 * the job's mark, which its epilog takes away.
 */
bool turn_is_step_gone(const struct build *b)
{
	struct pollfd p = { .fd = b->alive_fd, .events = POLLIN };

	if (b->prefetch)
		return !aq_job_is_marked(b->shared, b->prefetch);
	return b->alive_fd >= 0 && poll(&p, 1, 0) > 0;
}

/* -- a lock that several keys have led to -- */

static void want_name(const struct build *b, char ret[BUILD_PATH_MAX])
{
	snprintf(ret, BUILD_PATH_MAX, "%s/locks/want-%s", b->conf->run_dir,
		 b->lock->digest);
}

static int open_want(const struct build *b, char ret[BUILD_PATH_MAX])
{
	int fd = -1;

	want_name(b, ret);
	return aq_open_own(AT_FDCWD, ret, &fd, NULL) ? -1 : fd;
}

int turn_want_lock(const struct build *b)
{
	struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	char path[BUILD_PATH_MAX];
	int fd = open_want(b, path);

	if (fd >= 0 && fcntl(fd, F_SETLK, &all) < 0)
		aq_close_fd(&fd);
	/* removed meanwhile: at worst it is built once more */
	if (fd >= 0 && !aq_is_still(fd, AT_FDCWD, path))
		aq_close_fd(&fd);
	return fd;
}

void turn_unwant_lock(const struct build *b, int *fd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[BUILD_PATH_MAX];

	want_name(b, path);
	if (*fd >= 0 && !b->is_personal && fcntl(*fd, F_SETLK, &all) == 0)
		(void)unlink(path);
	aq_close_fd(fd);
}

/* By somebody else than us. */
static bool is_lock_wanted(const struct build *b)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	cleanup_close int fd = -1;
	char path[BUILD_PATH_MAX];

	if (!b->lock)
		return false;
	want_name(b, path);
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fcntl(fd, F_GETLK, &all) == 0 &&
	       all.l_type != F_UNLCK;
}

bool turn_is_over(void *arg)
{
	struct build *b = arg;
	char name[128];
	int fd = -1;

	if (room_is_crossed(b))
		return true;
	if (!turn_is_step_gone(b))
		return false;
	/* we no longer wait; does anybody? */
	aq_close_fd(&b->wait_fd);
	lock_name(b, "wait", name, sizeof(name));
	if (aq_flock_try(b->conf, name, AQ_FLOCK_EXCLUSIVE, &fd, NULL) != 0)
		return false;
	aq_flock_drop(b->conf, name, &fd);
	return !is_lock_wanted(b);
}

static bool stop_waiting(void *arg)
{
	struct waiting *w = arg;

	if (turn_is_step_gone(w->b))
		return true;
	if (!w->b->has_waited) {
		say(w->b, "waiting: another job builds the same environment");
		/* without a ticket of ours it is built in others' turns alone */
		(void)!queue_join(w->b, NULL);
	}
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

void turn_leave(struct build *b)
{
	char name[128];

	lock_name(b, "key", name, sizeof(name));
	aq_flock_drop(b->conf, name, &b->key_fd);
	lock_name(b, "wait", name, sizeof(name));
	aq_flock_drop(b->conf, name, &b->wait_fd);
}
