/* SPDX-License-Identifier: Apache-2.0 */
#include "common/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/str.h"

static int check(const struct stat *st, const char *path, bool has_sticky,
		 struct aq_err *err)
{
	if (st->st_uid != 0)
		return aq_fail(err, AQ_SYS,
			       "'%s' is not owned by root: chown root it", path);
	if (!(st->st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	if (has_sticky && S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
		return 0;
	return aq_fail(err, AQ_SYS,
		       "'%s' can be written by others than root: chmod go-w it",
		       path);
}

/* -- part by part -- */

struct way {
	int at;              /* the directory that we are in */
	bool is_lasting;     /* what sticky directories have today may go */
	bool can_be_filled;  /* others can make what is missing there */
	unsigned int links;  /* followed */
	struct aq_str rest;  /* of the path */
	struct aq_str seen;  /* where that is, for people */
};

static const char *seen(const struct way *w)
{
	return w->seen.len ? aq_str_get(&w->seen) : "/";
}

/* The directory 'fd', which is 'st', is the next that we are in. */
static int enter(struct way *w, int fd, const struct stat *st,
		 struct aq_err *err)
{
	struct statfs fs;

	aq_close_fd(&w->at);
	w->at = fd;
	if (fstatfs(fd, &fs) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", seen(w));
	if (fs.f_type == PROC_SUPER_MAGIC)
		return aq_fail(err, AQ_SYS,
			       "'%s' is another for each process", seen(w));
	w->can_be_filled = st->st_mode & (S_IWGRP | S_IWOTH);
	return check(st, seen(w), !w->is_lasting, err);
}

static int enter_root(struct way *w, struct aq_err *err)
{
	cleanup_close int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	aq_str_truncate(&w->seen, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '/'");
	return enter(w, steal_fd(&fd), &st, err);
}

/* The link 'fd': its target is what is to come. */
static int follow(struct way *w, int fd, struct aq_err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(fd, "", target, sizeof(target));
	cleanup_str struct aq_str rest = AQ_STR_INIT(2 * PATH_MAX);

	if (len < 0 || ++w->links > AQ_TRUST_LINKS_MAX)
		return aq_fail(err, AQ_SYS, "'%s' cannot be followed", seen(w));
	aq_str_add_mem(&rest, target, (size_t)len);
	aq_str_add_fmt(&rest, "/%s", aq_str_get(&w->rest));
	aq_str_truncate(&w->rest, 0);
	aq_str_add(&w->rest, aq_str_get(&rest));
	if (rest.broken || w->rest.broken)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", seen(w));
	return len && target[0] == '/' ? enter_root(w, err) : 0;
}

/* What is no directory and no link ends the way. */
static int check_end(const struct way *w, const struct stat *st,
		     struct aq_err *err)
{
	if (st->st_uid == 0 && (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)))
		return 0; /* a name for what the kernel guards */
	if (!S_ISREG(st->st_mode) && st->st_uid == 0)
		return aq_fail(err, AQ_SYS, "'%s' is neither file nor directory",
			       seen(w));
	return check(st, seen(w), !w->is_lasting, err);
}

static int step(struct way *w, const char *part, bool *ret_is_over,
		struct aq_err *err)
{
	cleanup_close int fd = openat(w->at, part,
				      O_PATH | O_NOFOLLOW | O_CLOEXEC);
	size_t here = w->seen.len;
	struct stat st;

	aq_str_add_fmt(&w->seen, "/%s", part);
	if (fd < 0 && errno == ENOENT) {
		*ret_is_over = true;
		return w->can_be_filled ?
			aq_fail(err, AQ_SYS,
				"'%s' is not there, and others than root can make it",
				seen(w)) : 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", seen(w));
	if (S_ISLNK(st.st_mode) && st.st_uid == 0) {
		aq_str_truncate(&w->seen, here);
		return follow(w, fd, err);
	}
	if (S_ISDIR(st.st_mode))
		return enter(w, steal_fd(&fd), &st, err);
	*ret_is_over = true;
	return check_end(w, &st, err);
}

/* Take the first part of the rest; 'ret' "": only slashes. */
static bool take_part(struct way *w, char ret[NAME_MAX + 1])
{
	const char *s = aq_str_get(&w->rest);
	size_t skip = strspn(s, "/"), len = strcspn(s + skip, "/");

	if (len > NAME_MAX)
		return false;
	memcpy(ret, s + skip, len);
	ret[len] = '\0';
	memmove(w->rest.s, s + skip + len, w->rest.len - skip - len);
	aq_str_truncate(&w->rest, w->rest.len - skip - len);
	return true;
}

static int trust(const char *path, bool is_lasting, struct aq_err *err)
{
	struct way w = { .at = -1, .is_lasting = is_lasting,
			 .rest = AQ_STR_INIT(2 * PATH_MAX),
			 .seen = AQ_STR_INIT(2 * PATH_MAX) };
	bool is_over = false;
	int rc;

	aq_str_add(&w.rest, path);
	if (*path != '/' || w.rest.broken)
		rc = aq_fail(err, AQ_SYS, "'%.200s' is no absolute path", path);
	else
		rc = enter_root(&w, err);
	while (!rc && !is_over && w.rest.len) {
		char part[NAME_MAX + 1];

		if (!take_part(&w, part))
			rc = aq_fail(err, AQ_SYS, "'%.200s' has too long a name",
				     path);
		else if (*part)
			rc = step(&w, part, &is_over, err);
	}
	aq_close_fd(&w.at);
	aq_str_free(&w.rest);
	aq_str_free(&w.seen);
	return rc;
}

int aq_trust_path(const char *path, struct aq_err *err)
{
	return trust(path, false, err);
}

int aq_trust_lasting(const char *path, struct aq_err *err)
{
	return trust(path, true, err);
}

int aq_trust_file(int fd, const char *path, struct aq_err *err)
{
	cleanup_free char *real = *path == '/' ? strdup(path) :
						 realpath(path, NULL);
	struct stat by_fd, st;

	if (!real || fstat(fd, &by_fd) < 0 || stat(real, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", path);
	if (by_fd.st_dev != st.st_dev || by_fd.st_ino != st.st_ino)
		return aq_fail(err, AQ_SYS, "'%s' is being changed", path);
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is not a regular file", path);
	return aq_trust_path(real, err);
}

static int check_secret(int fd, const char *path, struct aq_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return aq_fail(err, AQ_SYS,
			       "'%s' can be read by others than root: chmod 600 it",
			       path);
	return 0;
}

int aq_trust_read(const char *path, enum aq_trust how, struct aq_str *text,
		  struct aq_err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char buf[4096];
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return aq_fail_errno(err, "cannot open '%s'", path);
	if (how != AQ_TRUST_ANY)
		rc = aq_trust_file(fd, path, err);
	if (!rc && how == AQ_TRUST_SECRET)
		rc = check_secret(fd, path, err);
	if (rc)
		return rc;
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot read '%s'", path);
		aq_str_add_mem(text, buf, (size_t)n);
		if (text->broken) /* there may be no end to it */
			break;
	}
	explicit_bzero(buf, sizeof(buf));
	if (strlen(aq_str_get(text)) != text->len)
		return aq_fail(err, AQ_USER, "'%s' is not a text file", path);
	return aq_str_done(text, path, err);
}
