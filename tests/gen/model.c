/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gen/model.h"

#include <string.h>

const char *const gen_ops[4] = { ">=", "<", "!=", "<=" };
const char *const gen_names[N_NAMES] = {
	"numpy",  "scipy",	 "py-x.z", "a",	   "python-dateutil",
	"r-base", "ruamel.yaml", "zlib",   "x264", "scikit-learn",
	"_mutex", "n1"
};
const char *const gen_builds[N_BUILDS] = { "", "py39_0", "h12ab_1", "py3*",
					   "*mkl*" };
const char *const gen_extras[N_EXTRAS] = { "all", "gpu-x", "test" };
const char *const gen_channels[N_CHANNELS] = { "conda-forge", "bioconda",
					       "pytorch" };

uint32_t rng_below(struct rng *r, uint32_t n)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)((r->state * 2685821657736338717ull) >> 33) % n;
}

bool rng_chance(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static int below(struct rng *r, int n)
{
	return (int)rng_below(r, (uint32_t)n);
}

static void make_version(struct rng *r, struct version *v)
{
	v->n = 1 + below(r, 3);
	for (int i = 0; i < 3; i++)
		v->part[i] = below(r, 12);
	v->part[v->n - 1]++; /* a last zero may be no difference (PEP 440) */
	v->pre = rng_chance(r, 10) ? 1 + below(r, 3) : 0;
}

static void make_wanted(struct rng *r, struct wanted *w)
{
	w->form = (enum form)below(r, FORM_EITHER + 1);
	w->n = w->form == FORM_ANY	? 0
	       : w->form == FORM_RANGE	? 1 + below(r, MAX_CONDITIONS)
	       : w->form == FORM_EITHER ? 2
					: 1;
	for (int i = 0; i < w->n; i++) {
		/* each operator once: no two conditions are the same */
		w->c[i].op = i;
		make_version(r, &w->c[i].v);
		if (w->form == FORM_PREFIX)
			w->c[i].v.pre = 0;
	}
}

/* A name that the list does not have yet. */
static int fresh_name(struct rng *r, const struct package *list, int n)
{
	for (;;) {
		int name = below(r, N_NAMES), i = 0;

		while (i < n && list[i].name != name)
			i++;
		if (i == n)
			return name;
	}
}

static void make_conda(struct rng *r, struct model *m)
{
	struct package *p = &m->conda[m->n_conda];

	memset(p, 0, sizeof(*p));
	p->name = fresh_name(r, m->conda, m->n_conda);
	make_wanted(r, &p->wanted);
	p->build = p->wanted.form != FORM_EITHER && rng_chance(r, 20)
			   ? 1 + below(r, N_BUILDS - 1)
			   : 0;
	p->channel = rng_chance(r, 15) ? below(r, N_CHANNELS) : -1;
	m->n_conda++;
}

static void make_pip(struct rng *r, struct model *m)
{
	struct package *p = &m->pip[m->n_pip];

	memset(p, 0, sizeof(*p));
	do
		p->name = fresh_name(r, m->pip, m->n_pip);
	while (gen_names[p->name][0] == '_'); /* PEP 508 has none such */
	do
		make_wanted(r, &p->wanted);
	while (p->wanted.form == FORM_EITHER); /* nor alternatives */
	p->extras = rng_chance(r, 30) ? rng_below(r, 1u << N_EXTRAS) : 0;
	p->marker = rng_chance(r, 25) ? 1 + below(r, N_MARKERS - 1) : 0;
	p->channel = -1;
	m->n_pip++;
}

static void make_variable(struct rng *r, struct model *m)
{
	bool taken = true;

	while (taken) {
		m->variables[m->n_variables].name = below(r, 100);
		taken = false;
		for (int i = 0; i < m->n_variables; i++)
			taken |= m->variables[i].name ==
				 m->variables[m->n_variables].name;
	}
	m->variables[m->n_variables++].value = below(r, 1000);
}

/* A lower bound above the upper one would be refused. */
static void order_python(struct model *m)
{
	struct wanted *w = &m->python;

	if (m->has_python && w->form == FORM_RANGE && w->n >= 2 &&
	    w->c[0].v.part[0] >= w->c[1].v.part[0])
		w->c[1].v.part[0] = w->c[0].v.part[0] + 1;
}

void model_make(struct rng *r, struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->has_python = rng_chance(r, 60);
	if (m->has_python)
		make_wanted(r, &m->python);
	for (int i = 0; i < N_CHANNELS; i++)
		m->channels[i] = i;
	for (int i = N_CHANNELS - 1; i > 0; i--) {
		int j = below(r, i + 1), was = m->channels[i];

		m->channels[i] = m->channels[j];
		m->channels[j] = was;
	}
	m->n_channels = below(r, N_CHANNELS + 1);
	for (int n = below(r, MAX_LIST); n > 0; n--)
		make_conda(r, m);
	for (int n = below(r, MAX_LIST); n > 0; n--)
		make_pip(r, m);
	for (int n = below(r, MAX_LIST); n > 0; n--)
		make_variable(r, m);
	if (!m->n_conda && !m->has_python)
		make_conda(r, m);
	order_python(m);
}

/* -- one change of meaning; each returns NULL if it does not apply -- */

static const char *change_wanted(struct rng *r, struct wanted *w, bool pip)
{
	struct version *v = &w->c[0].v;

	if (w->form == FORM_ANY) {
		w->form = FORM_EXACT;
		w->n = 1;
		make_version(r, v);
		return "any version became one";
	}
	if (w->form == FORM_PREFIX && rng_chance(r, 50)) {
		w->form = FORM_EXACT;
		return "a prefix became exact";
	}
	if (w->form == FORM_RANGE && w->n == 1 && rng_chance(r, 50)) {
		w->c[0].op = 3 - w->c[0].op;
		return "an operator changed";
	}
	if (w->form == FORM_EITHER && rng_chance(r, 50)) {
		w->form = FORM_RANGE;
		return "or became and";
	}
	if (v->n < 3 && !v->pre && rng_chance(r, 50)) {
		/* 1.2 became 1.2.0: a difference to conda, not to pip */
		v->part[v->n++] = pip ? 1 : 0;
		return "a component was added";
	}
	v->part[v->n - 1] += 10; /* 1 became 11: also a prefix as text */
	return "a version changed";
}

static const char *change_conda(struct rng *r, struct model *m)
{
	struct package *p;

	if (!m->n_conda)
		return NULL;
	p = &m->conda[below(r, m->n_conda)];
	switch (below(r, 4)) {
	case 0:
		if (p->wanted.form == FORM_EITHER)
			return NULL;
		p->build = (p->build + 1 + below(r, N_BUILDS - 1)) % N_BUILDS;
		return "a build string changed";
	case 1:
		p->channel = p->channel < 0 ? below(r, N_CHANNELS) : -1;
		return "a spec's channel changed";
	case 2:
		p->name = fresh_name(r, m->conda, m->n_conda);
		return "a conda package's name changed";
	default:
		return change_wanted(r, &p->wanted, false);
	}
}

static const char *change_pip(struct rng *r, struct model *m)
{
	struct package *p;

	if (!m->n_pip)
		return NULL;
	p = &m->pip[below(r, m->n_pip)];
	switch (below(r, 3)) {
	case 0:
		p->extras ^= 1u << rng_below(r, N_EXTRAS);
		return "an extra changed";
	case 1:
		p->marker =
			(p->marker + 1 + below(r, N_MARKERS - 1)) % N_MARKERS;
		return "a marker changed";
	default:
		return change_wanted(r, &p->wanted, true);
	}
}

static const char *change_channels(struct rng *r, struct model *m)
{
	int was = m->channels[0];

	if (m->n_channels >= 2 && rng_chance(r, 70)) {
		m->channels[0] = m->channels[1];
		m->channels[1] = was;
		return "two channels changed places";
	}
	if (m->n_channels < N_CHANNELS) {
		m->n_channels++;
		return "a channel was added";
	}
	m->n_channels--;
	return "a channel was removed";
}

static const char *change_variables(struct rng *r, struct model *m)
{
	if (m->n_variables && rng_chance(r, 50)) {
		m->variables[0].value++;
		return "a variable's value changed";
	}
	if (m->n_variables && rng_chance(r, 50)) {
		m->n_variables--;
		return "a variable was removed";
	}
	if (m->n_variables == MAX_LIST)
		return NULL;
	make_variable(r, m);
	return "a variable was added";
}

static const char *change_lists(struct rng *r, struct model *m)
{
	if (rng_chance(r, 30) && m->n_conda < MAX_LIST) {
		make_conda(r, m);
		return "a conda package was added";
	}
	if (rng_chance(r, 30) && m->n_pip < MAX_LIST) {
		make_pip(r, m);
		return "a requirement was added";
	}
	if (m->n_conda > 1) {
		m->n_conda--;
		return "a conda package was removed";
	}
	if (m->n_pip > 1) {
		m->n_pip--;
		return "a requirement was removed";
	}
	return NULL;
}

const char *model_mutate(struct rng *r, struct model *m)
{
	for (;;) {
		const char *what = NULL;

		switch (below(r, 6)) {
		case 0:
			if (m->has_python)
				what = change_wanted(r, &m->python, false)
					       ? "Python's version changed"
					       : NULL;
			break;
		case 1:
			what = change_conda(r, m);
			break;
		case 2:
			what = change_pip(r, m);
			break;
		case 3:
			what = change_channels(r, m);
			break;
		case 4:
			what = change_variables(r, m);
			break;
		default:
			what = change_lists(r, m);
			break;
		}
		if (!what)
			continue;
		order_python(m);
		return what;
	}
}
