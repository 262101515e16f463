/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations, requests, files and workers, with each call of the C library failing
 * once: what comes back is all of it, or an error.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/request.h"
#include "common/worker.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"
#include "tests/unit/example_conf.h"

/* -- aq.conf -- */

static const char all_keys[] =
	"cache_dir = /srv/%n/%h/aq\nrun_dir = /run/aq-%n\n"
	"channels = conda-forge=https://mirror.example/conda-forge\n"
	"base = 3.9=/etc/slurm/base.yaml\nproxy = http://h:1\n"
	"find_links = /srv/wheels\nmax_size = 10G\nmax_age = 2592000\n"
	"policy = vcs=private\n";

static char file[] = "/tmp/aq-test-calls-XXXXXX";

static void write_file(const char *text)
{
	int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 || fchmod(fd, 0644) < 0 || close(fd) < 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file);
}

static int load(void *arg, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(file, "n1", &conf, err);

	(void)arg;
	if (rc)
		assert_null(conf);
	else
		assert_string_equal(conf->run_dir, "/run/aq-n1");
	return rc;
}

static int load_ones_own(void *arg, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load_personal(file, &conf, err);

	(void)arg;
	if (!rc)
		assert_int_equal(conf->n_channels, 1);
	return rc;
}

static void a_configuration_is_read_or_not(void **state)
{
	static const struct calls_part parts[] = {
		{ "load", load },
		{ "load one's own", load_ones_own },
	};
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL, NULL };
	struct aq_err err;

	(void)state;
	write_file(all_keys);
	if (load(NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(setenv("XDG_CACHE_HOME", "/tmp", 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "/tmp", 1), 0);
	calls_all_fail(&life, NULL);
}

/* What a hook's own process says its node is called. */
static void a_node_s_name_is_part_of_a_path(void **state)
{
	static const char *const bad[] = { "a/b", "..", "." };
	cleanup_conf struct aq_conf *conf = NULL;

	(void)state;
	write_file("cache_dir = /srv/%n\nrun_dir = /run/%n\n"
		   "channels = a=https://mirror.example/a//\n");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_not_equal(aq_conf_load(file, bad[i], &conf, NULL), 0);
	assert_null(conf);
	assert_int_equal(unsetenv("SLURMD_NODENAME"), 0);
	/* the host's name */
	assert_int_equal(aq_conf_load(file, "", &conf, NULL), 0);
	assert_true(strlen(conf->cache_dir) > strlen("/srv/"));
	assert_string_equal(conf->channels[0].url, "https://mirror.example/a");
}

static void who_has_no_home_has_no_cache(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;

	(void)state;
	assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
	assert_int_equal(setenv("HOME", "relative", 1), 0);
	assert_int_not_equal(aq_conf_load_personal(file, &conf, NULL), 0);
	assert_int_equal(unsetenv("HOME"), 0);
	assert_int_not_equal(aq_conf_load_personal(file, &conf, NULL), 0);
	assert_null(conf);
	assert_int_equal(setenv("HOME", "/tmp", 1), 0);
	assert_int_equal(aq_conf_load_personal(file, &conf, NULL), 0);
	assert_true(aq_starts_with(conf->cache_dir, "/tmp/.cache/"));
}

/* -- requests -- */

static char digest[AQ_SHA256_HEX_SIZE];

static int read_request(void *arg, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(64);
	int rc = aq_request_read(file, &example_conf, &req, &warnings, err);

	(void)arg;
	if (rc)
		return rc;
	if (!*digest)
		memcpy(digest, req->digest, sizeof(digest));
	assert_string_equal(req->digest, digest);
	rc = aq_request_isolate(req, err);
	if (!rc)
		assert_string_not_equal(req->digest, digest);
	return rc;
}

static const char included[] =
	"numpy>=2 # a comment\n"
	"--no-binary six,numpy\n"
	"scipy ; \\\n python_version > '3'\n";

static void a_request_is_another_ones_never(void **state)
{
	struct aq_err err;
	static const struct calls_part parts[] = { { "read", read_request } };
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL, NULL };
	char more[64], text[512];

	(void)state;
	snprintf(more, sizeof(more), "%s.more", file);
	scribble(more, 0, included, strlen(included));
	snprintf(text, sizeof(text),
		 "channels: [conda-forge]\n"
		 "dependencies:\n- python=3.10\n- bioconda::samtools\n"
		 "- pip: ['-r %s', 'six']\nvariables: {A: b}\n", more);
	write_file(text);
	example_conf.policy[AQ_INPUT_SOURCE] = AQ_POLICY_PRIVATE;
	if (read_request(NULL, &err) != 0)
		fail_msg("%s", err.text);
	calls_all_fail(&life, NULL);
	assert_int_equal(unlink(more), 0);
}

