/* SPDX-License-Identifier: Apache-2.0 */
#include "common/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/extents.h"
#include "common/walk.h"

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

struct tree {
	struct aq_usage *usage;
	dev_t dev; /* of what is added */
	bool is_begun;
};

static int add_entry(const struct aq_walk_entry *e, void *arg,
		     struct aq_err *err)
{
	struct tree *t = arg;

	if (e->is_end)
		return 0;
	/* overlayfs says another device of files than of directories */
	if (t->is_begun && S_ISDIR(e->st->st_mode) && e->st->st_dev != t->dev)
		return AQ_WALK_SKIP;
	if (!t->is_begun)
		t->dev = e->st->st_dev;
	t->is_begun = true;
	return aq_usage_add(t->usage, e->dirfd, e->name, e->st) ?
		0 : aq_fail(err, AQ_SYS, "out of memory");
}

int aq_usage_add_tree(struct aq_usage *u, int dirfd, const char *name,
		      struct aq_err *err)
{
	struct tree t = { .usage = u };
	int rc = aq_walk(dirfd, name, add_entry, &t, err);

	return rc == AQ_MISS ? 0 : rc;
}
