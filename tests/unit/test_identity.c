/* SPDX-License-Identifier: Apache-2.0 */
/* builder/identity.c: rights that are given up, before a kernel that refuses, or
 * says yes and does nothing; and before the real one, where the tests are root's.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/identity.h"
#include "common/str.h"

#define CAPABILITIES 41 /* that the kernel knows */
#define WORDS _LINUX_CAPABILITY_U32S_3

static const struct identity nobody = { 65534, 65533, "nobody" };

/* -- a kernel -- */

/* What may be refused. */
enum call {
	NONE,
	NO_NEW_PRIVS,
	BOUNDING,
	GROUPS,
	GIDS,
	UIDS,
	SAYS_UIDS,
	SAYS_GIDS,
	CAPSET,
	CAPGET,
	/* of these nothing depends: */
	KEYRING,
	AMBIENT,
};

/* What a process has. */
static struct {
	unsigned int uids[3], gids[3]; /* real, effective, saved */
	unsigned int groups;
	unsigned int effective[WORDS], permitted[WORDS], inheritable[WORDS];
	unsigned int bounding[CAPABILITIES];
	bool is_bound, has_keyring, can_return;
} now;
static enum call refused;
static const unsigned int *stays; /* which of them does not change */
static bool is_real;

static void begin_as_root(void)
{
	memset(&now, 0, sizeof(now));
	now.groups = 2;
	for (size_t i = 0; i < CAPABILITIES; i++)
		now.bounding[i] = 1;
	for (size_t i = 0; i < WORDS; i++)
		now.effective[i] = now.permitted[i] = now.inheritable[i] = ~0u;
	refused = NONE;
	stays = NULL;
}

static void set(unsigned int *what, unsigned int value)
{
	if (what != stays)
		*what = value;
}

static int answer(enum call call)
{
	if (call != refused)
		return 0;
	errno = EPERM;
	return -1;
}

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
	unsigned long cap;
	va_list ap;

	va_start(ap, option);
	cap = va_arg(ap, unsigned long);
	va_end(ap);
	if (is_real)
		return __real_prctl(option, cap, 0, 0, 0);
	switch (option) {
	case PR_SET_NO_NEW_PRIVS:
		now.is_bound = cap == 1;
		return answer(NO_NEW_PRIVS);
	case PR_CAPBSET_READ:
		return cap < CAPABILITIES ? (int)now.bounding[cap] : -1;
	case PR_CAPBSET_DROP:
		now.bounding[cap] = 0;
		return answer(BOUNDING);
	default:
		assert_int_equal(option, PR_CAP_AMBIENT);
		return answer(AMBIENT);
	}
}

static long capset_or_get(long number, struct __user_cap_data_struct *data)
{
	bool is_set = number == SYS_capset;

	if (answer(is_set ? CAPSET : CAPGET) < 0)
		return -1;
	for (size_t i = 0; i < WORDS; i++) {
		if (is_set) {
			set(&now.effective[i], data[i].effective);
			set(&now.permitted[i], data[i].permitted);
			set(&now.inheritable[i], data[i].inheritable);
		}
		data[i].effective = now.effective[i];
		data[i].permitted = now.permitted[i];
		data[i].inheritable = now.inheritable[i];
	}
	return 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long first;
	void *second;
	va_list ap;

	va_start(ap, number);
	first = va_arg(ap, long);
	second = va_arg(ap, void *);
	va_end(ap);
	if (is_real)
		return __real_syscall(number, first, second);
	if (number == SYS_capset || number == SYS_capget)
		return capset_or_get(number, second);
	assert_int_equal(number, SYS_keyctl);
	assert_int_equal((int)first, KEYCTL_JOIN_SESSION_KEYRING);
	now.has_keyring = refused != KEYRING;
	return answer(KEYRING);
}

#define WRAPPED(name, type, params, args, otherwise)                           \
	type __real_##name params;                                             \
	type __wrap_##name params;                                             \
	type __wrap_##name params                                              \
	{                                                                      \
		if (is_real)                                                   \
			return __real_##name args;                             \
		otherwise                                                      \
	}                                                                      \
	type __wrap_##name params

WRAPPED(geteuid, uid_t, (void), (), { return now.uids[1]; });
WRAPPED(getegid, gid_t, (void), (), { return now.gids[1]; });
WRAPPED(setgroups, int, (size_t n, const gid_t *groups), (n, groups), {
	set(&now.groups, (unsigned int)n);
	return answer(GROUPS);
});
WRAPPED(getgroups, int, (int n, gid_t *groups), (n, groups),
	{ return (int)now.groups; });
WRAPPED(setresgid, int, (gid_t r, gid_t e, gid_t s), (r, e, s), {
	set(&now.gids[0], r);
	set(&now.gids[1], e);
	set(&now.gids[2], s);
	return answer(GIDS);
});
WRAPPED(setresuid, int, (uid_t r, uid_t e, uid_t s), (r, e, s), {
	set(&now.uids[0], r);
	set(&now.uids[1], e);
	set(&now.uids[2], s);
	return answer(UIDS);
});
WRAPPED(getresgid, int, (gid_t *r, gid_t *e, gid_t *s), (r, e, s), {
	*r = now.gids[0];
	*e = now.gids[1];
	*s = now.gids[2];
	return answer(SAYS_GIDS);
});
WRAPPED(getresuid, int, (uid_t *r, uid_t *e, uid_t *s), (r, e, s), {
	*r = now.uids[0];
	*e = now.uids[1];
	*s = now.uids[2];
	return answer(SAYS_UIDS);
});
WRAPPED(setuid, int, (uid_t uid), (uid), {
	assert_int_equal(uid, 0);
	return now.can_return ? 0 : -1;
});

