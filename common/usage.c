/* SPDX-License-Identifier: Apache-2.0 */
#include "common/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/extents.h"
#include "common/io.h"

#define DEPTH_MAX 128 /* of directories; deeper ones are not counted */
#define BLOCK 512     /* st_blocks counts these, stat(2) */

/* Files with several names, by inode: how many of them were added. */
struct aq_usage_links {
	struct link {
		ino_t inode;
		nlink_t seen;
	} *v;
	size_t n, size; /* size: a power of two, at most half full */
	int has_reflinks; /* -1: not yet looked */
};

void aq_usage_free(struct aq_usage *usage)
{
	if (usage->links)
		free(usage->links->v);
	free(steal(&usage->links));
}

static struct link *find_link(const struct aq_usage_links *l, ino_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15ull >> 20);

	for (;; at++) {
		struct link *k = &l->v[at & (l->size - 1)];

		if (k->inode == inode || !k->inode)
			return k;
	}
}

static bool grow(struct aq_usage_links *l)
{
	struct aq_usage_links bigger = *l;

	if (l->n * 2 < l->size)
		return true;
	bigger.size = l->size ? l->size * 2 : 1024;
	bigger.v = calloc(bigger.size, sizeof(*bigger.v));
	if (!bigger.v)
		return false;
	for (size_t i = 0; i < l->size; i++)
		if (l->v[i].inode)
			*find_link(&bigger, l->v[i].inode) = l->v[i];
	free(l->v);
	*l = bigger;
	return true;
}

static bool begin(struct aq_usage *u)
{
	if (u->links)
		return true;
	u->links = calloc(1, sizeof(*u->links));
	if (u->links)
		u->links->has_reflinks = -1;
	return u->links;
}

/* What of the file's blocks other files hold. */
static uint64_t reflinked(struct aq_usage *u, int dirfd, const char *name,
			  const struct stat *st, uint64_t bytes)
{
	cleanup_close int fd = -1;
	uint64_t shared;

	if (!u->links->has_reflinks || !S_ISREG(st->st_mode) || !bytes)
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (u->links->has_reflinks < 0)
		u->links->has_reflinks = aq_extents_may_be_shared(fd);
	shared = u->links->has_reflinks ? aq_extents_shared(fd) : 0;
	return shared < bytes ? shared : bytes;
}

bool aq_usage_add(struct aq_usage *u, int dirfd, const char *name,
		  const struct stat *st)
{
	uint64_t bytes = (uint64_t)st->st_blocks * BLOCK;
	struct link *k;

	if (!begin(u))
		return false;
	if (S_ISDIR(st->st_mode) || st->st_nlink == 1) {
		u->total += bytes;
		u->whole += bytes - reflinked(u, dirfd, name, st, bytes);
		return true;
	}
	if (!grow(u->links))
		return false;
	k = find_link(u->links, st->st_ino);
	if (!k->inode) {
		k->inode = st->st_ino;
		u->links->n++;
		u->total += bytes;
	}
	if (++k->seen == st->st_nlink)
		u->whole += bytes;
	return true;
}

/* -- trees -- */

static int add_below(struct aq_usage *u, int fd, dev_t dev, int depth,
		     struct aq_err *err);

static int add_entry(struct aq_usage *u, int dirfd, const char *name,
		     dev_t dev, int depth, struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : aq_fail_errno(err, "cannot examine '%s'", name);
	if (dev && st.st_dev != dev)
		return 0;
	if (!aq_usage_add(u, dirfd, name, &st))
		return aq_fail(err, AQ_SYS, "out of memory");
	if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : aq_fail_errno(err, "cannot read '%s'", name);
	return add_below(u, fd, st.st_dev, depth + 1, err);
}

static int add_below(struct aq_usage *u, int fd, dev_t dev, int depth,
		     struct aq_err *err)
{
	cleanup_closedir DIR *dir = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	const struct dirent *e;
	int rc = 0;

	if (!dir)
		return aq_fail_errno(err, "cannot read a directory");
	while (!rc && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = add_entry(u, fd, e->d_name, dev, depth, err);
	return rc || !errno ? rc : aq_fail_errno(err, "cannot read a directory");
}

int aq_usage_add_tree(struct aq_usage *u, int dirfd, const char *name,
		      struct aq_err *err)
{
	return add_entry(u, dirfd, name, 0, 0, err);
}
