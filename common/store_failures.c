/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store_inside.h"

/* What has expired is no longer said, and the oldest give way. */
static int drop_old(struct aq_db *db, uint64_t now, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_NUMBER(now),
					      AQ_NUMBER(AQ_STORE_FAILURES_MAX) };
	int rc = aq_db_run(db,
			   "DELETE FROM failures WHERE since > ?1"
			   " OR ?1 - since >= ttl",
			   values, 1, NULL, NULL, err);

	return rc ? rc :
		    aq_db_run(db,
			      "DELETE FROM failures WHERE key IN"
			      " (SELECT key FROM failures ORDER BY since DESC"
			      "  LIMIT -1 OFFSET ?2)",
			      values, 2, NULL, NULL, err);
}

int aq_store_fail_put(struct aq_store *store, const char *key,
		      const struct aq_err *why, uint64_t now, uint64_t ttl,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(key),   AQ_TEXT(why->text),
		AQ_NUMBER(why->class == AQ_USER),
		AQ_NUMBER(now), AQ_NUMBER(ttl),
	};
	int rc = aq_db_begin(store->db, err);

	if (rc)
		return rc;
	rc = aq_db_run(store->db,
		       "INSERT OR REPLACE INTO failures VALUES(?1,?2,?3,?4,?5)",
		       values, 5, NULL, NULL, err);
	if (!rc)
		rc = drop_old(store->db, now, err);
	return aq_db_end(store->db, rc, err);
}

struct asked {
	uint64_t now;
	uint64_t *ret_left;
};

static int judge_failure(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	const struct asked *f = arg;
	uint64_t since = aq_db_number(row, 2), ttl = aq_db_number(row, 3);

	/* 'since' in the future: a clock was set back */
	if (f->now < since || f->now - since >= ttl)
		return aq_fail(err, AQ_MISS, "not there");
	*f->ret_left = ttl - (f->now - since);
	return aq_fail(err, aq_db_number(row, 1) ? AQ_USER : AQ_SYS, "%s",
		       aq_db_text(row, 0));
}

int aq_store_fail_get(struct aq_store *store, const char *key, uint64_t now,
		      uint64_t *ret_left, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(key) };
	struct asked f = { now, ret_left };

	return aq_db_run(store->db,
			 "SELECT reason, is_refusal, since, ttl FROM failures"
			 " WHERE key = ?1",
			 values, 1, judge_failure, &f, err);
}
