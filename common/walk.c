/* SPDX-License-Identifier: Apache-2.0 */
#include "common/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

struct walk {
	aq_walk_fn *fn;
	void *arg;
	char path[AQ_WALK_PATH_MAX];
	size_t len; /* of path */
};

static int walk_entry(struct walk *w, int dirfd, const char *name, int depth,
		      struct aq_err *err);

/* Put 'name' behind the path. */
static int push(struct walk *w, const char *name, struct aq_err *err)
{
	size_t len = strlen(name), slash = w->len > 0;

	if (w->len + slash + len >= sizeof(w->path))
		return aq_fail(err, AQ_SYS, "'%.200s…' is too long a path",
			       w->path);
	if (slash)
		w->path[w->len++] = '/';
	memcpy(w->path + w->len, name, len + 1);
	w->len += len;
	return 0;
}

static void pop(struct walk *w, size_t len)
{
	w->len = len;
	w->path[len] = '\0';
}

/* A directory on the way. */
struct below {
	struct walk *w;
	int fd, depth; /* of its entries */
};

static int walk_named(const char *name, void *arg, struct aq_err *err)
{
	const struct below *b = arg;
	size_t len = b->w->len;
	int rc = push(b->w, name, err);

	if (!rc)
		rc = walk_entry(b->w, b->fd, name, b->depth, err);
	pop(b->w, len);
	return rc;
}

static int walk_dir(struct walk *w, struct aq_walk_entry *e, int depth,
		    struct aq_err *err)
{
	struct below below = { .w = w, .depth = depth + 1 };
	cleanup_close int fd = -1;
	int rc;

	fd = openat(e->dirfd, e->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ?
			0 : aq_fail_errno(err, "cannot read '%s'", e->name);
	below.fd = fd;
	rc = aq_each_entry(fd, *w->path ? w->path : e->name, walk_named, &below,
			   err);
	e->fd = fd;
	e->is_end = true;
	return rc ? rc : w->fn(e, w->arg, err);
}

static int walk_entry(struct walk *w, int dirfd, const char *name, int depth,
		      struct aq_err *err)
{
	struct stat st;
	struct aq_walk_entry e = { .dirfd = dirfd, .name = name,
				   .path = w->path, .st = &st, .fd = -1 };
	int rc;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return aq_fail_errno(err, "cannot examine '%s'", name);
		return depth ? 0 : aq_fail(err, AQ_MISS, "'%s' is not there", name);
	}
	e.is_too_deep = S_ISDIR(st.st_mode) && depth >= AQ_WALK_DEPTH_MAX;
	rc = w->fn(&e, w->arg, err);
	if (rc == AQ_WALK_SKIP)
		return 0;
	if (rc || !S_ISDIR(st.st_mode) || e.is_too_deep)
		return rc;
	return walk_dir(w, &e, depth, err);
}

int aq_walk(int dirfd, const char *name, aq_walk_fn *fn, void *arg,
	    struct aq_err *err)
{
	struct walk w = { .fn = fn, .arg = arg };

	return walk_entry(&w, dirfd, name, 0, err);
}
