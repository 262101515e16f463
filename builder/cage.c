/* SPDX-License-Identifier: Apache-2.0 */
/* What lies below work/ for a build.  A client sees all of it over cache_dir, so
 * that a prefix is built under its final name while no committed environment is
 * visible, and package cache and prefix are on one mount, where hard links work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/packages.h"
#include "builder/prefix.h"
#include "common/io.h"
#include "common/walk.h"

#define ALONE_DIR "alone"
/* Directories below work/ and whose they are. */
static const char *const builder_dirs[] = { "pkgs", "wheels", "home", "tmp" };

static const char *const root_dirs[] = { "stubs", "bare", "secrets",
					 "probe", "root", PACKAGES_CHECKED };

static int give_dir(int fd, const char *name, const struct identity *who,
		    mode_t mode, struct aq_err *err)
{
	struct stat st;

	if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make directory '%s'", name);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", name);
	if (!S_ISDIR(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is no directory", name);
	if (fchownat(fd, name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(fd, name, mode, 0) < 0)
		return aq_fail_errno(err, "cannot give '%s' to '%s'", name,
				     who->name);
	return 0;
}

/* Where a committed environment will be mounted. */
static int make_place(const struct build *b, int work_fd, const char *name,
		      struct aq_err *err)
{
	char path[AQ_ENV_NAME_SIZE + 8];

	if (b->is_personal || !*name)
		return 0;
	snprintf(path, sizeof(path), "envs/%s", name);
	if (mkdirat(work_fd, path, 0755) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", path);
	return 0;
}

void cage_show(struct build *b, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(b->shown); i++) {
		if (strcmp(b->shown[i], name) == 0)
			return;
		if (!b->shown[i][0]) {
			snprintf(b->shown[i], sizeof(b->shown[i]), "%s", name);
			return;
		}
	}
}

void cage_hide(const struct build *b, const char *name)
{
	char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8];

	snprintf(path, sizeof(path), "%s/envs/%s", b->work, name);
	if (!b->is_personal)
		(void)rmdir(path);
}

/* Another build's programs are as much probe_user's: each has its own. */
static int make_scratch(struct build *b, int work_fd, struct aq_err *err)
{
	int rc = aq_remove_tree(work_fd, b->scratch, err);

	return rc ? rc : give_dir(work_fd, b->scratch,
				  phase_identity(b, PHASE_PROBE), 0700, err);
}

/* What a client needs of a work area. */
static int make_area(struct build *b, int fd, struct aq_err *err)
{
	const struct identity root = { geteuid(), getegid(), "root" };
	int rc = give_dir(fd, "pass", &root, 0755, err);

	if (!rc)
		rc = give_dir(fd, b->pass, &root, 0755, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(builder_dirs); i++)
		rc = give_dir(fd, builder_dirs[i], &b->builder, 0755, err);
	/* conda's clients make a prefix themselves */
	if (!rc && !b->is_personal)
		rc = give_dir(fd, "envs", &b->builder, 0755, err);
	return rc;
}

int cage_prepare(struct build *b, struct aq_err *err)
{
	const struct identity root = { geteuid(), getegid(), "root" };
	cleanup_close int fd = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &fd, err);

	if (!rc)
		rc = make_area(b, fd, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(root_dirs); i++)
		rc = give_dir(fd, root_dirs[i], &root, 0755, err);
	if (!rc)
		rc = make_scratch(b, fd, err);
	/* what is in these can be reached by who knows its name */
	if (!rc)
		rc = give_dir(fd, "compile", &root, 0711, err);
	if (!rc)
		rc = give_dir(fd, ALONE_DIR, &root, 0711, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(b->shown); i++)
		rc = make_place(b, fd, b->shown[i], err);
	return rc;
}

