/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/fake/node.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/job.h"
#include "common/refs.h"
#include "common/workflows.h"
#include "tests/fake/fake.h"

static char dir[4096];
static char plugstack[4200];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void node_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void node_write(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, 0644), 0);
}

bool node_has(const char *name)
{
	return access(name, F_OK) == 0;
}

void node_forget(void)
{
	node_remove_tree("lib");
	node_remove_tree("run");
	node_remove_tree("run-public");
}

static int count_holding(uint32_t job, const char *name, const char *digest,
			 void *arg, struct aq_err *err)
{
	(void)job;
	(void)name;
	(void)err;
	*(uint64_t *)arg += *digest != '\0';
	return 0;
}

uint64_t node_references(void)
{
	static struct aq_err err;
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	uint64_t n = 0, n_jobs = 0;

	if (aq_conf_load(strchr(plugstack, '=') + 1, "n1", &conf, &err) ||
	    aq_job_each(conf, count_holding, &n_jobs, &err))
		fail_msg("%s", err.text);
	if (node_has("run/refs.db") &&
	    (aq_refs_open(conf, &refs, &err) ||
	     aq_refs_count(refs, NULL, &n, &err)))
		fail_msg("%s", err.text);
	return n + n_jobs;
}

static int add_workflow(const struct aq_workflow_state *w, void *arg,
			struct aq_err *err)
{
	struct aq_str *out = arg;

	(void)err;
	aq_str_add_fmt(out, "%s%u/%s", out->len ? " " : "", w->uid, w->name);
	return 0;
}

const char *node_workflows(void)
{
	static char text[4096];
	static struct aq_err err;
	cleanup_str struct aq_str out = AQ_STR_INIT(sizeof(text) - 1);
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_store struct aq_store *store = NULL;

	if (aq_conf_load(strchr(plugstack, '=') + 1, "n1", &conf, &err) ||
	    aq_store_open(conf, AQ_STORE_READ, &store, &err) ||
	    aq_store_each_workflow(store, AQ_WORKFLOWS_ALL, NULL, add_workflow,
				   &out, &err))
		fail_msg("%s", err.text);
	snprintf(text, sizeof(text), "%s", aq_str_get(&out));
	return text;
}

int node_setup(void **state)
{
	static char build[2048]; /* where we were started */
	char conf[8300];

	(void)state;
	if (!build[0])
		assert_non_null(getcwd(build, sizeof(build)));
	snprintf(dir, sizeof(dir), "%s/tests/fake/node.XXXXXX", build);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_non_null(getcwd(dir, sizeof(dir)));
	snprintf(plugstack, sizeof(plugstack), "config=%s/aq.conf", dir);
	snprintf(conf, sizeof(conf),
		 "cache_dir = %s/lib\nrun_dir = %s/run\n"
		 "channels = conda-forge=https://mirror.example/conda-forge\n",
		 dir, dir);
	node_write("aq.conf", conf);
	node_write("a.yaml", "channels: [conda-forge]\ndependencies: [python=3.9]\n"
			     "variables: {WHICH: a}\n");
	node_write("bad.yaml", "nonsense: 1\n");
	node_write("impossible.yaml", "channels: [conda-forge]\n"
				      "dependencies: [impossible]\n");
	node_write("killed.yaml", "channels: [conda-forge]\n"
				  "dependencies: [killed]\n");
	fake_new();
	fake->plugstack = plugstack;
	return 0;
}

int node_teardown(void **state)
{
	(void)state;
	fake_free();
	assert_int_equal(chdir("/"), 0);
	node_remove_tree(dir);
	return 0;
}
