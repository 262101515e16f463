/* SPDX-License-Identifier: Apache-2.0 */
/* Root's walk over a prefix whose makers are gone: what may not be in it is
 * refused, and nobody can write it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/prefix.h"
#include "builder/seal.h"
#include "builder/seal_inside.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/sums.h"
#include "common/text.h"
#include "common/usage.h"
#include "common/walk.h"

#define LINKS_MAX 262144 /* of a prefix; a layer has one for each of its base's */

struct walk {
	struct build *b;
	struct aq_usage usage;
	struct aq_strv links; /* judged once nobody can change anything */
	dev_t dev;
};

/* builder_user's, and nobody else's: what belongs to root or to a probe has
 * another name somewhere else.
 */
static bool is_ours(const struct walk *w, const struct stat *st)
{
	return st->st_uid == w->b->builder.uid;
}

/* -- names -- */

static int judge_name(const struct walk *w, const struct aq_walk_entry *e,
		      struct aq_err *err)
{
	if (aq_text_has_controls(e->name))
		return seal_refuse(w->b, e->path,
				   "a name with control characters", err);
	if (strncmp(e->path, ".aq", 3) == 0)
		return seal_refuse(w->b, e->path, "a name that is ours", err);
	return 0;
}

/* -- files -- */

/* Whoever has it open for writing could still change it.  Where a file system
 * knows no leases (fcntl(2)) that is not to be told.
 */
static bool is_being_written(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return fcntl(fd, F_SETLEASE, F_UNLCK) < 0;
	return errno == EAGAIN;
}

/* Files that the package cache links too stay their owner's: only an owner may
 * make more links to them (protected_hardlinks, proc(5)).
 */
static int close_file(const struct walk *w, int fd, const char *path,
		      const struct stat *st, struct aq_err *err)
{
	mode_t mode = (st->st_mode & 0555) | 0444;
	/* a private cache's are copied from it */
	bool is_whole = !w->b->is_personal &&
			(st->st_nlink == 1 || w->b->is_private);

	if (is_whole && fchown(fd, 0, 0) < 0)
		return aq_fail_errno(err, "cannot own '%s'", path);
	if ((is_whole || (st->st_mode & 07777) != mode) && fchmod(fd, mode) < 0)
		return aq_fail_errno(err, "cannot close '%s'", path);
	if (is_whole && is_being_written(fd))
		return aq_fail(err, AQ_SYS, "'%s' is still being written", path);
	return 0;
}

static int open_file(const struct walk *w, const struct aq_walk_entry *e)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
			  O_CLOEXEC;
	int fd = openat(e->dirfd, e->name, flags);

	/* one's own may be closed to oneself */
	if (fd < 0 && errno == EACCES && w->b->is_personal &&
	    fchmodat(e->dirfd, e->name, 0600, 0) == 0)
		fd = openat(e->dirfd, e->name, flags);
	return fd;
}

static int seal_file(const struct walk *w, const struct aq_walk_entry *e,
		     struct aq_err *err)
{
	cleanup_close int fd = open_file(w, e);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot open '%s'", e->path);
	if (!S_ISREG(st.st_mode) || !is_ours(w, &st))
		return seal_refuse(w->b, e->path, "which is being exchanged", err);
	if (st.st_mode & (S_ISUID | S_ISGID))
		return seal_refuse(w->b, e->path, "which is set-id", err);
	rc = seal_judge_xattrs(w->b, fd, e->path, err);
	return rc ? rc : close_file(w, fd, e->path, &st, err);
}