void cage_clean(const struct build *b)
{
	char path[2 * BUILD_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", b->work, b->scratch);
	if (b->scratch[0])
		(void)!aq_remove_tree(AT_FDCWD, path, NULL);
	snprintf(path, sizeof(path), "%s/%s", b->work, b->pass);
	if (b->pass[0])
		(void)!aq_remove_tree(AT_FDCWD, path, NULL);
}

/* Where what is passed lies, without what had that name. */
static int open_pass(const struct build *b, const char *name, int *ret_fd,
		     struct aq_err *err)
{
	cleanup_close int dir = -1;
	int rc = cage_open_seen(b, b->pass, &dir, err);

	if (rc)
		return rc;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	*ret_fd = steal_fd(&dir);
	return 0;
}

int cage_pass_link(const struct build *b, const char *name, const char *to,
		   struct aq_err *err)
{
	cleanup_close int dir = -1;
	int rc = open_pass(b, name, &dir, err);

	if (!rc && symlinkat(to, dir, name) < 0)
		rc = aq_fail_errno(err, "cannot make the link '%s'", name);
	return rc;
}

int cage_pass_file(struct build *b, const char *stem, const char *suffix,
		    const char *text, size_t len,
		    char ret_inside[BUILD_PATH_MAX], struct aq_err *err)
{
	cleanup_close int dir = -1, fd = -1;
	char name[96];
	int rc;

	snprintf(name, sizeof(name), "%s.%s", stem, suffix);
	rc = open_pass(b, name, &dir, err);
	if (rc)
		return rc;
	fd = openat(dir, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	snprintf(ret_inside, BUILD_PATH_MAX, "%s/%s/%s", b->inside, b->pass, name);
	return aq_write_all(fd, text, len, err);
}

/* -- a work area of its own -- */

/* Its prefix, if it made one, to 'b->site'. */
static int take_prefix(const struct build *b, int work, const char *view,
		       struct aq_err *err)
{
	char here[AQ_ENV_NAME_SIZE + 8], there[BUILD_PATH_MAX];

	snprintf(here, sizeof(here), "envs/%s", b->name);
	snprintf(there, sizeof(there), "%s/envs/%s", view, b->name);
	return renameat(work, there, work, here) == 0 || errno == ENOENT ?
		0 : aq_fail_errno(err, "cannot move '%s'", here);
}

int cage_begin_alone(struct build *b, struct aq_err *err)
{
	const struct identity root = { geteuid(), getegid(), "root" };
	cleanup_close int work = -1, fd = -1;
	char view[sizeof(b->view)];
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	run_leave(b); /* it sees all of work/ */
	snprintf(view, sizeof(view), ALONE_DIR "/%.32s", b->key);
	if (!rc)
		rc = aq_remove_tree(work, view, err);
	if (!rc)
		rc = give_dir(work, view, &root, 0755, err);
	if (!rc)
		rc = aq_open_dir(work, view, &fd, err);
	if (!rc)
		rc = make_area(b, fd, err);
	if (!rc)
		rc = prefix_drop(b, err);
	if (rc)
		return rc;
	if (b->archives[0] && renameat(work, b->archives, fd, b->archives) < 0)
		return aq_fail_errno(err, "cannot move '%s'", b->archives);
	memcpy(b->view, view, sizeof(view));
	return 0;
}

int cage_end_alone(struct build *b, struct aq_err *err)
{
	cleanup_close int work = -1;
	char view[sizeof(b->view)];
	int rc;

	if (!b->view[0])
		return 0;
	memcpy(view, b->view, sizeof(view));
	b->view[0] = b->archives[0] = '\0';
	rc = aq_open_dir(AT_FDCWD, b->work, &work, err);
	if (!rc)
		rc = take_prefix(b, work, view, err);
	return rc ? rc : aq_remove_tree(work, view, err);
}

/* -- what package code may write of a prefix -- */

struct gift {
	const struct build *b;
	const struct identity *to;
	bool is_back;
};

/* There: directories alone, so that a file that the package cache shares stays
 * its owner's.  Back: what was made meanwhile too.
 */
static int give(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	const struct gift *g = arg;
	bool is_theirs = e->st->st_uid == g->b->probe.uid;

	if (e->is_end || e->is_too_deep ||
	    (!S_ISDIR(e->st->st_mode) && !(g->is_back && is_theirs)))
		return 0;
	/* a descriptor of a directory is the one that was looked at */
	if ((e->fd >= 0 ? fchown(e->fd, g->to->uid, g->to->gid) :
			  fchownat(e->dirfd, e->name, g->to->uid, g->to->gid,
				   AT_SYMLINK_NOFOLLOW)) < 0)
		return aq_fail_errno(err, "cannot give '%s' to '%s'", e->name,
				     g->to->name);
	return 0;
}

static int give_prefix(struct build *b, bool is_back, struct aq_err *err)
{
	struct gift g = { .b = b, .is_back = is_back,
			  .to = is_back ? &b->builder :
					  phase_identity(b, PHASE_PIP) };

	return b->is_personal ? 0 : aq_walk(AT_FDCWD, b->site, give, &g, err);
}

int cage_run_pip(struct build *b, struct command *cmd, struct aq_err *err)
{
	struct aq_err ignored;
	int end, rc = give_prefix(b, false, err);

	if (!rc)
		rc = run(b, cmd, err);
	/* everything that it started is gone */
	end = give_prefix(b, true, rc ? &ignored : err);
	return rc ? rc : end;
}
