/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/io.h"
#include "common/lease.h"
#include "common/refs.h"

#define PATH_SIZE 1024

static int open_below(const struct aq_conf *conf, const char *dir, int *ret_fd,
		      struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", conf->run_dir, dir);
	return aq_open_dir(AT_FDCWD, path, ret_fd, err) ? AQ_SYS : 0;
}

void aq_lease_name(const struct aq_step *step, const char *node, char *ret,
		   size_t size)
{
	snprintf(ret, size, "%u.%u.%u.%s", step->job, step->step, step->het,
		 node);
}

int aq_lease_acquire(const struct aq_conf *conf, const struct aq_step *step,
		     int *ret_fd, struct aq_err *err)
{
	cleanup_close int dirfd = -1, fd = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_below(conf, "leases", &dirfd, err);

	if (rc)
		return rc;
	aq_lease_name(step, conf->node, name, sizeof(name));
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return aq_fail_errno(err, "cannot open lease '%s'", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return aq_fail(err, AQ_BUSY, "lease '%s' is held: the step is staged twice",
				       name);
		return aq_fail_errno(err, "cannot lock lease '%s'", name);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int aq_lease_is_free(const struct aq_conf *conf, const struct aq_step *step,
		     bool *ret, struct aq_err *err)
{
	cleanup_close int dirfd = -1, fd = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_below(conf, "leases", &dirfd, err);

	if (rc)
		return rc;
	aq_lease_name(step, conf->node, name, sizeof(name));
	fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot open lease '%s'", name);
	*ret = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
	return 0;
}

int aq_lease_remove(const struct aq_conf *conf, const struct aq_step *step,
		    struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_below(conf, "leases", &dirfd, err);

	if (rc)
		return rc;
	aq_lease_name(step, conf->node, name, sizeof(name));
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove lease '%s'", name);
	return 0;
}

int aq_job_mark(const struct aq_conf *conf, uint32_t job, struct aq_err *err)
{
	cleanup_close int dirfd = -1, fd = -1;
	char name[16];
	int rc = open_below(conf, "jobs", &dirfd, err);

	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%u", job);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return aq_fail_errno(err, "cannot mark job %u", job);
	return 0;
}

int aq_job_unmark(const struct aq_conf *conf, uint32_t job, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	char name[16];
	int rc = open_below(conf, "jobs", &dirfd, err);

	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%u", job);
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot unmark job %u", job);
	return 0;
}
