/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted in refs.db until it is moved to cache.db. */
#include <string.h>

#include "common/refs_inside.h"
#include "common/tally.h"

/* Hits are kept with the environment that they found: what they save is known
 * where its row is.
 */
int aq_refs_note(struct aq_refs *refs, const char *env, uint64_t n,
		 uint64_t now, const struct aq_tally *tally,
		 struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(env), AQ_NUMBER(n), AQ_NUMBER(tally->n[AQ_TALLY_HIT]),
		AQ_NUMBER(now),
	};
	struct aq_tally others = *tally;
	int rc = 0;

	others.n[AQ_TALLY_HIT] = 0;
	others.since = now;
	if (n || tally->n[AQ_TALLY_HIT])
		rc = aq_db_run(refs->db,
			       "INSERT INTO uses VALUES(?1, ?2, ?3, ?4, ?4)"
			       " ON CONFLICT(env) DO UPDATE SET n = n + ?2,"
			       " hits = hits + ?3, last = ?4",
			       values, ARRAY_LEN(values), NULL, NULL, err);
	return rc ? rc : aq_tally_write(refs->db, &others, err);
}

int aq_refs_add_tally(struct aq_refs *refs, const char *env, uint64_t now,
		      const struct aq_tally *tally, struct aq_err *err)
{
	int rc = aq_db_begin(refs->db, err);

	return rc ? rc :
		    aq_db_end(refs->db,
			      aq_refs_note(refs, env, 0, now, tally, err), err);
}

static int note_all(struct aq_refs *refs, const struct aq_strv *names,
		    uint64_t now, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0, n; !rc && i < names->n; i += n) {
		struct aq_tally hits = { 0 };

		for (n = 1; i + n < names->n; n++)
			if (strcmp(names->v[i], names->v[i + n]) != 0)
				break;
		hits.n[AQ_TALLY_HIT] = n;
		rc = aq_refs_note(refs, names->v[i], n, now, &hits, err);
	}
	return rc;
}

int aq_refs_note_uses(struct aq_refs *refs, struct aq_strv *names, uint64_t now,
		      struct aq_err *err)
{
	int rc = names->n ? aq_db_begin(refs->db, err) : 0;

	if (rc || !names->n)
		return rc;
	aq_strv_sort(names);
	return aq_db_end(refs->db, note_all(refs, names, now, err), err);
}

struct uses {
	aq_refs_uses_fn *fn;
	void *arg;
};

static int call_uses(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	const struct uses *u = arg;
	const struct aq_use use = { .n = aq_db_number(row, 1),
				    .hits = aq_db_number(row, 2),
				    .last = aq_db_number(row, 3) };

	return u->fn(aq_db_text(row, 0), &use, u->arg, err);
}

int aq_refs_each_use(struct aq_refs *refs, aq_refs_uses_fn *fn, void *arg,
		     struct aq_err *err)
{
	struct uses u = { fn, arg };
	int rc = aq_db_run(refs->db, "SELECT env, n, hits, last FROM uses",
			   NULL, 0, call_uses, &u, err);

	return rc == AQ_MISS ? 0 : rc;
}

int aq_refs_tally(struct aq_refs *refs, struct aq_tally *ret,
		  struct aq_err *err)
{
	return aq_tally_read(refs->db, ret, err);
}

int aq_refs_oldest_use(struct aq_refs *refs, uint64_t *ret,
		       struct aq_err *err)
{
	return aq_db_run(refs->db,
			 "SELECT coalesce(min(first), 0) FROM"
			 " (SELECT first FROM uses"
			 "  UNION ALL SELECT first FROM counts)",
			 NULL, 0, aq_db_get_number, ret, err);
}

int aq_refs_clear_uses(struct aq_refs *refs, struct aq_err *err)
{
	return aq_db_script(refs->db, "DELETE FROM uses; DELETE FROM counts",
			    err);
}
