/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/store_inside.h"
#include "common/workflow_rows.h"
#include "common/workflows.h"

#define BATCH 64 /* rows read at once, with requests of some KiB */

/* One, with texts of its own. */
struct copy {
	struct aq_workflow_state w;
	char *texts[5];
};

struct batch {
	struct copy v[BATCH];
	size_t n;
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		for (size_t k = 0; k < ARRAY_LEN(b->v[i].texts); k++)
			free(b->v[i].texts[k]);
}
#define cleanup_batch __attribute__((cleanup(batch_free)))

static int add_row(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct batch *b = arg;
	struct copy *c = &b->v[b->n++];

	*c = (struct copy){ .w.uid = (uint32_t)aq_db_number(row, 0),
			    .w.submitted = aq_db_number(row, 1) };
	for (size_t i = 0; i < ARRAY_LEN(c->texts); i++) {
		c->texts[i] = strdup(aq_db_text(row, 2 + (int)i));
		if (!c->texts[i])
			return aq_fail(err, AQ_SYS, "out of memory");
	}
	c->w.name = c->texts[0];
	c->w.key = c->texts[1];
	c->w.digest = c->texts[2];
	c->w.env = c->texts[3];
	c->w.canonical = c->texts[4];
	return 0;
}

/* Those that come after workflow 'after_name' of user 'after_uid'. */
static int read_batch(struct aq_store *store, uint64_t uid, const char *name,
		      uint32_t after_uid, const char *after_name,
		      struct batch *ret, struct aq_err *err)
{
	const bool is_all = uid == AQ_WORKFLOWS_ALL;
	const struct aq_db_value values[] = {
		AQ_NUMBER(is_all ? 0 : uid),
		AQ_NUMBER(is_all ? UINT32_MAX : uid),
		AQ_TEXT(name),
		AQ_NUMBER(after_uid),
		AQ_TEXT(after_name),
		AQ_NUMBER(BATCH),
	};
	int rc = aq_db_run(store->db,
			   "SELECT uid, submitted, name, key, digest,"
			   " (SELECT env FROM keys k WHERE k.key = w.key"
			   "   ORDER BY seq DESC LIMIT 1),"
			   " (SELECT canonical FROM requests r"
			   "   WHERE r.digest = w.digest AND r.key = w.key"
			   "   LIMIT 1)"
			   " FROM workflows w WHERE uid BETWEEN ?1 AND ?2"
			   "  AND (?3 IS NULL OR name = ?3) AND key != ''"
			   "  AND (uid, name) > (?4, ?5)"
			   " ORDER BY uid, name LIMIT ?6",
			   values, ARRAY_LEN(values), add_row, ret, err);

	return rc == AQ_MISS ? 0 : rc;
}

/* The last of 'b' comes after 'after', as SQL says that it does: in a damaged table
 * a uid may be 1.5, and a name no text; then the same rows would come for ever.
 */
static int go_on(const struct batch *b, struct aq_workflow *after,
		 struct aq_err *err)
{
	const struct aq_workflow_state *last = &b->v[b->n - 1].w;
	bool is_later = last->uid != after->uid ?
				last->uid > after->uid :
				strcmp(last->name, after->name) > 0;

	after->uid = last->uid;
	if (is_later &&
	    aq_copy_text(after->name, sizeof(after->name), last->name))
		return 0;
	return aq_fail(err, AQ_CORRUPT, "the row of a workflow is damaged");
}

/* As in store_each.c, nobody waits for 'fn'. */
int aq_store_each_workflow(struct aq_store *store, uint64_t uid,
			   const char *name, aq_workflow_fn *fn, void *arg,
			   struct aq_err *err)
{
	struct aq_workflow after = { .uid = 0 };
	bool is_more = true;
	int rc = 0;

	while (!rc && is_more) {
		cleanup_batch struct batch b = { .n = 0 };

		rc = read_batch(store, uid, name, after.uid, after.name, &b,
				err);
		is_more = b.n == BATCH;
		if (!rc && is_more)
			rc = go_on(&b, &after, err);
		for (size_t i = 0; !rc && i < b.n; i++)
			rc = fn(&b.v[i].w, arg, err);
	}
	return rc;
}

int aq_store_forget_workflow(struct aq_store *store,
			     const struct aq_workflow *w, struct aq_err *err)
{
	const struct aq_workflow_row row = {
		.uid = w->uid, .name = w->name, .key = "", .digest = "",
		.submitted = w->submitted,
	};
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_workflow_put(store->db, &row, store->max_workflows, err);
	return aq_db_end(store->db, rc, err);
}