static int seal_link(struct walk *w, const struct aq_walk_entry *e,
		     struct aq_err *err)
{
	if (!w->b->is_personal &&
	    (e->st->st_nlink == 1 || w->b->is_private) &&
	    fchownat(e->dirfd, e->name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return aq_fail_errno(err, "cannot own '%s'", e->path);
	aq_strv_add(&w->links, e->path);
	return 0;
}

/* -- directories -- */

/* Before what is in it is looked at: from then on its entries are what they are.
 */
static int seal_dir(const struct walk *w, const struct aq_walk_entry *e,
		    struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	int rc;

	if (e->is_too_deep)
		return seal_refuse(w->b, e->path, "nested too deeply", err);
	rc = aq_open_dir(e->dirfd, e->name, &fd, err);
	if (rc)
		return rc;
	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", e->path);
	if (st.st_dev != w->dev)
		return seal_refuse(w->b, e->path, "which is a mount point", err);
	if (!is_ours(w, &st))
		return seal_refuse(w->b, e->path, "which is being exchanged", err);
	if (st.st_mode & (S_ISUID | S_ISGID))
		return seal_refuse(w->b, e->path, "which is set-id", err);
	rc = seal_judge_xattrs(w->b, fd, e->path, err);
	if (rc)
		return rc;
	if (!w->b->is_personal && fchown(fd, 0, 0) < 0)
		return aq_fail_errno(err, "cannot own '%s'", e->path);
	if (fchmod(fd, 0555) < 0)
		return aq_fail_errno(err, "cannot close '%s'", e->path);
	return 0;
}

/* -- all of it -- */

static int visit(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	struct walk *w = arg;
	int rc;

	if (e->is_end)
		return 0;
	rc = judge_name(w, e, err);
	if (rc)
		return rc;
	if (!is_ours(w, e->st))
		return seal_refuse(w->b, e->path,
				   "which belongs to somebody else", err);
	if (S_ISDIR(e->st->st_mode))
		rc = seal_dir(w, e, err);
	else if (S_ISREG(e->st->st_mode))
		rc = seal_file(w, e, err);
	else if (S_ISLNK(e->st->st_mode))
		rc = seal_link(w, e, err);
	else
		rc = seal_refuse(w->b, e->path,
				 "which is neither file, directory nor link",
				 err);
	if (rc)
		return rc;
	return aq_usage_add(&w->usage, e->dirfd, e->name, e->st) ?
		0 : aq_fail(err, AQ_SYS, "out of memory");
}

/* What one person's links lead to is for themselves alone. */
static int judge_links(struct walk *w, int root, struct aq_err *err)
{
	int rc = aq_strv_done(&w->links, "the environment's links", err);

	for (size_t i = 0; !rc && !w->b->is_personal && i < w->links.n; i++)
		rc = seal_judge_link(w->b, root, w->links.v[i], err);
	return rc;
}

static int walk(struct walk *w, int root, struct aq_err *err)
{
	struct stat st;
	int rc;

	/* a lease that is broken while we have it says so by this signal */
	(void)signal(SIGIO, SIG_IGN);
	if (fstat(root, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", w->b->site);
	w->dev = w->b->sealed.dev = st.st_dev;
	w->b->sealed.ino = st.st_ino;
	rc = aq_walk(root, ".", visit, w, err);
	if (!rc)
		rc = judge_links(w, root, err);
	if (!rc)
		rc = seal_judge_metadata(w->b, root, err);
	return rc ? rc : seal_mark_managed(w->b, root, &w->usage, err);
}

int seal(struct build *b, struct sizes *ret, struct aq_err *err)
{
	struct walk w = { .b = b, .links = AQ_STRV_INIT(LINKS_MAX) };
	cleanup_close int root = -1;
	int rc = prefix_open(b, &root, err);

	if (!rc)
		rc = walk(&w, root, err);
	ret->own = w.usage.whole;
	ret->shared = w.usage.total - w.usage.whole;
	aq_usage_free(&w.usage);
	aq_strv_free(&w.links);
	return rc;
}

int seal_is_of(const struct build *b, int envs, struct aq_err *err)
{
	struct stat st;

	if (fstatat(envs, b->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", b->name);
	if (st.st_dev != b->sealed.dev || st.st_ino != b->sealed.ino)
		return aq_fail(err, AQ_SYS,
			       "'%s' was exchanged after it was judged",
			       b->name);
	return 0;
}

/* AQ_MISS: it went. */
static int note(const struct build *b, const struct aq_manifest *m,
		const struct aq_str *sums, struct aq_err *err)
{
	const struct aq_binding tie = { .key = m->key, .digest = m->digest,
					.context = m->context,
					.canonical = m->canonical };
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (!rc)
		rc = aq_store_find_exact(store, b->name, &env, err);
	if (!rc && env->created != m->env->created)
		rc = AQ_MISS; /* another has its name by now */
	if (!rc) /* what is noted is so after a power cut, too */
		rc = aq_layout_flush(b->conf, err);
	if (!rc)
		rc = aq_sums_write(b->conf, b->name, sums, err);
	if (!rc)
		rc = aq_manifest_rewrite(b->conf, m->env, &tie, err);
	return rc ? rc : aq_store_resize(store, m->env, err);
}

int seal_note(const struct build *b, struct aq_manifest *m, struct aq_err *err)
{
	cleanup_str struct aq_str sums = AQ_STR_INIT(AQ_SUMS_MAX);
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	int rc = aq_sums_make(AT_FDCWD, b->prefix, &sums, &usage, err);

	m->env->size_own = usage.whole;
	m->env->size_shared = usage.total - usage.whole;
	if (!rc)
		rc = note(b, m, &sums, err);
	return rc == AQ_MISS ? 0 : rc;
}
