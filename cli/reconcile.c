/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "cli/program.h"
#include "common/grow.h"
#include "common/job.h"
#include "common/refs.h"

#define LIMIT_MS 60000 /* a busy slurmctld answers late */
#define OUTPUT_MAX (16 * 1024 * 1024) /* bytes; a million jobs */
#define JOBS_MAX 1000000

/* %A: each element of an array has its own id (squeue(1)). */
static const char *const squeue[] = { "squeue", "--noheader", "--all",
				      "--format=%A", NULL };

struct known {
	struct job {
		uint32_t id;
		bool is_alive; /* Slurm lists it */
	} *v;
	size_t n;
	const struct aq_conf *conf;
};

static struct job *find(const struct known *k, uint32_t id)
{
	/* references come sorted */
	for (size_t i = k->n; i-- > 0;)
		if (k->v[i].id == id)
			return &k->v[i];
	return NULL;
}

static int add(struct known *k, uint32_t id, const char *node,
	       struct aq_err *err)
{
	if (strcmp(node, k->conf->node) != 0 || find(k, id))
		return 0;
	if (!aq_grow(k->v, k->n, JOBS_MAX))
		return aq_fail_errno(err, "cannot list the jobs");
	k->v[k->n++] = (struct job){ .id = id };
	return 0;
}

static int add_ref(const struct aq_lease *ref, void *arg, struct aq_err *err)
{
	return add(arg, ref->step.job, ref->node, err);
}

static int add_mark(uint32_t job, const char *node, const char *digest,
		    void *arg, struct aq_err *err)
{
	(void)digest;
	return add(arg, job, node, err);
}

static void note(struct known *k, uint32_t id)
{
	struct job *job = find(k, id);

	if (job)
		job->is_alive = true;
}

static int ask_slurm(struct known *k, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	int rc = program_run(squeue, NULL, LIMIT_MS, &out, err);

	if (rc)
		return aq_fail_prefix(err, "whether jobs still exist is not known");
	for (const char *line = aq_str_get(&out); *line;
	     line = aq_next_line(line))
		note(k, (uint32_t)strtoul(line, NULL, 10));
	return 0;
}

int reconcile(const struct aq_conf *conf, uint64_t *ret_n, struct aq_err *err)
{
	struct known k = { .conf = conf };
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_refs_open(conf, &refs, err);

	/* references first: a job that is added now is known to Slurm then */
	if (!rc)
		rc = aq_refs_each(refs, add_ref, &k, err);
	if (!rc)
		rc = aq_job_each(conf, add_mark, &k, err);
	if (!rc && k.n)
		rc = ask_slurm(&k, err);
	for (size_t i = 0; !rc && i < k.n; i++) {
		if (k.v[i].is_alive)
			continue;
		rc = aq_refs_drop_job(refs, k.v[i].id, err);
		if (!rc)
			rc = aq_job_unmark(conf, k.v[i].id, err);
		++*ret_n;
	}
	free(k.v);
	return rc;
}
