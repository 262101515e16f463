/* SPDX-License-Identifier: Apache-2.0 */
/* What a builder does in a history. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/manifest.h"
#include "common/tally.h"
#include "tests/unit/history.h"

struct aq_step step_of(const struct model *m, const struct step *s)
{
	struct aq_step id = { .het = UINT32_MAX };

	for (uint32_t j = 0; j < JOBS; j++)
		if (s >= m->jobs[j].steps && s < m->jobs[j].steps + STEPS) {
			id.job = 100 + j;
			id.step = (uint32_t)(s - m->jobs[j].steps);
		}
	return id;
}

char *prefix_of(const struct model *m, const char *env)
{
	char name[AQ_ENV_NAME_SIZE + 8];

	snprintf(name, sizeof(name), "envs/%s", env);
	return path_below(m->conf->cache_dir, name);
}

/* Whose builder it is ties what it made; 'w': its step's workflow, or NULL. */
static void bind(struct model *m, struct aq_store *store, struct aq_refs *refs,
		 unsigned int n, const struct aq_workflow *w)
{
	struct sample *s = m->samples[n];

	s->tie.is_of_workflow = w && w->name[0];
	if (s->tie.is_of_workflow)
		note_workflow(m, refs, w, (int)n);
	else
		m->kept.is_plain[n] = true;
	assert_int_equal(aq_store_bind(store, s->env.name, &s->tie, NULL), 0);
}

static bool is_waited_for(const struct model *m, unsigned int n)
{
	for (size_t j = 0; j < JOBS; j++)
		for (size_t i = 0; i < STEPS; i++)
			if (m->jobs[j].steps[i].runs &&
			    m->jobs[j].steps[i].request == (int)n)
				return true;
	return false;
}

void build(struct model *m, unsigned int n)
{
	cleanup_store struct aq_store *store = store_of(m);
	cleanup_refs struct aq_refs *refs = refs_of(m);
	cleanup_env struct aq_env *there = NULL;
	struct sample *s = m->samples[n];
	bool has_asked = false, is_by_hand = below(m, 4) == 0;
	char *prefix;

	if (!is_by_hand && !is_waited_for(m, n))
		return;
	if (aq_store_find_key(store, s->key, &there, NULL) == AQ_MISS) {
		assert_int_equal(aq_store_next_generation(store, s->env.lock,
							  &s->env.generation,
							  NULL), 0);
		aq_env_make_name(s->env.lock, s->env.generation, s->env.name);
		s->env.kind = AQ_ENV_CREATED;
		s->env.base[0] = '\0';
		if (n >= REQUESTS / 2 && m->base[0]) {
			s->env.kind = AQ_ENV_INHERITED;
			memcpy(s->env.base, m->base, sizeof(s->env.base));
		}
		prefix = prefix_of(m, s->env.name);
		assert_int_equal(mkdir(prefix, 0755), 0);
		free(prefix);
		assert_int_equal(aq_manifest_write(m->conf, &s->env, &s->tie,
						   s->lock, NULL), 0);
		s->tie.is_of_workflow = true; /* until it is bound below */
		assert_int_equal(aq_store_commit(store, &s->env, &s->tie, NULL), 0);
		m->kept.is_plain[n] = false;
	} else {
		memcpy(s->env.name, there->name, sizeof(s->env.name));
	}
	for (size_t j = 0; j < JOBS; j++)
		for (size_t i = 0; i < STEPS; i++) {
			struct step *step = &m->jobs[j].steps[i];
			const struct aq_step id = step_of(m, step);

			if (step->runs && step->request == (int)n) {
				assert_int_equal(aq_refs_hold_built(
					refs, &id, s->env.name, 5,
					&(struct aq_tally){ 0 }, NULL), 0);
				memcpy(step->env, s->env.name, sizeof(step->env));
				step->request = NOBODY;
				step->is_noted = true;
				bind(m, store, refs, n, &step->workflow);
				has_asked = true;
			}
		}
	if (!has_asked || is_by_hand) /* aq build */
		bind(m, store, refs, n, NULL);
}
