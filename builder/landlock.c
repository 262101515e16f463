/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock (landlock(7)) says once more where a program may write, for the case
 * that a mount was missed.  It does not govern chmod, chown or utimes, so it is no
 * cage by itself.  Raw system calls: no library is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/cage.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* linux/landlock.h, which older systems lack. */
#define VERSION (1U << 0)
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
/* All rights of the version that has REFER: without that one no link could be
 * made from the package cache to the prefix.
 */
#define ABI_MIN 2
#define FS_ABI_2 (2 * FS_REFER - 1)
#define ABI_TRUNCATE 3

struct ruleset_attr {
	uint64_t handled_access_fs;
};
struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct rules {
	int fd;
	uint64_t rights;
};

static bool allow(const struct rules *r, const char *path, uint64_t rights)
{
	struct path_beneath_attr rule = { .allowed_access = rights };
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);

	rule.parent_fd = fd;
	return fd >= 0 && syscall(SYS_landlock_add_rule, r->fd,
				  RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_all(const char *path, void *arg)
{
	const struct rules *r = arg;

	return allow(r, path, r->rights);
}

bool landlock_restrict(const struct build *b, const struct phase_form *form)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
	struct ruleset_attr attr = { .handled_access_fs = FS_ABI_2 };
	cleanup_close int fd = -1;
	struct rules r;

	if (abi < ABI_MIN)
		return true;
	if (abi >= ABI_TRUNCATE)
		attr.handled_access_fs |= FS_TRUNCATE;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return false;
	r = (struct rules){ .fd = fd, .rights = attr.handled_access_fs };
	return allow(&r, "/", FS_EXECUTE | FS_READ_FILE | FS_READ_DIR) &&
	       allow(&r, "/dev", FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE) &&
	       mounts_each_open(b, form, allow_all, &r) &&
	       syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}
