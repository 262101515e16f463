/* SPDX-License-Identifier: Apache-2.0 */
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/identity.h"
#include "common/str.h"

int identity_find(const char *name, bool is_personal, struct identity *ret,
		  struct aq_err *err)
{
	const struct passwd *pw;

	if (is_personal) {
		ret->uid = geteuid();
		ret->gid = getegid();
		(void)!aq_copy_text(ret->name, sizeof(ret->name), name);
		return 0;
	}
	pw = getpwnam(name);
	if (!pw)
		return aq_fail(err, AQ_SYS,
			       "there is no account '%s' on this node: create it (useradd --system --shell /usr/sbin/nologin %s)",
			       name, name);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return aq_fail(err, AQ_SYS, "account '%s' must not be root",
			       name);
	ret->uid = pw->pw_uid;
	ret->gid = pw->pw_gid;
	if (!aq_copy_text(ret->name, sizeof(ret->name), name))
		return aq_fail(err, AQ_SYS, "'%s' is too long a name", name);
	return 0;
}

/* No capability can be had any more, by whatever is executed; the last one's number
 * is the kernel's to know.
 */
static bool drop_capabilities(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
	     cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return false;
	/* a kernel without ambient ones has none to clear */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return true;
}

/* What is left after the change of identity: inheritable ones. */
static bool has_no_capability(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capset, &head, data) < 0 ||
	    syscall(SYS_capget, &head, data) < 0)
		return false;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (data[i].effective || data[i].permitted ||
		    data[i].inheritable)
			return false;
	return true;
}

bool identity_become(const struct identity *who)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	if (geteuid() != 0)
		return geteuid() == who->uid;
	/* who has slurmd's session keyring may use root's keys, keyrings(7) */
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (!drop_capabilities() || setgroups(0, NULL) < 0 ||
	    setresgid(who->gid, who->gid, who->gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return false;
	/* what the kernel says counts, not what was asked */
	return getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0 &&
	       r == who->uid && e == who->uid && s == who->uid &&
	       gr == who->gid && ge == who->gid && gs == who->gid &&
	       getgroups(0, NULL) == 0 && setuid(0) < 0 && has_no_capability();
}
