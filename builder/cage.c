/* SPDX-License-Identifier: Apache-2.0 */
/* The cage: what a client and a probe see of the node, and where they may
 * write.  work/ lies over cache_dir, so that a prefix is built under its final
 * name while no committed environment is visible, and package cache and prefix
 * are on one mount, where hard links work.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/io.h"

/* Directories below work/ and whose they are. */
static const char *const builder_dirs[] = { "pkgs", "wheels", "home", "tmp" };

static const char *const root_dirs[] = { "pass", "stubs", "secrets" };

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

int cage_prepare(struct build *b, struct aq_err *err)
{
	const struct identity root = { geteuid(), getegid(), "root" };
	cleanup_close int fd = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &fd, err);

	for (size_t i = 0; !rc && i < ARRAY_LEN(builder_dirs); i++)
		rc = give_dir(fd, builder_dirs[i], &b->builder, 0755, err);
	if (!rc)
		rc = give_dir(fd, "probe", &b->probe, 0700, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(root_dirs); i++)
		rc = give_dir(fd, root_dirs[i], &root, 0755, err);
	if (!rc) /* what is in it can be reached by who knows its name */
		rc = give_dir(fd, "compile", &root, 0711, err);
	/* conda's clients make a prefix themselves */
	if (!rc && !b->is_personal)
		rc = give_dir(fd, "envs", &b->builder, 0755, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(b->shown); i++)
		rc = make_place(b, fd, b->shown[i], err);
	return rc;
}

int cage_pass_file(struct build *b, const char *stem, const char *suffix,
		    const char *text, size_t len,
		    char ret_inside[BUILD_PATH_MAX], struct aq_err *err)
{
	cleanup_close int dir = -1, fd = -1;
	char name[96];
	int rc = aq_open_dir(AT_FDCWD, b->pass_dir, &dir, err);

	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%s.%.16s.%s", stem, b->key, suffix);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	fd = openat(dir, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	snprintf(ret_inside, BUILD_PATH_MAX, "%s/pass/%s", b->inside, name);
	return aq_write_all(fd, text, len, err);
}

/* Whether /proc/WHO/mountinfo (proc(5)) has mount 'id' and it is not shared: a
 * mount made on it stays where it is made.
 */
static bool is_unshared_in(const char *who, unsigned int id)
{
	cleanup_fclose FILE *f = NULL;
	cleanup_free char *line = NULL;
	char path[64];
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%s/mountinfo", who);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0) {
		const char *shared = strstr(line, " shared:");
		const char *dash = strstr(line, " - ");
		unsigned int n;

		if (sscanf(line, "%u ", &n) == 1 && n == id)
			return !shared || (dash && shared > dash);
	}
	return false;
}

/* The id of the mount that 'path' is on. */
static bool get_mount_id(const char *path, unsigned int *ret)
{
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
	cleanup_fclose FILE *f = NULL;
	char name[64], line[128];

	if (fd < 0)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "mnt_id: %u", ret) == 1)
			return true;
	return false;
}

/* What is mounted here must not show elsewhere.  In a chroot "/" may be no
 * mount point, and what it is on cannot be named; then that must be unshared
 * by itself (as the first process sees it, from outside).
 */
static bool is_private(bool was_unshared)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
	       (errno == EINVAL && was_unshared);
}

/* The place 'path' as something to mount on; builder_user could put a link
 * there, so it is opened, and must be root's.
 */
static bool open_place(const char *path, int *ret_fd, char ret[64])
{
	struct stat st;

	*ret_fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(ret, 64, "/proc/self/fd/%d", *ret_fd);
	return *ret_fd >= 0 && fstat(*ret_fd, &st) == 0 && st.st_uid == 0;
}

/* Before work/ covers it; then it is below work/ and comes along. */
static bool show(const struct build *b, const char *name)
{
	char from[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8];
	char place[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8], target[64];
	cleanup_close int fd = -1, mounted = -1;

	if (!*name)
		return true;
	snprintf(from, sizeof(from), "%s/envs/%s", b->conf->cache_dir, name);
	snprintf(place, sizeof(place), "%s/envs/%s", b->work, name);
	if (!open_place(place, &fd, target) ||
	    mount(from, target, NULL, MS_BIND, NULL) != 0)
		return false;
	/* what is at that path now is the mount */
	return open_place(place, &mounted, target) &&
	       mount(NULL, target, NULL,
		     MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV,
		     NULL) == 0;
}

static bool show_all(const struct build *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->shown); i++)
		if (!show(b, b->shown[i]))
			return false;
	return true;
}

bool cage_enter(const struct build *b)
{
	unsigned int id;
	bool was_unshared;

	if (b->is_personal || geteuid() != 0)
		return true;
	was_unshared = get_mount_id(b->inside, &id) &&
		       (is_unshared_in("self", id) || is_unshared_in("1", id));
	return unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0 &&
	       is_private(was_unshared) &&
	       show_all(b) &&
	       mount(b->work, b->inside, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	       mount(NULL, b->inside, NULL,
		     MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL) == 0;
}
