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
#include "common/flock.h"
#include "common/sums.h"
#include "common/usage.h"
#include "common/walk.h"

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

static int visit_dir(const struct walk *w, const struct aq_walk_entry *e,
		     struct aq_err *err)
{
	if (e->is_end)
		return treat_dir(w, e->fd, e->name, err);
	if (e->is_too_deep)
		return refuse(w, e->name, "nested too deeply", err);
	if (e->st->st_dev != w->dev)
		return refuse(w, e->name, "which is a mount point", err);
	return 0;
}

static int visit(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	struct walk *w = arg;
	int rc = e->is_end ? 0 : judge(w, e->name, e->st, err);

	if (!rc && S_ISDIR(e->st->st_mode))
		rc = visit_dir(w, e, err);
	if (rc || e->is_end)
		return rc;
	if (!aq_usage_add(&w->usage, e->dirfd, e->name, e->st))
		return aq_fail(err, AQ_SYS, "out of memory");
	return S_ISDIR(e->st->st_mode) ?
		0 : close_file(w, e->dirfd, e->name, e->st, err);
}

static int walk(struct walk *w, struct aq_err *err)
{
	struct stat st;

	if (lstat(w->b->site, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", w->b->site);
	w->dev = st.st_dev;
	return aq_walk(AT_FDCWD, w->b->site, visit, w, err);
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

/* Under hold-NAME, so that nobody collects it while its notes are exchanged.
 * AQ_BUSY: held meanwhile; AQ_MISS: it went.
 */
static int note(const struct build *b, const struct aq_manifest *m,
		const struct aq_str *sums, struct aq_err *err)
{
	const struct aq_binding tie = { .key = m->key, .digest = m->digest,
					.context = m->context,
					.canonical = m->canonical };
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	cleanup_close int hold = -1;
	char lock[128];
	int rc;

	snprintf(lock, sizeof(lock), AQ_FLOCK_HOLD "%s", b->name);
	rc = aq_flock_try(b->conf, lock, AQ_FLOCK_SHARED, &hold, err);
	if (!rc)
		rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);
	if (!rc)
		rc = aq_store_find_exact(store, b->name, &env, err);
	if (!rc && env->created != m->env->created)
		rc = AQ_MISS; /* another has its name by now */
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
