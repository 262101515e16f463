/* SPDX-License-Identifier: Apache-2.0 */
/* Where a build's control group may lie, and, as root, one of this machine's. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "common/io.h"

#define V1                                                                     \
	"30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"           \
	"31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup " \
	"rw,cpu,cpuacct\n"                                                     \
	"32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"    \
	"33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define V2 "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

static void where(const char *mounts, const char *own, const char *controller,
		  const char *dir)
{
	struct cgroup_place p = { .top = 0 };

	if (!dir) {
		assert_false(cgroup_find(mounts, own, controller, &p));
		return;
	}
	assert_true(cgroup_find(mounts, own, controller, &p));
	assert_string_equal(p.dir, dir);
}

static void a_process_is_found_in_each_hierarchy(void **state)
{
	static const char own1[] = "12:memory:/slurm/uid_5/job_7\n"
				   "11:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n";

	(void)state;
	where(V1, own1, "memory", "/sys/fs/cgroup/memory/slurm/uid_5/job_7");
	where(V1, own1, "cpu", "/sys/fs/cgroup/cpu,cpuacct/a");
	where(V1, own1, "cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a");
	where(V1, own1, "pids", NULL);
	where(V1, own1, "mem", NULL);
	where(V1, own1, NULL, "/sys/fs/cgroup/unified/c");
	where(V2, "0::/system.slice/slurmd.service\n", NULL,
	      "/sys/fs/cgroup/system.slice/slurmd.service");
	where(V2, "0::/\n", NULL, "/sys/fs/cgroup");
	where(V2, "0::/\n", "memory", NULL);
	where(V2, "", NULL, NULL);
	where("", "0::/\n", NULL, NULL);
	where("nonsense\n\n- -\n", "0::/\n:\n1\nx:y\n", NULL, NULL);
}

/* A container sees a part of the tree, as its root or not at all. */
static void a_part_is_mounted(void **state)
{
	static const char part[] =
		"30 24 0:26 /docker/a /sys/fs/cgroup rw - cgroup2 none rw\n";
	static const char above[] =
		"30 24 0:26 /.. /sys/fs/cgroup rw - cgroup2 none rw\n";

	(void)state;
	where(part, "0::/docker/a/b\n", NULL, "/sys/fs/cgroup/b");
	where(part, "0::/docker/a\n", NULL, "/sys/fs/cgroup");
	where(part, "0::/docker/ab\n", NULL, NULL);
	where(part, "0::/docker\n", NULL, NULL);
	where(above, "0::/../x\n", NULL, NULL);
}

static void out_of(const char *dir, const char *wanted)
{
	struct cgroup_place p = { .top = strlen("/m") };

	assert_true(aq_copy_text(p.dir, sizeof(p.dir), dir));
	cgroup_out_of_job(&p);
	assert_string_equal(p.dir, wanted);
}

static void it_lies_beside_the_job(void **state)
{
	struct cgroup_place p = { .dir = "/m/a/b", .top = 2 };

	(void)state;
	out_of("/m/slurm/uid_1000/job_5/step_0", "/m/slurm");
	out_of("/m/slurm_n1/uid_1000/job_5/step_batch/task_0", "/m/slurm_n1");
	out_of("/m/system.slice/slurmstepd.scope/job_12/step_0/slurm",
	       "/m/system.slice/slurmstepd.scope");
	out_of("/m/system.slice/n1_slurmstepd.scope/job_12/step_0/user/task_0",
	       "/m/system.slice/n1_slurmstepd.scope");
	out_of("/m/job_12", "/m");
	out_of("/m/system.slice/slurmd.service", "/m/system.slice/slurmd.service");
	out_of("/m/user.slice/uid_x/job_/jobs_1/myjob_1/job_1a",
	       "/m/user.slice/uid_x/job_/jobs_1/myjob_1/job_1a");
	out_of("/m", "/m");
	assert_true(cgroup_up(&p));
	assert_string_equal(p.dir, "/m/a");
	assert_true(cgroup_up(&p));
	assert_string_equal(p.dir, "/m");
	assert_false(cgroup_up(&p));
}

/* -- this machine's -- */

static char name[32], old_name[48]; /* another test of this may run */
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
static void what_is_left_goes(void **state)
{
	const struct cgroup_limits limits = { 0 };
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct cgroup *old = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (geteuid() != 0 ||
		    cgroup_enter(old_name, &limits, &old, NULL) != 0 ||
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
		skip();
	}
	assert_int_equal(status_of(sweep_old), 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
	assert_true(WIFSIGNALED(status));
	close(ready[0]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_found_in_each_hierarchy),
		cmocka_unit_test(a_part_is_mounted),
		cmocka_unit_test(it_lies_beside_the_job),
		cmocka_unit_test(a_limit_of_memory),
		cmocka_unit_test(a_limit_of_processes),
		cmocka_unit_test(what_is_left_goes),
	};

	snprintf(name, sizeof(name), "aq-test-%d", getpid());
	snprintf(old_name, sizeof(old_name), "%s-old", name);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
