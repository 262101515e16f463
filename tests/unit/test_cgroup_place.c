/* SPDX-License-Identifier: Apache-2.0 */
/* Where a build's control group may lie. */
#include "tests/unit/unit.h"

#include <string.h>

#include "builder/cgroup.h"
#include "common/str.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_found_in_each_hierarchy),
		cmocka_unit_test(a_part_is_mounted),
		cmocka_unit_test(it_lies_beside_the_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
