/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/standing.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base.h"
#include "common/grow.h"
#include "common/job.h"

#define DIGESTS_MAX 1000000 /* requests of one environment */
/* slurm.h: SLURM_BATCH_SCRIPT, SLURM_INTERACTIVE_STEP, SLURM_EXTERN_CONT */
#define STEP_BATCH 0xfffffffb
#define STEP_INTERACTIVE 0xfffffffa
#define STEP_EXTERN 0xfffffffc

void standing_free(struct standing *s)
{
	aq_strv_free(&s->children);
	free(s->refs);
}

struct reading {
	const struct aq_env *env;
	struct aq_strv digests; /* that lead to it */
	struct standing *to;
};

static int add(struct standing *s, const struct standing_ref *ref,
	       struct aq_err *err)
{
	if (!aq_grow(s->refs, s->n_refs, STANDING_REFS_MAX))
		return aq_fail_errno(err, "cannot list the references");
	s->refs[s->n_refs++] = *ref;
	return 0;
}

static int add_step(const struct aq_lease *ref, void *arg, struct aq_err *err)
{
	const struct reading *r = arg;
	struct standing_ref new = { .step = ref->step,
				    .is_by_request = !*ref->env };

	if (*ref->env ? strcmp(ref->env, r->env->name) != 0 :
			!aq_strv_has(&r->digests, ref->digest))
		return 0;
	snprintf(new.node, sizeof(new.node), "%s", ref->node);
	return add(r->to, &new, err);
}

static int add_job(uint32_t job, const char *node, const char *digest,
		   void *arg, struct aq_err *err)
{
	const struct reading *r = arg;
	struct standing_ref new = { .step = { .job = job }, .is_job = true,
				    .is_by_request = true };

	if (!aq_strv_has(&r->digests, digest))
		return 0;
	snprintf(new.node, sizeof(new.node), "%s", node);
	return add(r->to, &new, err);
}

int standing_read(const struct cli *cli, struct aq_store *store,
		  const struct aq_env *env, struct standing *ret,
		  struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	struct reading r = { .env = env, .to = ret,
			     .digests = AQ_STRV_INIT(DIGESTS_MAX) };
	int rc = aq_refs_open_to_look(cli->conf, &refs, err);

	if (!rc)
		rc = aq_store_list_one(store, refs, env, &ret->listed, err);
	if (!rc)
		rc = aq_store_child_names(store, env->name, &ret->children,
					  err);
	if (!rc)
		rc = aq_store_digests(store, env->name, &r.digests, err);
	if (!rc)
		rc = aq_refs_each(refs, add_step, &r, err);
	if (!rc)
		rc = aq_job_each(cli->conf, add_job, &r, err);
	aq_strv_free(&r.digests);
	return rc;
}

/* As squeue(1) writes it: 12.0, 12.batch; "" for the job as a whole. */
static const char *step_name(const struct standing_ref *ref, char buf[16])
{
	if (ref->is_job)
		return "";
	switch (ref->step.step) {
	case STEP_BATCH:
		return "batch";
	case STEP_INTERACTIVE:
		return "interactive";
	case STEP_EXTERN:
		return "extern";
	default:
		snprintf(buf, 16, "%u", ref->step.step);
		return buf;
	}
}

void standing_print(const struct standing *s)
{
	char marks[ENV_MARKS_SIZE], step[16];

	if (*env_marks(&s->listed, marks))
		env_print_item("marked", env_marks(&s->listed, marks));
	for (size_t i = 0; i < s->n_refs; i++) {
		const struct standing_ref *r = &s->refs[i];
		const char *name = step_name(r, step);

		printf("%-12s%s %u%s%s on %s%s\n", i ? "" : "held by",
		       *name ? "step" : "job", r->step.job, *name ? "." : "",
		       name, r->node,
		       r->is_by_request ? ", with all that serves its request" : "");
	}
	for (size_t i = 0; i < s->children.n; i++)
		env_print_item(i ? "" : "children", s->children.v[i]);
}

void standing_write(struct json *j, const struct standing *s)
{
	char step[16];

	env_write_standing(j, &s->listed);
	json_open(j, "held_by", '[');
	for (size_t i = 0; i < s->n_refs; i++) {
		const struct standing_ref *r = &s->refs[i];
		const char *name = step_name(r, step);

		json_open(j, NULL, '{');
		json_number(j, "job", r->step.job);
		json_text(j, "step", *name ? name : NULL);
		json_text(j, "node", r->node);
		json_bool(j, "by_request", r->is_by_request);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_list(j, "inherited_by", &s->children);
}
