/* SPDX-License-Identifier: Apache-2.0 */
/* A job's life on a node, and what is looked at meanwhile, with each call of the C
 * library failing once: whatever each part says of it, nothing crashes, no descriptor
 * stays open, and the next job finds everything as it should be.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/index.h"
#include "common/job.h"
#include "common/layout.h"
#include "common/lease.h"
#include "common/manifest.h"
#include "common/notes.h"
#include "common/refs.h"
#include "common/trust.h"
#include "common/workflows.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/calls.h"

#define JOB 7
#define UID 1001

struct node {
	const struct aq_conf *conf;
	struct sample *env;
	int lease;
};

/* -- the parts of a life: what they say is 'rc', and all are tried -- */

static int prolog(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	int rc = aq_layout_prepare(n->conf, err);

	return rc ? rc : aq_job_hold(n->conf, JOB, n->env->digest, 0, err);
}

static int stage(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	const struct aq_step step = { JOB, 0, UINT32_MAX };
	int rc = aq_lease_acquire(n->conf, &step, &n->lease, err);

	if (rc)
		return rc;
	rc = aq_lease_write(n->lease, n->env->digest, "", err);
	if (!rc)
		rc = aq_lease_set_env(n->conf, &step, n->env->env.name, err);
	if (!rc)
		rc = aq_job_note_use(n->conf, JOB, n->env->env.name, 0, err);
	return rc ? rc : aq_job_note_refresh(n->conf, JOB, n->env->key, err);
}

/* Another's, whose slurmstepd was killed. */
static int killed(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	const struct aq_step step = { JOB, 1, UINT32_MAX };
	bool is_free = true;
	int rc = aq_lease_put(n->conf, &step, n->env->digest, err);

	return rc ? rc : aq_lease_is_free(n->conf, &step, &is_free, err);
}

static int count_lease(const struct aq_lease *lease, void *arg,
		       struct aq_err *err)
{
	(void)lease;
	(void)err;
	++*(unsigned int *)arg;
	return 0;
}

static int count_mark(uint32_t job, const char *node, const char *digest,
		      void *arg, struct aq_err *err)
{
	(void)job;
	(void)node;
	(void)digest;
	(void)err;
	++*(unsigned int *)arg;
	return 0;
}

static int look(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	unsigned int leases = 0, marks = 0;
	int rc = aq_lease_each(n->conf, count_lease, &leases, err);

	if (!rc)
		rc = aq_job_each(n->conf, count_mark, &marks, err);
	if (!rc)
		rc = aq_index_write(n->conf, err);
	return rc ? rc : aq_trust_path(n->conf->cache_dir, err);
}

static int release(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	int rc = n->lease < 0 ? 0 : aq_lease_end(n->lease, err);

	aq_close_fd(&n->lease);
	return rc;
}

static int epilog(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_strv struct aq_strv uses = AQ_STRV_INIT(AQ_JOB_USES_MAX);
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_tally tally = { 0 };
	int rc = aq_job_uses(n->conf, JOB, &uses, &tally, err);

	if (aq_job_unmark(n->conf, JOB, err) != 0)
		rc = AQ_SYS;
	if (aq_refs_open(n->conf, &refs, err) != 0)
		return AQ_SYS;
	if (aq_refs_note_uses(refs, &uses, 1, err) != 0)
		rc = AQ_SYS;
	if (aq_refs_add_tally(refs, NULL, 1, &tally, err) != 0)
		rc = AQ_SYS;
	if (aq_refs_drop_job(refs, JOB, err) != 0)
		rc = AQ_SYS;
	return aq_refs_sweep(refs, err) != 0 ? AQ_SYS : rc;
}

static int notes(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_store_open(n->conf, AQ_STORE_WRITE, &store, err);

	if (!rc)
		rc = aq_refs_open(n->conf, &refs, err);
	if (!rc)
		rc = aq_store_take_notes(n->conf, store, refs, err);
	return rc ? rc : aq_workflows_publish(n->conf, store, UID, 0, err);
}

static int build(void *arg, struct aq_err *err)
{
	struct node *n = arg;
	cleanup_manifest struct aq_manifest *m = NULL;
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_manifest_write(n->conf, &n->env->env, &n->env->tie,
				   n->env->lock, err);

	if (!rc)
		rc = aq_store_open(n->conf, AQ_STORE_EXAMINE, &store, err);
	if (!rc)
		rc = aq_store_commit(store, &n->env->env, &n->env->tie, err);
	if (!rc)
		rc = aq_manifest_rewrite(n->conf, &n->env->env, &n->env->tie,
					 err);
	return rc ? rc : aq_manifest_read(n->conf, n->env->env.name, &m, err);
}

static const struct calls_part parts[] = {
	{ "build", build },   { "prolog", prolog },   { "stage", stage },
	{ "killed", killed }, { "look", look },	      { "release", release },
	{ "epilog", epilog }, { "notes", notes },
};

/* -- what must be so afterwards -- */

static void begin(void *arg)
{
	struct node *n = arg;

	aq_close_fd(&n->lease); /* as when slurmstepd ends */
}

static void check(void *arg)
{
	const struct node *n = arg;

	assert_int_equal(calls_entries(n->conf->run_dir, "leases"), 0);
	assert_int_equal(calls_entries(n->conf->run_dir, "jobs"), 0);
}

static void a_life_whose_calls_fail(void **state)
{
	static const struct calls_life life = { parts, ARRAY_LEN(parts), begin,
						check };
	struct node n = { .conf = *state, .env = sample(1, 1), .lease = -1 };
	cleanup_free char *envs = path_below(n.conf->cache_dir, "envs");
	cleanup_free char *prefix = path_below(envs, n.env->env.name);

	assert_int_equal(mkdir(prefix, 0755), 0);
	calls_all_fail(&life, &n);
	sample_free(n.env);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_life_whose_calls_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
