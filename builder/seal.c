/* SPDX-License-Identifier: Apache-2.0 */
/* Root's walk over a prefix whose makers are gone: what may not be in it is
 * refused, and nobody can write it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/io.h"
#include "common/usage.h"

#define DEPTH_MAX 128

struct walk {
	struct build *b;
	struct aq_usage usage;
	dev_t dev;
};

static int refuse(const struct walk *w, const char *name, const char *what,
		  struct aq_err *err)
{
	w->b->verdict = BUILD_REFUSED;
	return aq_fail(err, AQ_USER, "a package brought '%.200s', %s: refused",
		       name, what);
}

static bool is_ours(const struct walk *w, uid_t uid)
{
	return uid == w->b->builder.uid || uid == w->b->probe.uid ||
	       uid == geteuid();
}

static int judge(const struct walk *w, const char *name, const struct stat *st,
		 struct aq_err *err)
{
	if (!is_ours(w, st->st_uid))
		return refuse(w, name, "which belongs to somebody else", err);
	if (S_ISLNK(st->st_mode))
		return 0;
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return refuse(w, name, "which is neither file, directory nor link",
			      err);
	if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)))
		return refuse(w, name, "which is set-id", err);
	return 0;
}

/* Files that the package cache links too stay their owner's: only an owner may
 * make more links to them (protected_hardlinks, proc(5)).
 */
static int close_file(const struct walk *w, int dirfd, const char *name,
		      const struct stat *st, struct aq_err *err)
{
	mode_t mode = (st->st_mode & 0555) | 0444;

	if (S_ISLNK(st->st_mode)) {
		if (!w->b->is_personal && st->st_nlink == 1 &&
		    fchownat(dirfd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
			return aq_fail_errno(err, "cannot own '%s'", name);
		return 0;
	}
	if (!w->b->is_personal && st->st_nlink == 1 &&
	    fchownat(dirfd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return aq_fail_errno(err, "cannot own '%s'", name);
	if ((st->st_mode & 07777) != mode &&
	    fchmodat(dirfd, name, mode, 0) < 0)
		return aq_fail_errno(err, "cannot close '%s'", name);
	return 0;
}

static int treat_dir(const struct walk *w, int fd, const char *name,
		     struct aq_err *err)
{
	if (!w->b->is_personal && fchown(fd, 0, 0) < 0)
		return aq_fail_errno(err, "cannot own '%s'", name);
	if (fchmod(fd, 0555) < 0)
		return aq_fail_errno(err, "cannot close '%s'", name);
	return 0;
}

static int walk_dir(struct walk *w, int dirfd, const char *name, int depth,
		    struct aq_err *err);

static int walk_entry(struct walk *w, int dirfd, const char *name, int depth,
		      struct aq_err *err)
{
	struct stat st;
	int rc;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", name);
	rc = judge(w, name, &st, err);
	if (rc)
		return rc;
	if (S_ISDIR(st.st_mode))
		return walk_dir(w, dirfd, name, depth + 1, err);
	if (!aq_usage_add(&w->usage, dirfd, name, &st))
		return aq_fail(err, AQ_SYS, "out of memory");
	return close_file(w, dirfd, name, &st, err);
}

static int walk_dir(struct walk *w, int dirfd, const char *name, int depth,
		    struct aq_err *err)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;
	struct stat st;
	int fd, rc = 0;

	if (depth > DEPTH_MAX)
		return refuse(w, name, "nested too deeply", err);
	fd = openat(dirfd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir || fstat(fd, &st) < 0) {
		if (!dir && fd >= 0)
			close(fd);
		return aq_fail_errno(err, "cannot read '%s'", name);
	}
	if (st.st_dev != w->dev)
		return refuse(w, name, "which is a mount point", err);
	if (!aq_usage_add(&w->usage, fd, ".", &st))
		return aq_fail(err, AQ_SYS, "out of memory");
	while (!rc && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = walk_entry(w, fd, e->d_name, depth, err);
	if (!rc && errno)
		return aq_fail_errno(err, "cannot read '%s'", name);
	return rc ? rc : treat_dir(w, fd, name, err);
}

static int walk(struct walk *w, struct aq_err *err)
{
	struct stat st;

	if (lstat(w->b->site, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", w->b->site);
	w->dev = st.st_dev;
	return walk_dir(w, AT_FDCWD, w->b->site, 0, err);
}

int seal(struct build *b, struct sizes *ret, struct aq_err *err)
{
	struct walk w = { .b = b };
	int rc = walk(&w, err);

	ret->own = w.usage.whole;
	ret->shared = w.usage.total - w.usage.whole;
	aq_usage_free(&w.usage);
	return rc;
}
