/* SPDX-License-Identifier: Apache-2.0 */
#include "common/acl.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The attribute's layout is the kernel's (linux/posix_acl_xattr.h), in little
 * endian; so nothing need be linked for it.
 */
#define ACL_VERSION 2
#define ACL_USER_OBJ 0x01
#define ACL_USER 0x02
#define ACL_GROUP_OBJ 0x04
#define ACL_MASK 0x10
#define ACL_OTHER 0x20

struct acl {
	unsigned char bytes[4 + 5 * 8];
	size_t len;
};

static void add_le(struct acl *acl, uint32_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acl->bytes[acl->len++] = (unsigned char)(value >> 8 * i);
}

static void add_entry(struct acl *acl, uint32_t tag, uint32_t rights,
		      uint32_t id)
{
	add_le(acl, tag, 2);
	add_le(acl, rights, 2);
	add_le(acl, id, 4);
}

int aq_acl_let_read(int fd, uid_t uid, struct aq_err *err)
{
	struct acl acl = { .len = 0 };
	uint32_t owner, user;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine what user %u may read",
				     (unsigned int)uid);
	owner = S_ISDIR(st.st_mode) ? 07 : 04;
	user = owner & ~02U;
	add_le(&acl, ACL_VERSION, 4);
	add_entry(&acl, ACL_USER_OBJ, owner, UINT32_MAX);
	add_entry(&acl, ACL_USER, user, uid);
	add_entry(&acl, ACL_GROUP_OBJ, 0, UINT32_MAX);
	add_entry(&acl, ACL_MASK, user, UINT32_MAX);
	add_entry(&acl, ACL_OTHER, 0, UINT32_MAX);
	if (fsetxattr(fd, "system.posix_acl_access", acl.bytes, acl.len, 0) < 0)
		return aq_fail_errno(err, "cannot let user %u alone read it (an access control list)",
				     (unsigned int)uid);
	return 0;
}
