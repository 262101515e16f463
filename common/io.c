/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Levels removed by recursion, two descriptors each, of the 1,024 that a
 * process usually has; no package nests as deep.
 */
#define TREE_DEPTH_MAX 128
#define MOVE_UP_TRIES 1000 /* names that the tree may hold already */

static bool is_dot_dot(const char *part, size_t len)
{
	return len == 2 && part[0] == '.' && part[1] == '.';
}

int aq_open_dir(int dirfd, const char *path, int *ret_fd, struct aq_err *err)
{
	int fd = openat(dirfd, path,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "'%s' is not there", path);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return aq_fail(err, AQ_SYS,
			       "'%s' is no directory, or a link to one: name the directory itself",
			       path);
	if (fd < 0)
		return aq_fail_errno(err, "cannot open directory '%s'", path);
	*ret_fd = fd;
	return 0;
}

/* -- below a directory -- */

/* False: this kernel has none (before 5.6), or a filter keeps it from us. */
static bool open_at_once(int dirfd, const char *path, int flags, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};

	*ret_fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	return *ret_fd >= 0 || (errno != ENOSYS && errno != EPERM);
}

/* The same part by part; -1: errno says why. */
static int open_by_parts(int dirfd, const char *path, int flags)
{
	cleanup_close int fd = -1;

	for (;;) {
		char part[NAME_MAX + 1];
		size_t len = strcspn(path, "/");
		bool is_last = !path[len + strspn(path + len, "/")];
		int next;

		if (!len || len >= sizeof(part) || is_dot_dot(path, len)) {
			errno = len >= sizeof(part) ? ENAMETOOLONG : EXDEV;
			return -1;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		next = openat(fd < 0 ? dirfd : fd, part, O_NOFOLLOW |
			      (is_last ? flags :
					 O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (next < 0 || is_last)
			return next;
		aq_close_fd(&fd);
		fd = next;
		path += len + strspn(path + len, "/");
	}
}

static int open_beneath(int dirfd, const char *path, int flags, int *ret_fd,
			struct aq_err *err)
{
	int fd;

	if (!*path)
		path = "."; /* itself */
	flags |= O_NOFOLLOW | O_CLOEXEC;
	if (!open_at_once(dirfd, path, flags, &fd))
		fd = open_by_parts(dirfd, path, flags);
	if (fd < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "'%s' is not there", path);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == EXDEV))
		return aq_fail(err, AQ_SYS, "'%s' leads over a link, or elsewhere",
			       path);
	if (fd < 0)
		return aq_fail_errno(err, "cannot open '%s'", path);
	*ret_fd = fd;
	return 0;
}

int aq_open_below(int dirfd, const char *path, int *ret_fd, struct aq_err *err)
{
	return open_beneath(dirfd, path, O_RDONLY | O_DIRECTORY, ret_fd, err);
}

int aq_make_dir(int dirfd, const char *name, mode_t mode, struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	bool is_new = mkdirat(dirfd, name, mode) == 0;
	int rc;

	if (!is_new && errno != EEXIST)
		return aq_fail_errno(err, "cannot make directory '%s'", name);
	/* under umask 0777 a user could not open what they made */
	if (is_new && fchmodat(dirfd, name, 0700 & mode, 0) < 0)
		return aq_fail_errno(err, "cannot set the mode of '%s'", name);
	rc = aq_open_dir(dirfd, name, &fd, err);
	if (rc)
		return rc == AQ_MISS ? AQ_SYS : rc;
	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", name);
	if (st.st_uid != geteuid())
		return aq_fail(err, AQ_SYS,
			       "directory '%s' belongs to user %u: chown it to %u or remove it",
			       name, st.st_uid, geteuid());
	if (!is_new && (st.st_mode & 07777 & ~mode))
		return aq_fail(err, AQ_SYS,
			       "directory '%s' gives more rights than 0%o: chmod it",
			       name, mode);
	if (is_new && fchmod(fd, mode) < 0)
		return aq_fail_errno(err, "cannot set the mode of '%s'", name);
	return 0;
}

int aq_open_own(int dirfd, const char *name, int *ret_fd, struct aq_err *err)
{
	cleanup_close int fd = openat(dirfd, name,
				      O_RDWR | O_CREAT | O_NOFOLLOW |
					      O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot open '%s'", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return aq_fail(err, AQ_SYS,
			       "'%s' is no regular file of user %u: remove it",
			       name, geteuid());
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		return aq_fail_errno(err, "cannot set the mode of '%s'", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

bool aq_is_still(int fd, int dirfd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int aq_open_file(int dirfd, const char *name, int *ret_fd, struct aq_err *err)
{
	cleanup_close int fd =
		openat(dirfd, name,
		       O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "'%s' is not there", name);
	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is no regular file", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int aq_read_open(int fd, const char *name, struct aq_str *ret,
		 struct aq_err *err)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n > 0)
			aq_str_add_mem(ret, buf, (size_t)n);
		else if (errno != EINTR)
			return aq_fail_errno(err, "cannot read '%s'", name);
		if (ret->broken)
			break;
	}
	return aq_str_done(ret, name, err);
}

int aq_read_file(int dirfd, const char *name, struct aq_str *ret,
		 struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = aq_open_file(dirfd, name, &fd, err);

	return rc ? rc : aq_read_open(fd, name, ret, err);
}

int aq_write_all(int fd, const void *mem, size_t len, struct aq_err *err)
{
	const char *p = mem;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_anew(int dirfd, const char *name, const void *mem, size_t len,
		      int *ret_fd, struct aq_err *err)
{
	cleanup_close int fd =
		openat(dirfd, name,
		       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	int rc;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	rc = aq_write_all(fd, mem, len, err);
	if (rc)
		return aq_fail_prefix(err, "'%s'", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int aq_write_file(int dirfd, const char *name, const void *mem, size_t len,
		  struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = write_anew(dirfd, name, mem, len, &fd, err);

	if (!rc && fsync(fd) < 0)
		rc = aq_fail_errno(err, "cannot flush '%s'", name);
	return rc;
}

int aq_replace_file(int dirfd, const char *name, const void *mem, size_t len,
		    struct aq_err *err)
{
	cleanup_close int fd = -1;
	char new[PATH_MAX];
	int rc;

	if (snprintf(new, sizeof(new), "%s.new", name) >= (int)sizeof(new))
		return aq_fail(err, AQ_SYS, "'%s' is too long a name", name);
	rc = write_anew(dirfd, new, mem, len, &fd, err);
	if (!rc && renameat(dirfd, new, dirfd, name) < 0)
		rc = aq_fail_errno(err, "cannot replace '%s'", name);
	if (rc)
		(void)unlinkat(dirfd, new, 0);
	return rc;
}

int aq_sync_dir(int dirfd, struct aq_err *err)
{
	if (fsync(dirfd) < 0)
		return aq_fail_errno(err, "cannot flush a directory");
	return 0;
}

int aq_each_entry(int dirfd, const char *what, aq_entry_fn *fn, void *arg,
		  struct aq_err *err)
{
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	int rc = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		rc = aq_fail_errno(err, "cannot read '%s'", what);
		aq_close_fd(&fd);
		return rc;
	}
	while (!rc && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = fn(e->d_name, arg, err);
	return rc || !errno ? rc : aq_fail_errno(err, "cannot read '%s'", what);
}

/* -- removing -- */

struct removal {
	dev_t dev;
	int root_fd;          /* the tree's own root */
	unsigned int n_moved; /* directories moved up to it */
};

/* One of its directories. */
struct removal_dir {
	struct removal *r;
	int fd, depth; /* of its entries */
};

static int remove_entry(struct removal *r, int dirfd, const char *name,
			int depth, struct aq_err *err);

static int remove_named(const char *name, void *arg, struct aq_err *err)
{
	const struct removal_dir *d = arg;

	return remove_entry(d->r, d->fd, name, d->depth, err);
}

/* Hostile code can nest directories deeper than any process has descriptors:
 * what is too deep is moved up to the root, and removed there later.
 */
static int move_up(struct removal *r, int dirfd, const char *name,
		   struct aq_err *err)
{
	char to[32];

	for (int i = 0; i < MOVE_UP_TRIES; i++) {
		snprintf(to, sizeof(to), ".aq-deep-%u", r->n_moved++);
		if (renameat(dirfd, name, r->root_fd, to) == 0)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			break;
	}
	return aq_fail_errno(err, "cannot move '%s' to remove it", name);
}

/* fchmodat() would follow what is a link by now. */
static bool give_rights(int dirfd, const char *name)
{
	cleanup_close int fd = openat(dirfd, name, O_PATH | O_DIRECTORY |
					      O_NOFOLLOW | O_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd >= 0 && chmod(path, 0700) == 0;
}

static int remove_dir(struct removal *r, int dirfd, const char *name,
		      int depth, struct aq_err *err)
{
	struct removal_dir d = { .r = r, .depth = depth + 1 };
	cleanup_close int fd = -1;
	unsigned int n_moved;
	struct stat st;
	int rc;

	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && give_rights(dirfd, name))
		fd = openat(dirfd, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot open '%s' to remove it",
				     name);
	if (st.st_dev != r->dev)
		return aq_fail(err, AQ_SYS, "'%s' is a mount point", name);
	if ((st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700); /* if refused, unlink says so */
	if (!depth)
		r->root_fd = fd;
	d.fd = fd;
	do {
		n_moved = r->n_moved;
		rc = aq_each_entry(fd, name, remove_named, &d, err);
	} while (!rc && !depth && r->n_moved != n_moved);
	if (rc)
		return rc;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	return 0;
}

static int remove_entry(struct removal *r, int dirfd, const char *name,
			int depth, struct aq_err *err)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* EISDIR on Linux, EPERM by POSIX */
	if (errno != EISDIR && errno != EPERM)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	if (depth >= TREE_DEPTH_MAX)
		return move_up(r, dirfd, name, err);
	return remove_dir(r, dirfd, name, depth, err);
}

int aq_remove_tree(int dirfd, const char *name, struct aq_err *err)
{
	struct removal r = { .root_fd = -1 };
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ?
			       0 :
			       aq_fail_errno(err, "cannot examine '%s'", name);
	r.dev = st.st_dev;
	return remove_entry(&r, dirfd, name, 0, err);
}
