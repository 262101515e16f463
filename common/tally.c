/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tally.h"

#include <string.h>

#include "common/store_inside.h"

static const char *const names[AQ_TALLY_N] = {
	[AQ_TALLY_HIT] = "hit",
	[AQ_TALLY_CREATED] = "created",
	[AQ_TALLY_LINKED] = "linked",
	[AQ_TALLY_INHERITED] = "inherited",
	[AQ_TALLY_WAITED] = "waited",
	[AQ_TALLY_BOUND] = "bound",
	[AQ_TALLY_REFUSED] = "refused",
	[AQ_TALLY_FAULT] = "fault",
	[AQ_TALLY_ENDED] = "ended",
	[AQ_TALLY_BUILD_MS] = "build_ms",
	[AQ_TALLY_BUILD_BYTES] = "build_bytes",
	[AQ_TALLY_REUSE_MS] = "reuse_ms",
	[AQ_TALLY_REUSE_BYTES] = "reuse_bytes",
	[AQ_TALLY_INHERIT_MS] = "inherit_ms",
	[AQ_TALLY_INHERIT_BYTES] = "inherit_bytes",
	[AQ_TALLY_COLLECTED] = "collected",
	[AQ_TALLY_COLLECTED_BYTES] = "collected_bytes",
	[AQ_TALLY_PROLOGS] = "prologs",
	[AQ_TALLY_PROLOG_US] = "prolog_us",
	[AQ_TALLY_STAGES] = "stages",
	[AQ_TALLY_STAGE_US] = "stage_us",
	[AQ_TALLY_EPILOGS] = "epilogs",
	[AQ_TALLY_EPILOG_US] = "epilog_us",
};

const char *aq_tally_name(enum aq_tally_what what)
{
	return what < AQ_TALLY_N ? names[what] : "unknown";
}

/* -- the table 'counts' of either database -- */

static void begin_at(struct aq_tally *tally, uint64_t when)
{
	if (when && (!tally->since || when < tally->since))
		tally->since = when;
}

static int add_count(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	struct aq_tally *tally = arg;

	(void)err;
	begin_at(tally, aq_db_number(row, 2));
	for (size_t i = 0; i < AQ_TALLY_N; i++)
		if (strcmp(names[i], aq_db_text(row, 0)) == 0)
			tally->n[i] += aq_db_number(row, 1);
	return 0;
}

int aq_tally_read(struct aq_db *db, struct aq_tally *ret, struct aq_err *err)
{
	int rc = aq_db_run(db, "SELECT name, n, first FROM counts", NULL, 0,
			   add_count, ret, err);

	return rc == AQ_MISS ? 0 : rc;
}

int aq_tally_write(struct aq_db *db, const struct aq_tally *tally,
		   struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < AQ_TALLY_N; i++) {
		const struct aq_db_value values[] = {
			AQ_TEXT(names[i]), AQ_NUMBER(tally->n[i]),
			AQ_NUMBER(tally->since),
		};

		if (tally->n[i])
			rc = aq_db_run(db,
				       "INSERT INTO counts VALUES(?1, ?2, ?3)"
				       " ON CONFLICT(name) DO UPDATE SET n = n + ?2",
				       values, ARRAY_LEN(values), NULL, NULL,
				       err);
	}
	return rc;
}

/* -- what was not moved yet -- */

struct pending {
	struct aq_store *store; /* or NULL */
	struct aq_tally *tally;
};

struct worth {
	uint64_t ms, bytes;
};

static int get_worth(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	struct worth *w = arg;

	(void)err;
	*w = (struct worth){ aq_db_number(row, 0), aq_db_number(row, 1) };
	return 0;
}

static int add_hits(const char *env, const struct aq_use *use, void *arg,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env) };
	struct pending *p = arg;
	struct worth w = { 0 };
	int rc = 0;

	p->tally->n[AQ_TALLY_HIT] += use->hits;
	if (use->hits && p->store)
		rc = aq_db_run(p->store->db,
			       "SELECT build_ms, size_own + size_shared"
			       " FROM environments WHERE name = ?1",
			       values, 1, get_worth, &w, err);
	p->tally->n[AQ_TALLY_REUSE_MS] += use->hits * w.ms;
	p->tally->n[AQ_TALLY_REUSE_BYTES] += use->hits * w.bytes;
	return rc == AQ_MISS ? 0 : rc; /* it is gone */
}

static int add_pending(struct aq_store *store, struct aq_refs *refs,
		       struct aq_tally *ret, struct aq_err *err)
{
	struct pending p = { store, ret };
	uint64_t oldest = 0;
	int rc = aq_refs_tally(refs, ret, err);

	if (!rc)
		rc = aq_refs_each_use(refs, add_hits, &p, err);
	if (!rc)
		rc = aq_refs_oldest_use(refs, &oldest, err);
	begin_at(ret, oldest);
	return rc;
}

int aq_store_take_tally(struct aq_store *store, struct aq_refs *refs,
			struct aq_err *err)
{
	struct aq_tally pending = { 0 };
	int rc = add_pending(store, refs, &pending, err);

	return rc ? rc : aq_tally_write(store->db, &pending, err);
}

int aq_store_tally(struct aq_store *store, struct aq_refs *refs,
		   struct aq_tally *ret, struct aq_err *err)
{
	struct aq_tally all = { 0 };
	int rc = refs ? aq_refs_begin(refs, err) : 0;

	if (rc)
		return rc;
	/* whoever moves counts holds the lock: none is seen twice or missed */
	if (store)
		rc = aq_tally_read(store->db, &all, err);
	if (!rc && refs)
		rc = add_pending(store, refs, &all, err);
	if (refs)
		rc = aq_refs_end(refs, rc, err);
	if (!rc)
		*ret = all;
	return rc;
}

/* -- what there is -- */

static int add_kind(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct aq_totals *t = arg;
	uint64_t kind = aq_db_number(row, 0);

	if (kind > AQ_ENV_BASE)
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	t->kinds[kind].n = aq_db_number(row, 1);
	t->kinds[kind].size_own = aq_db_number(row, 2);
	t->kinds[kind].size_shared = aq_db_number(row, 3);
	t->n_pinned += aq_db_number(row, 4);
	return 0;
}

static int get_bases(const struct aq_db_row *row, void *arg,
		     struct aq_err *err)
{
	struct aq_totals *t = arg;

	(void)err;
	t->n_bases = aq_db_number(row, 0);
	return 0;
}

int aq_store_totals(struct aq_store *store, struct aq_totals *ret,
		    struct aq_err *err)
{
	struct aq_totals all = { 0 };
	int rc = aq_db_run(store->db,
			   "SELECT kind, count(*), sum(size_own),"
			   " sum(size_shared), sum(pinned)"
			   " FROM environments GROUP BY kind",
			   NULL, 0, add_kind, &all, err);

	if (rc && rc != AQ_MISS)
		return rc;
	rc = aq_db_run(store->db, "SELECT count(*) FROM bases", NULL, 0,
		       get_bases, &all, err);
	if (!rc)
		*ret = all;
	return rc;
}
