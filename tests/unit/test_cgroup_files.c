/* SPDX-License-Identifier: Apache-2.0 */
/* A build's control group in files that look like version 2 with all controllers, which
 * this kernel may have given to version 1: what is written there, and not what a kernel
 * would make of it.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "common/io.h"

#define MIB ((size_t)1024 * 1024)

static char tree[64];

static void put_file(const char *path, const char *text)
{
	char whole[512];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", tree, path);
	f = fopen(whole, "we");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		_exit(9);
}

static bool has_text(const char *path, const char *text)
{
	cleanup_str struct aq_str is = AQ_STR_INIT(4096);
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", tree, path);
	return aq_read_file(AT_FDCWD, whole, &is, NULL) == 0 &&
	       strcmp(aq_str_get(&is), text) == 0;
}

/* The kernel fills a new group with files; of ours nobody would. */
static void fill_group(const char *group)
{
	static const char *const files[] = { "memory.max", "memory.swap.max",
					     "cpu.max", "cpu.weight", "pids.max",
					     "memory.events", "pids.events",
					     "cgroup.procs",
					     "cgroup.subtree_control" };
	char path[256];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", group, files[i]);
		put_file(path, "");
	}
}

/* cgroup.c's, in the tree: a new group has files. */
int mkdirat(int dirfd, const char *path, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	char group[256];

	if (rc || !*tree)
		return rc;
	snprintf(group, sizeof(group), "job/%s", path);
	fill_group(group);
	return 0;
}

static void make_tree(void)
{
	char text[256], path[128];

	snprintf(tree, sizeof(tree), "/tmp/aq-cgroup2.XXXXXX");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(tree) || mount("x", tree, "tmpfs", 0, NULL) < 0)
		_exit(77);
	snprintf(path, sizeof(path), "%s/job", tree);
	(void)syscall(SYS_mkdirat, AT_FDCWD, path, 0755);
	snprintf(path, sizeof(path), "%s/job/job_7", tree);
	(void)syscall(SYS_mkdirat, AT_FDCWD, path, 0755);
	put_file("job/cgroup.procs", "");
	put_file("job/job_7/cgroup.procs", "");
	put_file("job/cgroup.subtree_control", "pids");
	snprintf(text, sizeof(text), "30 24 0:26 / %s rw - cgroup2 x rw\n", tree);
	put_file("mounts", text);
	put_file("own", "0::/job/job_7\n");
	snprintf(path, sizeof(path), "%s/mounts", tree);
	if (mount(path, "/proc/self/mountinfo", NULL, MS_BIND, NULL) < 0)
		_exit(77);
	snprintf(path, sizeof(path), "%s/own", tree);
	if (mount(path, "/proc/self/cgroup", NULL, MS_BIND, NULL) < 0)
		_exit(77);
}

static int is_v2_limited(void)
{
	static const struct cgroup_limits limits = { .memory = 96 * MIB,
						     .cpus = 2 };
	struct cgroup *c = NULL;

	alarm(20);
	make_tree();
	if (cgroup_enter("g", &limits, &c, NULL) != 0)
		return 1;
	/* beside the job, not in it, and what its parent did not give on is asked for */
	if (!has_text("job/g/memory.max", "100663296") ||
	    !has_text("job/g/memory.swap.max", "0") ||
	    !has_text("job/g/cpu.max", "200000 100000") ||
	    !has_text("job/g/cgroup.procs", "0"))
		return 2;
	for (int i = 0; i < CGROUP_KINDS; i++)
		if (!cgroup_holds(c, (enum cgroup_kind)i))
			return 3;
	cgroup_limit_processes(c, 12);
	if (!has_text("job/g/pids.max", "12"))
		return 4;
	put_file("job/g/memory.events", "low 0\noom 3\noom_kill 1\n");
	put_file("job/g/pids.events", "max 2\n");
	if (!cgroup_was_met(c, CGROUP_MEMORY) || cgroup_was_met(c, CGROUP_MEMORY) ||
	    !cgroup_was_met(c, CGROUP_PROCESSES) ||
	    cgroup_was_met(c, CGROUP_PROCESSES))
		return 5;
	cgroup_be_last(c);
	if (!has_text("job/g/cpu.weight", "10"))
		return 7;
	put_file("job/job_7/cgroup.procs", "");
	cgroup_leave(c);
	/* back in the job's */
	return has_text("job/job_7/cgroup.procs", "0") ? 0 : 6;
}

static void version_2_with_controllers_in_files(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		status = is_v2_limited();
		(void)umount2(tree, MNT_DETACH);
		(void)rmdir(tree);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* not root, or no namespaces */
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2_with_controllers_in_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
