/* SPDX-License-Identifier: Apache-2.0 */
#include "common/flock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"

/* How often a lock file may vanish between open and flock before it is no
 * coincidence.
 */
#define REOPEN_MAX 100

/* Whether the file we locked is still the one of that name. */
static bool is_current(int fd, int dirfd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int try_at(int dirfd, const char *name, enum aq_flock_mode mode,
		  int *ret_fd, struct aq_err *err)
{
	int op = (mode == AQ_FLOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB;

	for (int i = 0; i < REOPEN_MAX; i++) {
		cleanup_close int fd =
			openat(dirfd, name,
			       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return aq_fail_errno(err, "cannot open lock '%s'", name);
		if (flock(fd, op) < 0) {
			if (errno == EWOULDBLOCK)
				return aq_fail(err, AQ_BUSY, "'%s' is locked",
					       name);
			return aq_fail_errno(err, "cannot lock '%s'", name);
		}
		if (is_current(fd, dirfd, name)) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
	}
	return aq_fail(err, AQ_SYS, "lock '%s' is removed again and again",
		       name);
}

static int open_locks(const struct aq_conf *conf, int *ret_fd,
		      struct aq_err *err)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/locks", conf->run_dir);
	return aq_open_dir(AT_FDCWD, path, ret_fd, err) ? AQ_SYS : 0;
}

int aq_flock_try(const struct aq_conf *conf, const char *name,
		 enum aq_flock_mode mode, int *ret_fd, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	int rc = open_locks(conf, &dirfd, err);

	return rc ? rc : try_at(dirfd, name, mode, ret_fd, err);
}

int aq_flock_wait(const struct aq_conf *conf, const char *name,
		  enum aq_flock_mode mode, bool (*is_cancelled)(void *arg),
		  void *arg, int *ret_fd, struct aq_err *err)
{
	const struct timespec pause = { 0, AQ_FLOCK_POLL_MS * 1000000l };
	cleanup_close int dirfd = -1;
	int rc = open_locks(conf, &dirfd, err);

	if (rc)
		return rc;
	while ((rc = try_at(dirfd, name, mode, ret_fd, err)) == AQ_BUSY) {
		if (is_cancelled && is_cancelled(arg))
			return AQ_BUSY;
		nanosleep(&pause, NULL);
	}
	return rc;
}
