/* SPDX-License-Identifier: Apache-2.0 */
/* How references end that nobody dropped: by the job's epilog, or later.
 *
 * A step's slurmstepd drops its reference itself.  What is still there when the
 * lease is free is of one that was killed, whose tasks may run on: their
 * environment stays for as long as a process uses it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/grow.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/procs.h"
#include "common/refs_inside.h"
#include "common/store.h"

#define PATH_SIZE 1024
/* The steps of one job: Slurm's MaxStepCount is 40,000 by default. */
#define STEPS_MAX 65536

struct left {
	struct aq_step step;
	char env[AQ_ENV_NAME_SIZE]; /* or "" */
};
struct lefts {
	struct left *v;
	size_t n;
};

static int add_left(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct lefts *l = arg;
	struct left *new;

	if (!aq_grow(l->v, l->n, STEPS_MAX))
		return aq_fail_errno(err, "cannot read the steps of a job");
	new = &l->v[l->n++];
	new->step = (struct aq_step){ (uint32_t)aq_db_number(row, 0),
				      (uint32_t)aq_db_number(row, 1),
				      (uint32_t)aq_db_number(row, 2) };
	if (!aq_copy_text(new->env, sizeof(new->env), aq_db_text(row, 3)))
		return aq_fail(err, AQ_CORRUPT, "a reference is damaged");
	return 0;
}

/* By environment, so that processes are looked at once for each. */
static int read_left(struct aq_refs *refs, const char *where,
		     const struct aq_db_value *values, size_t n,
		     struct lefts *ret, struct aq_err *err)
{
	char sql[256];
	int rc;

	snprintf(sql, sizeof(sql),
		 "SELECT job, step, het, env FROM refs WHERE %s ORDER BY env",
		 where);
	rc = aq_db_run(refs->db, sql, values, n, add_left, ret, err);
	return rc == AQ_MISS ? 0 : rc;
}

/* Leave in 'l' what has ended, or is over and used by no process.  A step whose
 * lease is held still runs (an epilog can come early, when slurmctld gave the job
 * up).  /proc is long: the references are not locked meanwhile.
 */
static int keep_over(struct aq_refs *refs, struct lefts *l, struct aq_err *err)
{
	const char *env = "";
	cleanup_close int leases = -1;
	bool is_used = false, is_free;
	size_t n = 0;
	int rc = l->n ? aq_lease_open_all(refs->conf, &leases, err) : 0;

	if (rc)
		return rc;
	for (size_t i = 0; i < l->n; i++) {
		struct left *left = &l->v[i];

		rc = aq_lease_is_free(refs->conf, &left->step, &is_free, err);
		if (rc)
			return rc;
		if (!is_free)
			continue;
		if (aq_lease_has_ended(leases, &left->step, refs->conf->node)) {
			l->v[n++] = *left;
			continue;
		}
		if (strcmp(env, left->env) != 0)
			is_used = aq_procs_use(refs->conf, left->env);
		env = left->env;
		if (!*env || !is_used)
			l->v[n++] = *left;
	}
	l->n = n;
	return 0;
}

/* Unless it began anew meanwhile: a requeued job has the same ids. */
static int drop_over(struct aq_refs *refs, const struct lefts *l,
		     struct aq_err *err)
{
	int rc = l->n ? aq_db_begin(refs->db, err) : 0;

	if (rc || !l->n)
		return rc;
	for (size_t i = 0; !rc && i < l->n; i++) {
		bool is_free = false;

		rc = aq_lease_is_free(refs->conf, &l->v[i].step, &is_free,
				      err);
		if (!rc && is_free)
			rc = aq_refs_drop(refs, &l->v[i].step, err);
	}
	return aq_db_end(refs->db, rc, err);
}

/* Rows first: a lease without a row is only a file. */
static int end(struct aq_refs *refs, struct lefts *l, struct aq_err *err)
{
	int rc = keep_over(refs, l, err);

	if (!rc)
		rc = drop_over(refs, l, err);
	for (size_t i = 0; !rc && i < l->n; i++)
		rc = aq_lease_sweep(refs->conf, l->v[i].step.job, err);
	return rc;
}

int aq_refs_drop_ended(struct aq_refs *refs, uint32_t job, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(refs->conf->node),
					      AQ_NUMBER(job) };
	cleanup_close int leases = -1;
	struct lefts l = { 0 };
	int rc = aq_lease_open_all(refs->conf, &leases, err);

	if (!rc)
		rc = read_left(refs, "node = ?1 AND job = ?2", values, 2, &l,
			       err);
	for (size_t i = 0; !rc && i < l.n; i++) {
		const struct aq_step *step = &l.v[i].step;

		if (!aq_lease_has_ended(leases, step, refs->conf->node))
			continue;
		rc = aq_refs_drop(refs, step, err);
		if (!rc) /* of one whose row stays after all it is as killed */
			rc = aq_lease_remove(leases, step, refs->conf->node,
					     err);
	}
	free(l.v);
	return rc;
}

int aq_refs_drop_job(struct aq_refs *refs, uint32_t job, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(refs->conf->node),
					      AQ_NUMBER(job) };
	struct lefts l = { 0 };
	int rc = read_left(refs, "node = ?1 AND job = ?2", values, 2, &l, err);

	if (!rc)
		rc = end(refs, &l, err);
	free(l.v);
	/* also what never had a row */
	return rc ? rc : aq_lease_sweep(refs->conf, job, err);
}

/* A job whose mark is there has not had its epilog. */
static void keep_unmarked(const struct aq_refs *refs, struct lefts *l)
{
	char mark[PATH_SIZE];
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		aq_job_mark_name(refs->conf, l->v[i].step.job, mark,
				 sizeof(mark));
		if (access(mark, F_OK) != 0)
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

int aq_refs_sweep(struct aq_refs *refs, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(refs->conf->node) };
	struct lefts l = { 0 };
	int rc = read_left(refs, "node = ?1", values, 1, &l, err);

	keep_unmarked(refs, &l);
	if (!rc)
		rc = end(refs, &l, err);
	free(l.v);
	return rc;
}
