/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes (xattr(7)): rights that no mode bit shows. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "builder/seal_inside.h"

#define NAMES_MAX 4096 /* bytes of them; a package has none */

/* What the kernel itself puts on every file, and packages cannot. */
static bool is_the_kernels(const char *name)
{
	static const char *const known[] = { "security.selinux",
					     "security.apparmor",
					     "security.ima", "security.evm" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return aq_starts_with(name, "security.SMACK64");
}

/* An access control list gives somebody rights that the mode does not; what is in
 * user.* is read by nobody, and counted by nobody.
 */
static bool is_dropped(const char *name)
{
	return aq_starts_with(name, "system.posix_acl_") ||
	       aq_starts_with(name, "user.");
}

static int judge(struct build *b, int fd, const char *name, const char *file,
		 struct aq_err *err)
{
	if (is_dropped(name))
		return fremovexattr(fd, name) == 0 || errno == ENODATA ?
			0 : aq_fail_errno(err, "cannot take '%s' from '%s'",
					  name, file);
	if (strcmp(name, "security.capability") == 0)
		return seal_refuse(b, file, "which has file capabilities", err);
	if (is_the_kernels(name) || (!aq_starts_with(name, "security.") &&
				     !aq_starts_with(name, "trusted.")))
		return 0;
	return seal_refuse(b, file, "which has attributes of the system's", err);
}

int seal_judge_xattrs(struct build *b, int fd, const char *name,
		      struct aq_err *err)
{
	char names[NAMES_MAX];
	ssize_t len = flistxattr(fd, names, sizeof(names));
	int rc = 0;

	if (len < 0 && errno == ERANGE)
		return seal_refuse(b, name, "which has too many attributes", err);
	if (len < 0 && errno == ENOTSUP)
		return 0;
	if (len < 0)
		return aq_fail_errno(err, "cannot examine '%s'", name);
	for (const char *p = names; !rc && p < names + len; p += strlen(p) + 1)
		rc = judge(b, fd, p, name, err);
	return rc;
}
