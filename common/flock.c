/* SPDX-License-Identifier: Apache-2.0 */
#include "common/flock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/store.h"

#define PATH_SIZE 1024
#define REFS_WAIT_MS 1000 /* half of a hook's worker's time */

/* How often a lock file may vanish between open and flock before it is no
 * coincidence.
 */
#define REOPEN_MAX 100

static int try_once(int dirfd, const char *name, int op, int *ret_fd,
		    struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = aq_open_own(dirfd, name, &fd, err);

	if (rc)
		return rc;
	if (flock(fd, op) < 0) {
		if (errno == EWOULDBLOCK)
			return aq_fail(err, AQ_BUSY, "'%s' is locked", name);
		return aq_fail_errno(err, "cannot lock '%s'", name);
	}
	if (!aq_is_still(fd, dirfd, name))
		return AQ_MISS;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int try_at(int dirfd, const char *name, enum aq_flock_mode mode,
		  int *ret_fd, struct aq_err *err)
{
	int op = (mode == AQ_FLOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB;

	for (int i = 0; i < REOPEN_MAX; i++) {
		int rc = try_once(dirfd, name, op, ret_fd, err);

		if (rc != AQ_MISS)
			return rc;
	}
	return aq_fail(err, AQ_SYS, "lock '%s' is removed again and again",
		       name);
}

static void nap(int ms)
{
	const struct timespec pause = { 0, ms * 1000000l };

	nanosleep(&pause, NULL);
}

int aq_flock_at(int dirfd, const char *name, enum aq_flock_mode mode,
		int wait_ms, int *ret_fd, struct aq_err *err)
{
	int rc, ms = 1; /* some locks are held for less than that */

	while ((rc = try_at(dirfd, name, mode, ret_fd, err)) == AQ_BUSY &&
	       wait_ms > 0) {
		nap(ms);
		wait_ms -= ms;
		ms = 2 * ms < AQ_FLOCK_POLL_MS ? 2 * ms : AQ_FLOCK_POLL_MS;
	}
	return rc;
}

static int open_locks(const struct aq_conf *conf, int *ret_fd,
		      struct aq_err *err)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/locks", conf->run_dir);
	return aq_open_dir(AT_FDCWD, path, ret_fd, err) ? AQ_SYS : 0;
}

/* A name that somebody else chose must stay below locks/. */
static int check_name(const char *name, struct aq_err *err)
{
	if (*name && *name != '.' && !strchr(name, '/'))
		return 0;
	return aq_fail(err, AQ_SYS, "'%s' is no name for a lock", name);
}

int aq_flock_try(const struct aq_conf *conf, const char *name,
		 enum aq_flock_mode mode, int *ret_fd, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	int rc = check_name(name, err);

	if (!rc)
		rc = open_locks(conf, &dirfd, err);
	return rc ? rc : try_at(dirfd, name, mode, ret_fd, err);
}

int aq_flock_wait(const struct aq_conf *conf, const char *name,
		  enum aq_flock_mode mode, bool (*is_cancelled)(void *arg),
		  void *arg, int *ret_fd, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	int rc = check_name(name, err);

	if (!rc)
		rc = open_locks(conf, &dirfd, err);
	if (rc)
		return rc;
	if (!is_cancelled)
		return aq_flock_at(dirfd, name, mode, AQ_FLOCK_WAIT_MAX_MS,
				   ret_fd, err);
	while ((rc = try_at(dirfd, name, mode, ret_fd, err)) == AQ_BUSY) {
		if (is_cancelled(arg))
			return AQ_BUSY;
		nap(AQ_FLOCK_POLL_MS);
	}
	return rc;
}

int aq_flock_hold(const struct aq_conf *conf, const char *env, int *ret_fd,
		  struct aq_err *err)
{
	char name[sizeof(AQ_FLOCK_HOLD) + AQ_ENV_NAME_SIZE];

	snprintf(name, sizeof(name), AQ_FLOCK_HOLD "%s", env);
	return aq_flock_try(conf, name, AQ_FLOCK_SHARED, ret_fd, err);
}

void aq_flock_remove(int dirfd, const char *name, int fd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    fcntl(fd, F_OFD_SETLK, &all) == 0 && aq_is_still(fd, dirfd, name))
		(void)unlinkat(dirfd, name, 0);
}

void aq_flock_drop(const struct aq_conf *conf, const char *name, int *fd)
{
	cleanup_close int dirfd = -1;

	if (*fd >= 0 && geteuid() == 0 &&
	    open_locks(conf, &dirfd, NULL) == 0)
		aq_flock_remove(dirfd, name, *fd);
	aq_close_fd(fd);
}

int aq_flock_refs(const struct aq_conf *conf, enum aq_flock_mode mode,
		  int *ret_fd, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	int rc = open_locks(conf, &dirfd, err);

	return rc ? rc : aq_flock_at(dirfd, AQ_FLOCK_REFS, mode, REFS_WAIT_MS,
				     ret_fd, err);
}

static int check_lock(const struct aq_conf *conf, const char *name,
		      const char *env, struct aq_err *err)
{
	cleanup_close int fd = -1;

	if (!aq_starts_with(name, AQ_FLOCK_LOCK) ||
	    strncmp(name + strlen(AQ_FLOCK_LOCK), env, AQ_ENV_LOCK_DIGITS) != 0)
		return 0;
	return aq_flock_try(conf, name, AQ_FLOCK_EXCLUSIVE, &fd, err);
}

int aq_flock_check_build(const struct aq_conf *conf, const char *env,
			 struct aq_err *err)
{
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	char path[PATH_SIZE];
	int rc = 0;

	snprintf(path, sizeof(path), "%s/locks", conf->run_dir);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ?
			0 : aq_fail_errno(err, "cannot read '%s'", path);
	while (!rc && (errno = 0, e = readdir(dir)))
		rc = check_lock(conf, e->d_name, env, err);
	return rc || !errno ? rc : aq_fail_errno(err, "cannot read '%s'", path);
}
