/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin's hooks do of a job (common/phases.h), with each call of the C
 * library failing once: a job gets its environment or is told that there is none, and
 * nothing of it is left.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/key.h"
#include "common/phases.h"
#include "common/private.h"
#include "common/share.h"
#include "common/user_size.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"

#define JOB 7
#define UID 1 /* daemon is everywhere */

static const char shared[] = "aq-request 1\nchannel conda-forge\n"
			     "conda demo ==1\n";
static const char private[] = "aq-request 1\npython 3.9.*\n"
			      "pip a @ git+https://h.example/a@"
			      "0123456789abcdef0123456789abcdef01234567\n";

struct node {
	struct aq_conf *site;
	struct aq_conf *conf; /* as hooks read it */
	struct sample *env;
	struct aq_answer *answer;
	char conf_path[512];
	char prefix[512];
	int lease;
};

/* -- a node with one environment -- */

static void write_conf(struct node *n)
{
	FILE *f;

	snprintf(n->conf_path, sizeof(n->conf_path), "%s.conf",
		 n->site->cache_dir);
	f = fopen(n->conf_path, "we");
	assert_non_null(f);
	fprintf(f, "cache_dir = %s\nrun_dir = %s\nuser_quota = 1G\n"
		   "channels = conda-forge=https://mirror.example/conda-forge\n"
		   "policy = vcs=private\n",
		n->site->cache_dir, n->site->run_dir);
	fclose(f);
	assert_int_equal(chmod(n->conf_path, 0644), 0);
}

static void commit(struct node *n)
{
	const struct aq_domain domain = { .kind = AQ_SHARED };
	cleanup_store struct aq_store *store = NULL;
	cleanup_request struct aq_request *req = NULL;
	cleanup_free char *context = NULL;
	char key[AQ_SHA256_HEX_SIZE];

	assert_int_equal(aq_request_parse(shared, strlen(shared), n->conf, &req,
					  NULL), 0);
	assert_int_equal(aq_key_context(n->conf, &domain, NULL, &context, NULL), 0);
	assert_int_equal(aq_key(req, context, key, NULL), 0);
	n->env->tie = (struct aq_binding){ .key = key, .digest = req->digest,
					   .context = context,
					   .canonical = req->canonical };
	assert_int_equal(aq_store_open(n->conf, AQ_STORE_WRITE, &store, NULL), 0);
	assert_int_equal(aq_store_commit(store, &n->env->env, &n->env->tie, NULL),
			 0);
}

static void begin(struct node *n, void **state)
{
	struct aq_err err;

	*n = (struct node){ .site = *state, .env = sample(1, 1), .lease = -1 };
	n->answer = calloc(1, sizeof(*n->answer));
	assert_non_null(n->answer);
	write_conf(n);
	if (aq_conf_load(n->conf_path, "n1", &n->conf, &err) != 0)
		fail_msg("%s", err.text);
	snprintf(n->prefix, sizeof(n->prefix), "%s/envs/%s", n->site->cache_dir,
		 n->env->env.name);
	assert_int_equal(mkdir(n->prefix, 0755), 0);
	commit(n);
}

static void end(struct node *n)
{
	sample_free(n->env);
	free(n->answer);
	aq_conf_free(n->conf);
	assert_int_equal(unlink(n->conf_path), 0);
}

/* -- the parts of a life -- */

static int submit(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(16);
	struct aq_submit s = { .conf_path = n->conf_path, .snapshot = shared,
			       .canonical = &text, .warnings = &warnings };

	return aq_phase_submit(&s, err);
}

static struct aq_stage make_stage(struct node *n, const char *canonical)
{
	memset(n->answer, 0, sizeof(*n->answer));
	return (struct aq_stage){ .conf_path = n->conf_path, .node = "n1",
				  .step = { JOB, 0, UINT32_MAX }, .uid = UID,
				  .canonical = canonical,
				  .canonical_len = strlen(canonical),
				  .answer = n->answer, .ret_lease_fd = -1 };
}

/* A hit is that environment, whatever failed. */
static int stage(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	struct aq_stage s = make_stage(n, shared);
	int rc = aq_phase_stage(&s, err);

	n->lease = s.ret_lease_fd;
	if (!rc) {
		assert_true(aq_answer_is_sound(n->answer));
		assert_string_equal(n->answer->prefix, n->prefix);
	}
	return rc;
}

static int release(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	int rc = n->lease < 0 ? 0 : aq_lease_end(n->lease, err);

	aq_close_fd(&n->lease);
	return rc;
}

/* Of its user's own, in which nothing is yet. */
static int stage_private(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	struct aq_stage s = make_stage(n, private);
	int rc;

	if (geteuid() != 0)
		return 0;
	rc = aq_phase_stage(&s, err);
	assert_int_not_equal(rc, 0);
	n->lease = s.ret_lease_fd;
	return rc == AQ_MISS ? 0 : rc;
}

static int forget(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	struct aq_stage s = make_stage(n, shared);

	s.workflow = (struct aq_workflow){ .name = "w", .uid = UID,
					   .submitted = 1, .is_removed = true };
	return aq_phase_forget(&s, err);
}

static int epilog(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	const struct aq_job job = { .conf_path = n->conf_path, .node = "n1",
				    .job = JOB, .uid = UID };

	return aq_phase_epilog(&job, err);
}

static int measure(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_claims struct aq_claims claims = { 0 };
	uint64_t size = 0;
	int rc = aq_user_size(n->conf, UID, &size, err);

	return rc ? rc : aq_claims_add(&claims, n->conf, err);
}

static void check(void *arg)
{
	const struct node *n = arg;

	assert_int_equal(calls_entries(n->site->run_dir, "leases"), 0);
	assert_int_equal(calls_entries(n->site->run_dir, "jobs"), 0);
}

static void let_go(void *arg)
{
	struct node *n = arg;

	aq_close_fd(&n->lease); /* as when slurmstepd ends */
}

static void hooks_whose_calls_fail(void **state)
{
	static const struct calls_part parts[] = {
		{ "submit", submit },
		{ "stage", stage },
		{ "release", release },
		{ "stage again", stage }, /* known by now */
		{ "release", release },
		{ "stage private", stage_private },
		{ "release", release },
		{ "forget", forget },
		{ "epilog", epilog },
		{ "measure", measure },
	};
	static const struct calls_life life = { parts, ARRAY_LEN(parts), let_go,
						check };
	struct node n;

	begin(&n, state);
	calls_all_fail(&life, &n);
	end(&n);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hooks_whose_calls_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
