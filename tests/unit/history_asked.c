/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/unit/history.h"

#include "common/notes.h"
#include "common/refs_asked.h"

unsigned int below(struct model *m, unsigned int n)
{
	m->seed = m->seed * 1103515245u + 12345u;
	return (m->seed >> 16) % n;
}

struct aq_refs *refs_of(struct model *m)
{
	struct aq_refs *refs = NULL;

	assert_int_equal(aq_refs_open(m->conf, &refs, NULL), 0);
	return refs;
}

struct aq_store *store_of(struct model *m)
{
	struct aq_store *store = NULL;

	assert_int_equal(aq_store_open(m->conf, AQ_STORE_WRITE, &store, NULL), 0);
	return store;
}

static void put(struct flow *f, uint64_t submitted, int request)
{
	if (submitted > f->submitted ||
	    (submitted == f->submitted && request != f->request))
		*f = (struct flow){ submitted, request };
}

bool is_there(struct aq_store *store, const struct sample *s)
{
	cleanup_env struct aq_env *env = NULL;

	return aq_store_find_key(store, s->key, &env, NULL) == 0;
}

void move(struct model *m, struct aq_store *store)
{
	for (int u = 0; u < USERS; u++)
		for (int f = 0; f < FLOWS; f++)
			if (m->noted.flows[u][f].submitted)
				put(&m->kept.flows[u][f],
				    m->noted.flows[u][f].submitted,
				    m->noted.flows[u][f].request);
	for (int i = 0; i < REQUESTS; i++) {
		bool is_any = is_there(store, m->samples[i]);

		m->kept.is_plain[i] |= m->noted.is_plain[i];
		m->kept.is_plain[i] &= is_any;
	}
	m->noted = (struct asked){ 0 };
}

bool is_wanted(const struct model *m, int n)
{
	bool is = m->kept.is_plain[n];

	for (int u = 0; u < USERS; u++)
		for (int f = 0; f < FLOWS; f++)
			is |= m->kept.flows[u][f].submitted &&
			      m->kept.flows[u][f].request == n;
	return is;
}

struct aq_workflow submit(struct model *m)
{
	struct aq_workflow w = { .uid = below(m, USERS) };

	w.name[0] = (char)('a' + below(m, FLOWS));
	w.submitted = ++m->n_submitted;
	if (below(m, 3) == 0)
		w.submitted -= below(m, (unsigned int)(w.submitted < 20 ?
						       w.submitted : 20));
	return w;
}

void note_workflow(struct model *m, struct aq_refs *refs,
			  const struct aq_workflow *w, int request)
{
	bool is_removed = request == NOBODY;
	const struct sample *s = is_removed ? NULL : m->samples[request];
	struct aq_workflow what = *w;

	what.is_removed = is_removed;
	assert_int_equal(aq_refs_ask(refs, &what, s ? s->key : "",
				     s ? s->digest : "", NULL), 0);
	put(&m->noted.flows[w->uid][w->name[0] - 'a'], w->submitted, request);
}

void remove_workflow(struct model *m)
{
	cleanup_refs struct aq_refs *refs = refs_of(m);
	const struct aq_workflow w = submit(m);

	note_workflow(m, refs, &w, NOBODY);
}

void take_notes(struct model *m)
{
	cleanup_refs struct aq_refs *refs = refs_of(m);
	cleanup_store struct aq_store *store = store_of(m);

	assert_int_equal(aq_store_take_notes(m->conf, store, refs, NULL), 0);
	move(m, store);
}
