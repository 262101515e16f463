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
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/io.h"

/* Directories below work/ and whose they are. */
static const char *const builder_dirs[] = { "pkgs", "wheels", "home", "tmp" };

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

int cage_prepare(struct build *b, struct aq_err *err)
{
	const struct identity root = { geteuid(), getegid(), "root" };
	cleanup_close int fd = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &fd, err);

	for (size_t i = 0; !rc && i < ARRAY_LEN(builder_dirs); i++)
		rc = give_dir(fd, builder_dirs[i], &b->builder, 0755, err);
	if (!rc && !b->is_personal)
		rc = give_dir(fd, "envs", &b->builder, 0755, err);
	return rc ? rc : give_dir(fd, "pass", &root, 0755, err);
}

bool cage_enter(const struct build *b)
{
	if (b->is_personal || geteuid() != 0)
		return true;
	return unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(b->work, b->inside, NULL, MS_BIND, NULL) == 0 &&
	       mount(NULL, b->inside, NULL,
		     MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL) == 0;
}
