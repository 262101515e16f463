/* SPDX-License-Identifier: Apache-2.0 */
/* A build's control group: as root, one of this machine's. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "common/io.h"

static char name[32], old_name[48]; /* another test of this may run */
static int n_swept; /* groups that are to go as soon as they are made */
#define MIB ((size_t)1024 * 1024)

static bool is_in_group(const char *group)
{
	cleanup_str struct aq_str own = AQ_STR_INIT(1 << 16);

	assert_int_equal(aq_read_file(AT_FDCWD, "/proc/self/cgroup", &own, NULL),
			 0);
	return strstr(aq_str_get(&own), group);
}

/* Who is in it is a child's child: a child is moved. */
static int status_of(int (*fn)(struct cgroup *c))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		const struct cgroup_limits limits = { .memory = 96 * MIB,
						      .cpus = 1 };
		struct cgroup *c = NULL;
		struct aq_err err = { 0 };
		int rc = cgroup_enter(name, &limits, &c, &err);

		if (rc || !is_in_group(name))
			_exit(77);
		rc = fn(c);
		cgroup_leave(c);
		_exit(is_in_group(name) ? 99 : rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void must_be(int (*fn)(struct cgroup *c))
{
	int status = geteuid() ? 77 : status_of(fn);

	if (status == 77)
		skip(); /* not root, or no hierarchy that can be written */
	assert_int_equal(status, 0);
}

static int end_of_child(void (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void take_memory(void)
{
	char *p = mmap(NULL, 512 * MIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	(void)!write(fd, "500", 3);
	if (p != MAP_FAILED)
		memset(p, 1, 512 * MIB);
}

static int memory_is_limited(struct cgroup *c)
{
	int status;

	if (!cgroup_holds(c, CGROUP_MEMORY))
		return 77;
	if (cgroup_was_met(c, CGROUP_MEMORY))
		return 1;
	status = end_of_child(take_memory);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return 2;
	return cgroup_was_met(c, CGROUP_MEMORY) &&
			       !cgroup_was_met(c, CGROUP_MEMORY) ? 0 : 3;
}

static int processes_are_limited(struct cgroup *c)
{
	pid_t pid[4];
	int n = 0;

	if (!cgroup_holds(c, CGROUP_PROCESSES))
		return 77;
	cgroup_limit_processes(c, 3);
	for (; n < 4 && (pid[n] = fork()) >= 0; n++)
		if (!pid[n]) {
			pause();
			_exit(0);
		}
	if (n != 2 || !cgroup_was_met(c, CGROUP_PROCESSES))
		return 1;
	cgroup_kill_others(c);
	for (int i = 0, status; i < n; i++)
		if (waitpid(pid[i], &status, 0) != pid[i] ||
		    !WIFSIGNALED(status))
			return 2;
	return cgroup_was_met(c, CGROUP_PROCESSES) ? 3 : 0;
}

static bool is_old(const char *group, void *arg)
{
	(void)arg;
	return strcmp(group, old_name) == 0;
}

static int sweep_old(struct cgroup *c)
{
	cgroup_sweep(c, is_old, NULL);
	return 0;
}

/* What a killed builder left goes, with all that is in it. */
static int left_goes(void)
{
	const struct cgroup_limits limits = { 0 };
	int ready[2], status;
	char byte;
	pid_t pid;

	if (geteuid() != 0 || pipe(ready) < 0)
		return 77;
	pid = fork();
	if (!pid) {
		struct cgroup *old = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cgroup_enter(old_name, &limits, &old, NULL) != 0 ||
		    write(ready[1], is_in_group(old_name) ? "y" : "n", 1) != 1)
			_exit(1);
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1 || byte != 'y') {
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return 77;
	}
	close(ready[0]);
	if (status_of(sweep_old) != 0)
		return 1;
	return waitpid(pid, &status, WNOHANG) == pid && WIFSIGNALED(status) ?
		0 : 2;
}

static void what_is_left_goes(void **state)
{
	int status = left_goes();

	(void)state;
	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

/* Where 'group' lies, in a hierarchy that there is. */
static bool find_group(const char *group, char *dir, size_t size)
{
	static const char *const controllers[] = { "pids", "memory", NULL };
	cleanup_str struct aq_str mounts = AQ_STR_INIT(1 << 20);
	cleanup_str struct aq_str own = AQ_STR_INIT(1 << 16);
	struct cgroup_place place;

	(void)!aq_read_file(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL);
	(void)!aq_read_file(AT_FDCWD, "/proc/self/cgroup", &own, NULL);
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (cgroup_find(aq_str_get(&mounts), aq_str_get(&own),
				controllers[i], &place)) {
			snprintf(dir, size, "%s/%s", place.dir, group);
			return true;
		}
	return false;
}

/* Of groups deep below: the empty one goes, what somebody is in stays, and so does what
 * is nobody's of ours.
 */
static int empty_goes(void)
{
	const struct cgroup_limits limits = { 0 };
	char above[CGROUP_PATH_MAX], ours[sizeof(above) + 64],
		others[sizeof(above) + 64], used[sizeof(name) + 32];
	struct cgroup *c = NULL;
	int rc = 0;

	if (geteuid() != 0 || !find_group(old_name, above, sizeof(above)) ||
	    mkdir(above, 0755) < 0)
		return 77;
	snprintf(ours, sizeof(ours), "%s/" CGROUP_OF_BUILD "x-0", above);
	snprintf(others, sizeof(others), "%s/aq-other", above);
	snprintf(used, sizeof(used), CGROUP_OF_BUILD "%s", name);
	if (mkdir(ours, 0755) < 0 || mkdir(others, 0755) < 0)
		rc = 77;
	/* while it is made somebody removes it, once */
	n_swept = 1;
	if (!rc && (cgroup_enter(used, &limits, &c, NULL) != 0 || n_swept))
		rc = 77;
	if (!rc && !is_in_group(used))
		rc = 1;
	cgroup_remove_left();
	if (!rc && access(ours, F_OK) == 0)
		rc = 2;
	if (!rc && access(others, F_OK) < 0)
		rc = 3;
	if (!rc && !is_in_group(used))
		rc = 4;
	cgroup_leave(c);
	(void)rmdir(ours);
	(void)rmdir(others);
	(void)rmdir(above);
	return rc;
}

static void what_nobody_is_in_goes(void **state)
{
	int status;
	pid_t pid = fork(); /* which is moved */

	(void)state;
	if (!pid)
		_exit(empty_goes());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void a_limit_of_memory(void **state)
{
	(void)state;
	must_be(memory_is_limited);
}

static void a_limit_of_processes(void **state)
{
	(void)state;
	must_be(processes_are_limited);
}

/* -- version 2, on a machine that has version 1 -- */

/* In a mount namespace where version 2 is all there is: the kernel's own, with the
 * controllers that version 1 leaves it, which is often none.  77: it cannot be had.
 */
static void see_v2_alone(void)
{
	char line[4096], *at;
	FILE *mounts;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(77);
	while (umount2("/sys/fs/cgroup", MNT_DETACH) == 0)
		;
	mounts = fopen("/proc/self/mounts", "re");
	while (mounts && fgets(line, sizeof(line), mounts)) {
		at = strchr(line, ' ');
		if (!at || (!strstr(at, " cgroup ") && !strstr(at, " cgroup2 ")))
			continue;
		at[1 + strcspn(at + 1, " ")] = '\0';
		if (umount2(at + 1, MNT_DETACH) < 0)
			_exit(77);
	}
	if (mounts)
		(void)fclose(mounts);
	if (mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0)
		_exit(77);
}

static int kills_others(struct cgroup *c)
{
	char lacks[CGROUP_LACKS_SIZE];
	const struct cgroup_limits limits = { .memory = 96 * MIB, .cpus = 1 };
	pid_t pid = fork();
	int status;

	if (!pid) {
		pause();
		_exit(0);
	}
	cgroup_kill_others(c);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return 1;
	/* what it has not is said */
	cgroup_say_lacks(c, &limits, lacks);
	for (int i = 0; i < CGROUP_KINDS; i++)
		if (!cgroup_holds(c, (enum cgroup_kind)i) && !*lacks)
			return 2;
	return 0;
}

static int is_v2_made_and_left(void)
{
	int rc;

	alarm(20);
	see_v2_alone();
	rc = status_of(kills_others);
	return rc ? rc : left_goes();
}

static void version_2_of_this_kernel(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(is_v2_made_and_left());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* not root, or no namespaces */
	assert_int_equal(status, 0);
}

/* cgroup.c's: a group that is to go as soon as it is made. */
int mkdirat(int dirfd, const char *path, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);

	if (!rc && n_swept && aq_starts_with(path, CGROUP_OF_BUILD)) {
		n_swept--;
		(void)unlinkat(dirfd, path, AT_REMOVEDIR);
	}
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_of_memory),
		cmocka_unit_test(a_limit_of_processes),
		cmocka_unit_test(what_is_left_goes),
		cmocka_unit_test(what_nobody_is_in_goes),
		cmocka_unit_test(version_2_of_this_kernel),
	};

	snprintf(name, sizeof(name), "aq-test-%d", getpid());
	snprintf(old_name, sizeof(old_name), "%s-old", name);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
