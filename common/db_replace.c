/* SPDX-License-Identifier: Apache-2.0 */
/* Setting a damaged database aside.  Others may have it open: they are kept
 * out by SQLite's own locks while it is renamed, and find out afterwards
 * (SQLITE_READONLY_DBMOVED).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/db.h"
#include "common/flock.h"

/* Damaged databases kept; the last one's place is taken again and again. */
#define ASIDE_MAX 9
#define NAP_MS 10
/* PENDING_BYTE, RESERVED_BYTE and SHARED_SIZE bytes: who has all of these has
 * SQLite's exclusive lock (https://www.sqlite.org/lockingv3.html, os.h).
 */
#define LOCK_START 0x40000000
#define LOCK_LENGTH 512

static int lock_out_others(const char *path, int busy_ms, int *ret_fd,
			   struct aq_err *err)
{
	const struct timespec nap = { 0, NAP_MS * 1000000l };
	struct flock all = { .l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = LOCK_START,
			     .l_len = LOCK_LENGTH };
	cleanup_close int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return aq_fail_errno(err, "cannot open '%s'", path);
	while (fcntl(fd, F_SETLK, &all) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return aq_fail_errno(err, "cannot lock '%s'", path);
		if (busy_ms <= 0)
			return aq_fail(err, AQ_BUSY, "'%s' is in use", path);
		nanosleep(&nap, NULL);
		busy_ms -= NAP_MS;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* The first name that is free: PATH.corrupt-N. */
static void choose_name(const char *path, char ret[PATH_MAX])
{
	for (int i = 1; i <= ASIDE_MAX; i++) {
		snprintf(ret, PATH_MAX, "%s.corrupt-%d", path, i);
		if (access(ret, F_OK) != 0)
			return;
	}
}

/* The journal goes with its database: a link to it, since SQLite itself
 * removes a journal that lies beside an empty database (hasHotJournal() in its
 * pager.c), while renaming it after the database could take a new one's away.
 */
static int set_aside(const char *path, int busy_ms, struct aq_err *err)
{
	char aside[PATH_MAX], journal[PATH_MAX], aside_journal[PATH_MAX];
	cleanup_close int fd = -1;
	int rc = lock_out_others(path, busy_ms, &fd, err);

	if (rc)
		return rc;
	choose_name(path, aside);
	if (snprintf(journal, PATH_MAX, "%s-journal", path) >= PATH_MAX ||
	    snprintf(aside_journal, PATH_MAX, "%s-journal", aside) >= PATH_MAX)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", path);
	(void)unlink(aside_journal);
	if (link(journal, aside_journal) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot set '%s' aside", journal);
	if (rename(path, aside) < 0)
		return aq_fail_errno(err, "cannot set '%s' aside", path);
	return 0;
}

int aq_db_open_or_replace(const char *path, const struct aq_db_kind *kind,
			  const struct aq_db_how *how, struct aq_db **ret,
			  struct aq_err *err)
{
	cleanup_close int lock_fd = -1;
	char lock[PATH_MAX];
	int rc = aq_db_open(path, kind, how, ret, err);

	if (rc != AQ_CORRUPT)
		return rc;
	if (snprintf(lock, sizeof(lock), "%s.lock", path) >= PATH_MAX)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", path);
	rc = aq_flock_at(AT_FDCWD, lock, AQ_FLOCK_EXCLUSIVE, how->busy_ms,
			 &lock_fd, err);
	if (rc)
		return rc;
	/* somebody else may have replaced it while we waited */
	rc = aq_db_open(path, kind, how, ret, err);
	if (rc != AQ_CORRUPT)
		return rc;
	rc = set_aside(path, how->busy_ms, err);
	return rc ? rc : aq_db_open(path, kind, how, ret, err);
}
