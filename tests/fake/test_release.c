/* SPDX-License-Identifier: Apache-2.0 */
/* A step's end: its lease goes with it, before the job's epilog, wherever run_dir is. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/jobs.h"

#define MEMORY "/dev/shm/aq-fake.XXXXXX"

static int count_entries(const char *run, const char *name)
{
	char path[4096];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", run, name);
	dir = opendir(path);
	assert_non_null(dir);
	for (const struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* With run_dir 'run'. */
static void expect_no_lease(const char *run)
{
	run_job("a.yaml");
	fake->job++;
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES("a.yaml")), 0);
	fake_prolog();
	fake_step();
	assert_string_equal(task_env(0, "AQ_RESOLUTION"), "reused");
	assert_calm();
	assert_int_equal(count_entries(run, "leases"), 0);
	fake_epilog();
	assert_node_is_clean();
}

static void test_on_disk(void **state)
{
	(void)state;
	expect_no_lease("run");
}

static void test_in_memory(void **state)
{
	char run[] = MEMORY, here[4096], conf[8192];

	(void)state;
	assert_non_null(mkdtemp(run));
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(conf, sizeof(conf), "cache_dir = %s/lib\nrun_dir = %s/run\n"
		 "channels = conda-forge=https://mirror.example/conda-forge\n",
		 here, run);
	node_write("aq.conf", conf);
	snprintf(conf, sizeof(conf), "%s/run", run);
	expect_no_lease(conf);
	node_remove_tree(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_on_disk),
		TEST(test_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
