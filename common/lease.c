/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/lease.h"
#include "common/refs.h"

#define PATH_SIZE 1024
/* How often a lease may vanish between open and lock before it is no
 * coincidence.
 */
#define REOPEN_MAX 100

int aq_lease_open_all(const struct aq_conf *conf, int *ret_leases,
		      struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/leases", conf->run_dir);
	return aq_open_dir(AT_FDCWD, path, ret_leases, err) ? AQ_SYS : 0;
}

void aq_lease_name(const struct aq_step *step, const char *node,
		   char ret[AQ_LEASE_NAME_SIZE])
{
	snprintf(ret, AQ_LEASE_NAME_SIZE, "%u.%u.%u.%s", step->job, step->step, step->het,
		 node);
}

/* Open file description locks (fcntl(2)): like flock(2)'s they live as long as
 * the last descriptor, across fork and SCM_RIGHTS, but whether one is held can
 * be asked without taking it.  A flock(2) taken to look would make a step that
 * starts at that moment fail.
 */
static struct flock whole_file(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

/* Whether the file we locked is still the one of that name. */
static bool is_current(int fd, int dirfd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The directory of leases and the name of the step's. */
static int open_place(const struct aq_conf *conf, const struct aq_step *step,
		      int *ret_dir, char ret_name[AQ_LEASE_NAME_SIZE],
		      struct aq_err *err)
{
	aq_lease_name(step, conf->node, ret_name);
	return aq_lease_open_all(conf, ret_dir, err);
}

int aq_lease_acquire(const struct aq_conf *conf, const struct aq_step *step,
		     int *ret_fd, struct aq_err *err)
{
	struct flock lock = whole_file(F_WRLCK);
	char name[AQ_LEASE_NAME_SIZE];
	cleanup_close int dirfd = -1;
	int rc = open_place(conf, step, &dirfd, name, err);

	for (int i = 0; !rc && i < REOPEN_MAX; i++) {
		cleanup_close int fd = -1;

		rc = aq_open_own(dirfd, name, &fd, err);
		if (!rc && fcntl(fd, F_OFD_SETLK, &lock) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return aq_fail_errno(err, "cannot lock lease '%s'",
						     name);
			return aq_fail(err, AQ_BUSY, "lease '%s' is held: the step is staged twice",
				       name);
		}
		/* of a step of the same ids, before its job was requeued */
		if (!rc && ftruncate(fd, 0) < 0)
			return aq_fail_errno(err, "cannot use lease '%s'", name);
		/* an epilog may remove it between open and lock */
		if (!rc && is_current(fd, dirfd, name)) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
	}
	return rc ? rc :
		    aq_fail(err, AQ_SYS, "lease '%s' is removed again and again",
			    name);
}

static int is_free(int dirfd, const char *name, bool *ret, struct aq_err *err)
{
	struct flock lock = whole_file(F_WRLCK);
	cleanup_close int fd = -1;

	fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		*ret = true;
		return 0;
	}
	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return aq_fail_errno(err, "cannot examine lease '%s'", name);
	*ret = lock.l_type == F_UNLCK;
	return 0;
}

int aq_lease_is_free(const struct aq_conf *conf, const struct aq_step *step,
		     bool *ret, struct aq_err *err)
{
	cleanup_close int dirfd = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_place(conf, step, &dirfd, name, err);

	if (rc)
		return rc;
	return is_free(dirfd, name, ret, err);
}

bool aq_lease_has_ended(int leases, const struct aq_step *step,
			const char *node)
{
	char name[AQ_LEASE_NAME_SIZE];
	struct stat st;

	aq_lease_name(step, node, name);
	return fstatat(leases, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size >= AQ_LEASE_ENDED;
}

int aq_lease_remove(int leases, const struct aq_step *step, const char *node,
		    struct aq_err *err)
{
	char name[AQ_LEASE_NAME_SIZE];

	aq_lease_name(step, node, name);
	if (unlinkat(leases, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove lease '%s'", name);
	return 0;
}

/* The node in a lease's name, and the step; NULL: it is no lease. */
static const char *parse_name(const char *name, struct aq_step *ret)
{
	char copy[AQ_LEASE_NAME_SIZE], *dot, *at = copy;
	uint64_t n[3];

	if (!aq_copy_text(copy, sizeof(copy), name))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		dot = strchr(at, '.');
		if (!dot)
			return NULL;
		*dot = '\0';
		if (!aq_parse_u64(at, UINT32_MAX, &n[i]))
			return NULL;
		at = dot + 1;
	}
	*ret = (struct aq_step){ (uint32_t)n[0], (uint32_t)n[1],
				 (uint32_t)n[2] };
	return name + (at - copy);
}

/* Remove a lease's file unless it is held.  Its lock is ours meanwhile: who
 * opened it before we removed it finds out (aq_lease_acquire()).
 */
static int remove_if_free(const struct aq_conf *conf,
			  const struct aq_step *step, struct aq_err *err)
{
	cleanup_close int fd = -1, leases = -1;
	int rc = aq_lease_acquire(conf, step, &fd, err);

	if (!rc)
		rc = aq_lease_open_all(conf, &leases, err);
	return rc ? rc : aq_lease_remove(leases, step, conf->node, err);
}

int aq_lease_sweep(const struct aq_conf *conf, uint32_t job, struct aq_err *err)
{
	char path[PATH_SIZE];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	struct aq_step step;

	snprintf(path, sizeof(path), "%s/leases", conf->run_dir);
	dir = opendir(path);
	if (!dir)
		return aq_fail_errno(err, "cannot read '%s'", path);
	while ((errno = 0, e = readdir(dir))) {
		const char *node = parse_name(e->d_name, &step);
		int rc = node && step.job == job &&
					 strcmp(node, conf->node) == 0 ?
				 remove_if_free(conf, &step, err) : 0;

		if (rc && rc != AQ_BUSY)
			return rc;
	}
	return errno ? aq_fail_errno(err, "cannot read '%s'", path) : 0;
}

int aq_lease_each_held(const struct aq_conf *conf, aq_lease_each_fn *fn,
		       void *arg, struct aq_err *err)
{
	char path[PATH_SIZE];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	int rc = 0;

	snprintf(path, sizeof(path), "%s/leases", conf->run_dir);
	dir = opendir(path);
	if (!dir)
		return aq_fail_errno(err, "cannot read '%s'", path);
	while (!rc && (errno = 0, e = readdir(dir))) {
		struct aq_step step;
		const char *node = parse_name(e->d_name, &step);
		bool is_over = true;

		if (node)
			rc = is_free(dirfd(dir), e->d_name, &is_over, err);
		if (!rc && !is_over)
			rc = fn(&step, node, arg, err);
	}
	return rc || !errno ? rc : aq_fail_errno(err, "cannot read '%s'", path);
}