/* -- files -- */

static int make_files(void *arg, struct aq_err *err)
{
	cleanup_close int dir = -1, below = -1;
	cleanup_str struct aq_str text = AQ_STR_INIT(64);
	const struct aq_conf *conf = arg;
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &dir, err);

	if (!rc)
		rc = aq_make_dir(dir, "tree", 0755, err);
	if (!rc)
		rc = aq_make_dir(dir, "tree/deep", 0700, err);
	if (!rc)
		rc = aq_open_below(dir, "tree/deep", &below, err);
	if (!rc)
		rc = aq_write_file(below, "a", "one", 3, err);
	if (!rc)
		rc = aq_replace_file(below, "a", "two", 3, err);
	if (!rc)
		rc = aq_sync_dir(below, err);
	if (!rc)
		rc = aq_read_file(below, "a", &text, err);
	if (!rc)
		assert_string_equal(aq_str_get(&text), "two");
	return rc;
}

static int remove_files(void *arg, struct aq_err *err)
{
	const struct aq_conf *conf = arg;
	cleanup_close int dir = -1;
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &dir, err);

	return rc ? rc : aq_remove_tree(dir, "tree", err);
}

static void expect_removed(void *arg)
{
	const struct aq_conf *conf = arg;
	cleanup_free char *tree = path_below(conf->cache_dir, "tree");

	assert_int_not_equal(access(tree, F_OK), 0);
}

static void a_file_is_written_or_not(void **state)
{
	static const struct calls_part parts[] = {
		{ "make", make_files },
		{ "remove", remove_files },
	};
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL,
					 expect_removed };

	calls_all_fail(&life, *state);
}

/* -- workers -- */

static int work(void *arg, struct aq_err *err)
{
	++*(unsigned int *)arg;
	return aq_fail(err, AQ_MISS, "done");
}

/* What comes back is what it said, and that only if it was done. */
static int run_worker(void *arg, struct aq_err *err)
{
	unsigned int *done = arg, before = *done;
	int rc = aq_worker_run(work, arg, 60000, -1, err);

	if (rc == AQ_MISS) {
		assert_string_equal(err->text, "done");
		assert_int_equal(*done, before + 1);
		return 0;
	}
	assert_int_equal(rc, AQ_SYS);
	return rc;
}

static void a_worker_reports_or_has_failed(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_OPEN,   FAULT_READ,
						 FAULT_FORK,   FAULT_RIGHTS,
						 FAULT_SIGNAL, FAULT_DISK };
	static const struct calls_part parts[] = { { "work", run_worker } };
	const struct calls_life life = { parts, ARRAY_LEN(parts), NULL, NULL };
	struct {
		struct faults plan;
		unsigned int done;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(shared, MAP_FAILED);
	faults_share(&shared->plan); /* with its processes */
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		calls_each_fails(&life, &shared->done, kinds[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_written_or_not,
						cachedir_setup,
						cachedir_teardown),
		cmocka_unit_test(a_configuration_is_read_or_not),
		cmocka_unit_test(a_node_s_name_is_part_of_a_path),
		cmocka_unit_test(who_has_no_home_has_no_cache),
		cmocka_unit_test(a_request_is_another_ones_never),
		cmocka_unit_test(a_worker_reports_or_has_failed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
