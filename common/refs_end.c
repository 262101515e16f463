/* SPDX-License-Identifier: Apache-2.0 */
/* How references end that nobody dropped: by the job's epilog, or later.
 *
 * A step's slurmstepd ends its lease itself.  One that is free and has not
 * ended is of a slurmstepd that was killed, whose tasks may run on: their
 * environment stays for as long as a process uses it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/procs.h"
#include "common/refs_inside.h"
#include "common/store.h"

/* Leases that end at once: an epilog has two seconds, and each takes some 30 us; the
 * next one goes on, and so does who collects, until there are none.
 */
#define LEASES_MAX 10000

struct lefts {
	const struct aq_conf *conf;
	bool is_of_all; /* jobs that have had their epilog; else 'job' */
	uint32_t job; /* or the last one that was looked at: */
	bool is_known, is_over;
	struct aq_lease *v;
	size_t n, n_gone;
};

/* Many may be of the one job that is none of this: they cost a look at their name. */
static bool is_left(const struct aq_lease *lease, void *arg)
{
	struct lefts *l = arg;

	if (strcmp(lease->node, l->conf->node) != 0)
		return false;
	if (!l->is_of_all)
		return lease->step.job == l->job;
	if (lease->step.job != l->job || !l->is_known) {
		l->job = lease->step.job;
		l->is_known = true;
		/* one whose mark is there has not had its epilog */
		l->is_over = !aq_job_is_marked(l->conf, l->job);
	}
	return l->is_over;
}

static int add_left(const struct aq_lease *lease, void *arg, struct aq_err *err)
{
	struct lefts *l = arg;

	if (l->n == LEASES_MAX)
		return AQ_BUSY; /* another time */
	if (!aq_grow(l->v, l->n, LEASES_MAX))
		return aq_fail_errno(err, "cannot list the leases");
	l->v[l->n++] = *lease;
	return 0;
}

/* By environment, so that processes are looked at once for each. */
static int by_env(const void *a, const void *b)
{
	return strcmp(((const struct aq_lease *)a)->env,
		      ((const struct aq_lease *)b)->env);
}

/* A step whose lease is held still runs (an epilog can come early, when slurmctld
 * gave the job up).
 */
static int remove_over(struct lefts *l, struct aq_err *err)
{
	const char *env = "";
	bool is_used = false;
	int rc = 0;

	for (size_t i = 0; i < l->n && (!rc || rc == AQ_BUSY); i++) {
		const struct aq_lease *left = &l->v[i];

		if (left->state == AQ_LEASE_HOLDS && *left->env &&
		    strcmp(env, left->env) != 0) {
			is_used = aq_procs_use(l->conf, left->env);
			env = left->env;
		}
		if (left->state != AQ_LEASE_HOLDS || !*left->env || !is_used)
			rc = aq_lease_remove_free(l->conf, &left->step, err);
		else
			continue;
		l->n_gone += rc == 0;
	}
	return rc == AQ_BUSY ? 0 : rc;
}

static int sweep(struct lefts *l, struct aq_err *err)
{
	int rc = aq_lease_each_of(l->conf, is_left, add_left, l, err);

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_env);
	if (!rc || rc == AQ_BUSY)
		rc = remove_over(l, err);
	free(l->v);
	return rc;
}

int aq_refs_drop_job(struct aq_refs *refs, uint32_t job, struct aq_err *err)
{
	struct lefts l = { .conf = refs->conf, .job = job };

	return sweep(&l, err);
}

int aq_refs_sweep(struct aq_refs *refs, struct aq_err *err)
{
	struct lefts l = { .conf = refs->conf, .is_of_all = true };

	return sweep(&l, err);
}

int aq_refs_sweep_all(struct aq_refs *refs, struct aq_err *err)
{
	struct lefts l;
	int rc;

	do {
		l = (struct lefts){ .conf = refs->conf, .is_of_all = true };
		rc = sweep(&l, err);
	} while (!rc && l.n == LEASES_MAX && l.n_gone);
	return rc;
}
