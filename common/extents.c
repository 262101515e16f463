/* SPDX-License-Identifier: Apache-2.0 */
/* What of a file other files hold too: reflinked copies share extents, and
 * only the file system knows (ioctl_fiemap(2), Documentation/filesystems/
 * fiemap.rst in Linux).
 */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "common/extents.h"

/* Extents that are asked for at once, and how often: a file of a package has
 * few, and a count that stops early calls shared what is own.
 */
#define EXTENTS 64
#define ROUNDS 1024

bool aq_extents_may_be_shared(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == BTRFS_SUPER_MAGIC ||
					 fs.f_type == XFS_SUPER_MAGIC);
}

uint64_t aq_extents_shared(int fd)
{
	union {
		struct fiemap map;
		char space[sizeof(struct fiemap) +
			   EXTENTS * sizeof(struct fiemap_extent)];
	} u = { 0 };
	uint64_t shared = 0, from = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const struct fiemap_extent *e = u.map.fm_extents;
		uint32_t n;

		u.map = (struct fiemap){ .fm_start = from,
					 .fm_length = FIEMAP_MAX_OFFSET - from,
					 .fm_extent_count = EXTENTS };
		if (ioctl(fd, FS_IOC_FIEMAP, &u.map) < 0)
			return 0;
		n = u.map.fm_mapped_extents;
		for (uint32_t k = 0; k < n && k < EXTENTS; k++)
			if (e[k].fe_flags & FIEMAP_EXTENT_SHARED)
				shared += e[k].fe_length;
		if (!n || n > EXTENTS ||
		    (e[n - 1].fe_flags & FIEMAP_EXTENT_LAST))
			break;
		from = e[n - 1].fe_logical + e[n - 1].fe_length;
	}
	return shared;
}
