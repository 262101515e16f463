/* SPDX-License-Identifier: Apache-2.0 */
#include "common/at_hand.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/str.h"

#ifndef RESOLVE_CACHED /* Linux 5.12 */
#define RESOLVE_CACHED 0x20
#endif
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xF2F52010
#endif
#define ZFS_SUPER_MAGIC 0x2FC12FC1 /* no part of Linux */

/* No node works without their file systems. */
static const char *const needed[] = { "/", "/run", "/dev/shm" };

/* So often: a mount that anybody makes or drops meanwhile ends a look at names in memory
 * (EAGAIN), as what is not in memory does.  Each takes a microsecond.
 */
#define LOOKS 8

/* O_PATH: a file is not opened, which is what may wait.  RESOLVE_NO_XDEV would not do:
 * with it the kernel has to look at whatever is a mount point to anybody.
 */
static int open_cached(const char *path, uint64_t resolve)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_CACHED | resolve,
	};
	int fd = -1;

	for (int i = 0; i < LOOKS && fd < 0 && (!i || errno == EAGAIN); i++)
		fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	return fd;
}

static bool see(int dirfd, const char *path, int flags, struct aq_seen *ret)
{
	struct statx st;

	if (statx(dirfd, path, flags, STATX_INO | STATX_SIZE | STATX_CTIME,
		  &st) < 0)
		return false;
	memset(ret, 0, sizeof(*ret)); /* it is compared as bytes */
	ret->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	ret->inode = st.stx_ino;
	ret->size = (off_t)st.stx_size;
	ret->changed.tv_sec = st.stx_ctime.tv_sec;
	ret->changed.tv_nsec = st.stx_ctime.tv_nsec;
	return true;
}

static bool see_open(int fd, struct aq_seen *ret)
{
	return see(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, ret);
}

/* 'path' if it is of a needed file system; -1: that is not so. */
static int open_at_hand(const char *path)
{
	cleanup_close int fd = open_cached(path, RESOLVE_NO_SYMLINKS);
	struct aq_seen it, its;

	if (fd < 0 || !see_open(fd, &it))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (see(AT_FDCWD, needed[i], AT_STATX_DONT_SYNC, &its) &&
		    its.dev == it.dev)
			return steal_fd(&fd);
	return -1;
}

bool aq_at_hand_file(const char *path)
{
	cleanup_close int fd = open_at_hand(path);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool aq_at_hand_memory(const char *path)
{
	cleanup_close int fd = open_at_hand(path);
	struct statfs fs;

	return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

bool aq_at_hand_see(const char *path, struct aq_seen *ret)
{
	cleanup_close int fd = open_cached(path, 0);

	return fd >= 0 && see_open(fd, ret);
}

bool aq_see(const char *path, struct aq_seen *ret)
{
	return see(AT_FDCWD, path, 0, ret);
}

bool aq_is_local(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case ZFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}