/* -- giving up -- */

static void all_is_given_up(void **state)
{
	(void)state;
	begin_as_root();
	assert_true(identity_become(&nobody));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(now.uids[i], nobody.uid);
		assert_int_equal(now.gids[i], nobody.gid);
	}
	assert_int_equal(now.groups, 0);
	for (size_t i = 0; i < CAPABILITIES; i++)
		assert_int_equal(now.bounding[i], 0);
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(now.inheritable[i], 0);
	assert_true(now.is_bound);
	assert_true(now.has_keyring);
}

static void a_refusal_ends_it(void **state)
{
	(void)state;
	for (enum call call = NO_NEW_PRIVS; call < KEYRING; call++) {
		begin_as_root();
		refused = call;
		if (identity_become(&nobody))
			fail_msg("call %d was refused", (int)call);
	}
	/* kernels without these have nothing of theirs */
	for (enum call call = KEYRING; call <= AMBIENT; call++) {
		begin_as_root();
		refused = call;
		assert_true(identity_become(&nobody));
	}
}

static void what_the_kernel_kept_is_noticed(void **state)
{
	unsigned int *all[] = {
		&now.uids[0], &now.uids[1], &now.uids[2],
		&now.gids[0], &now.gids[1], &now.gids[2], &now.groups,
		&now.effective[0], &now.permitted[0], &now.inheritable[0],
		&now.effective[1], &now.permitted[1], &now.inheritable[1],
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		begin_as_root();
		stays = all[i];
		if (identity_become(&nobody))
			fail_msg("%zu was kept", i);
	}
	begin_as_root();
	now.can_return = true;
	assert_false(identity_become(&nobody));
}

/* A personal cache's owner changes nothing, but gets no more. */
static void who_is_not_root_stays_who_they_are(void **state)
{
	(void)state;
	begin_as_root();
	now.uids[1] = nobody.uid;
	assert_true(identity_become(&nobody));
	assert_true(now.is_bound);
	assert_int_equal(now.groups, 2);
	now.uids[1] = nobody.uid + 1;
	assert_false(identity_become(&nobody));
}

/* -- the real kernel -- */

/* Of /proc/self/status. */
static bool is_said(const char *line)
{
	FILE *f = fopen("/proc/self/status", "re");
	char buf[256];
	bool is = false;

	while (f && !is && fgets(buf, sizeof(buf), f))
		is = strcmp(buf, line) == 0;
	if (f)
		fclose(f);
	return is;
}

static int become_for_real(void)
{
	static const char *const lines[] = {
		"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
		"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
		"Groups:\t \n", "Uid:\t65534\t65534\t65534\t65534\n",
		"Gid:\t65533\t65533\t65533\t65533\n" };
	const gid_t groups[] = { 0, 5 };

	if (__real_setgroups(ARRAY_LEN(groups), groups) < 0 ||
	    !identity_become(&nobody))
		return 100;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (!is_said(lines[i]))
			return (int)i + 1;
	return __real_setuid(0) < 0 ? 0 : 101;
}

static void the_kernel_says_so_too(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	is_real = true;
	if (geteuid() != 0) {
		is_real = false;
		return;
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(become_for_real());
	is_real = false;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* -- whom -- */

static struct passwd *account;

struct passwd *__wrap_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name)
{
	(void)name;
	return account;
}

static int find(const char *name, uid_t uid, gid_t gid, struct identity *ret,
		const char *why)
{
	struct passwd pw = { .pw_uid = uid, .pw_gid = gid };
	struct aq_err err = { 0 };
	int rc;

	account = &pw;
	rc = identity_find(name, false, ret, &err);
	account = NULL;
	assert_non_null(strstr(err.text, why));
	return rc;
}

static void an_account_is_there_and_not_root(void **state)
{
	struct identity who = { 0 };
	struct aq_err err = { 0 };
	char name[sizeof(who.name) + 1];

	(void)state;
	assert_int_equal(identity_find("aq", false, &who, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "there is no account 'aq'"));
	assert_int_equal(find("aq", 0, 7, &who, "must not be root"), AQ_SYS);
	assert_int_equal(find("aq", 7, 0, &who, "must not be root"), AQ_SYS);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(find(name, 7, 8, &who, "too long a name"), AQ_SYS);
	assert_int_equal(find("aq", 7, 8, &who, ""), 0);
	assert_int_equal(who.uid, 7);
	assert_int_equal(who.gid, 8);
	assert_string_equal(who.name, "aq");
}

static void in_a_personal_cache_it_is_oneself(void **state)
{
	struct identity who;

	(void)state;
	begin_as_root();
	now.uids[1] = 1001;
	now.gids[1] = 1002;
	assert_int_equal(identity_find("aq", true, &who, NULL), 0);
	assert_int_equal(who.uid, 1001);
	assert_int_equal(who.gid, 1002);
	assert_string_equal(who.name, "aq");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_given_up),
		cmocka_unit_test(a_refusal_ends_it),
		cmocka_unit_test(what_the_kernel_kept_is_noticed),
		cmocka_unit_test(who_is_not_root_stays_who_they_are),
		cmocka_unit_test(the_kernel_says_so_too),
		cmocka_unit_test(an_account_is_there_and_not_root),
		cmocka_unit_test(in_a_personal_cache_it_is_oneself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
