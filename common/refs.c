/* SPDX-License-Identifier: Apache-2.0 */
#include "common/refs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/job.h"
#include "common/lease.h"
#include "common/refs_inside.h"
#include "common/tally.h"
#include "common/workflow_rows.h"

#define PATH_SIZE 1024
#define BUSY_MS 1000    /* half of a hook's worker's time */

static const char *const migrations[] = {
	"CREATE TABLE boot(id TEXT NOT NULL);"
	"CREATE TABLE refs("
	"  job INTEGER NOT NULL, step INTEGER NOT NULL, het INTEGER NOT NULL,"
	"  node TEXT NOT NULL, digest TEXT NOT NULL, env TEXT NOT NULL,"
	"  PRIMARY KEY(job, step, het, node)"
	") WITHOUT ROWID;"
	"CREATE INDEX refs_by_digest ON refs(digest);"
	"CREATE TABLE uses("
	"  env TEXT PRIMARY KEY, n INTEGER NOT NULL, hits INTEGER NOT NULL,"
	"  first INTEGER NOT NULL, last INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE counts("
	"  name TEXT PRIMARY KEY, n INTEGER NOT NULL, first INTEGER NOT NULL"
	") WITHOUT ROWID;"
	AQ_WORKFLOW_TABLE
	"CREATE TABLE plain(key TEXT PRIMARY KEY) WITHOUT ROWID;",
};

/* run_dir is gone with the boot: nothing is flushed. */
static const struct aq_db_kind refs_kind = {
	.application_id = 0x41517231, /* "AQr1" */
	.migrations = migrations,
	.version = ARRAY_LEN(migrations),
	.is_durable = false,
};

void aq_refs_close(struct aq_refs *refs)
{
	if (!refs)
		return;
	aq_db_close(refs->db);
	free(refs);
}

static int is_same_boot(const struct aq_db_row *row, void *arg,
			struct aq_err *err)
{
	if (strcmp(aq_db_text(row, 0), arg) == 0)
		return 0;
	return aq_fail(err, AQ_MISS, "another boot");
}

/* References of another boot are nobody's. */
static int begin_boot(struct aq_refs *refs, const char *boot_id,
		      struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(boot_id) };
	void *id = (void *)(uintptr_t)boot_id;
	int rc = aq_db_run(refs->db, "SELECT id FROM boot", NULL, 0,
			   is_same_boot, id, err);

	if (rc != AQ_MISS)
		return rc;
	rc = aq_db_begin(refs->db, err);
	if (rc)
		return rc;
	/* somebody else may have begun it while we waited for the lock */
	rc = aq_db_run(refs->db, "SELECT id FROM boot", NULL, 0, is_same_boot,
		       id, err);
	if (rc == AQ_MISS) {
		rc = aq_db_run(refs->db, "DELETE FROM refs", NULL, 0, NULL,
			       NULL, err);
		if (!rc)
			rc = aq_db_run(refs->db, "DELETE FROM boot", NULL, 0,
				       NULL, NULL, err);
		if (!rc)
			rc = aq_db_run(refs->db, "INSERT INTO boot VALUES(?1)",
				       values, 1, NULL, NULL, err);
	}
	return aq_db_end(refs->db, rc, err);
}

static int open_db(const struct aq_conf *conf, enum aq_db_mode mode,
		   struct aq_refs **ret, struct aq_err *err)
{
	const struct aq_db_how how = { .mode = mode,
				       .busy_ms = BUSY_MS,
				       .replaces_damaged = mode == AQ_DB_WRITE };
	cleanup_refs struct aq_refs *refs = calloc(1, sizeof(*refs));
	char path[PATH_SIZE];
	int rc;

	if (!refs)
		return aq_fail(err, AQ_SYS, "out of memory");
	refs->conf = conf;
	if ((size_t)snprintf(path, sizeof(path), "%s/refs.db",
			     conf->run_dir) >= sizeof(path))
		return aq_fail(err, AQ_SYS, "'%s' is too long a path",
			       conf->run_dir);
	rc = aq_db_open(path, &refs_kind, &how, &refs->db, err);
	if (rc)
		return rc;
	*ret = steal(&refs);
	return 0;
}

int aq_refs_open_at_boot(const struct aq_conf *conf, const char *boot_id,
			 struct aq_refs **ret, struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = open_db(conf, AQ_DB_WRITE, &refs, err);

	if (!rc)
		rc = begin_boot(refs, boot_id, err);
	if (rc)
		return rc;
	*ret = steal(&refs);
	return 0;
}

int aq_refs_open_to_look(const struct aq_conf *conf, struct aq_refs **ret,
			 struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	char boot_id[AQ_BOOT_ID_SIZE];
	int rc = aq_boot_id(boot_id, err);

	if (!rc)
		rc = open_db(conf, AQ_DB_READ, &refs, err);
	if (!rc)
		rc = aq_db_run(refs->db, "SELECT id FROM boot", NULL, 0,
			       is_same_boot, boot_id, err);
	if (rc == AQ_MISS) { /* what jobs hold is told all the same */
		aq_refs_close(refs);
		refs = calloc(1, sizeof(*refs));
		if (!refs)
			return aq_fail(err, AQ_SYS, "out of memory");
		refs->conf = conf;
		rc = 0;
	}
	if (rc)
		return rc;
	*ret = steal(&refs);
	return 0;
}

int aq_refs_open(const struct aq_conf *conf, struct aq_refs **ret,
		 struct aq_err *err)
{
	char boot_id[AQ_BOOT_ID_SIZE];
	int rc = aq_boot_id(boot_id, err);

	return rc ? rc : aq_refs_open_at_boot(conf, boot_id, ret, err);
}

int aq_refs_take(struct aq_refs *refs, const struct aq_step *step,
		 const char *digest, struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(step->job), AQ_NUMBER(step->step),
		AQ_NUMBER(step->het), AQ_TEXT(refs->conf->node),
		AQ_TEXT(digest),
	};

	/* it may be what a user claims */
	if (!aq_is_hex(digest, AQ_SHA256_HEX_SIZE - 1))
		return aq_fail(err, AQ_USER, "this is no digest of a request");
	return aq_db_run(refs->db,
			 "INSERT OR REPLACE INTO refs VALUES(?1,?2,?3,?4,?5,'')",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

int aq_refs_drop(struct aq_refs *refs, const struct aq_step *step,
		 struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(step->job), AQ_NUMBER(step->step),
		AQ_NUMBER(step->het), AQ_TEXT(refs->conf->node),
	};

	return aq_db_run(refs->db,
			 "DELETE FROM refs WHERE job = ?1 AND step = ?2"
			 " AND het = ?3 AND node = ?4",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

/* -- what they hold -- */

static int hold(struct aq_refs *refs, const struct aq_step *step,
		const char *env, uint64_t now, const struct aq_tally *tally,
		struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_TEXT(env), AQ_NUMBER(step->job), AQ_NUMBER(step->step),
		AQ_NUMBER(step->het), AQ_TEXT(refs->conf->node),
	};
	int rc = aq_db_run(refs->db,
			   "UPDATE refs SET env = ?1 WHERE job = ?2"
			   " AND step = ?3 AND het = ?4 AND node = ?5",
			   values, ARRAY_LEN(values), NULL, NULL, err);

	return rc ? rc :
		    aq_refs_note(refs, env, aq_db_changes(refs->db), now, tally,
				 err);
}

int aq_refs_hold(struct aq_refs *refs, const struct aq_step *step,
		 const char *env, uint64_t now, struct aq_err *err)
{
	const struct aq_tally hit = { .n[AQ_TALLY_HIT] = 1 };

	return hold(refs, step, env, now, &hit, err);
}

int aq_refs_hold_built(struct aq_refs *refs, const struct aq_step *step,
		       const char *env, uint64_t now,
		       const struct aq_tally *tally, struct aq_err *err)
{
	int rc = aq_db_begin(refs->db, err);

	return rc ? rc :
		    aq_db_end(refs->db, hold(refs, step, env, now, tally, err),
			      err);
}

int aq_refs_lock(struct aq_refs *refs, struct aq_err *err)
{
	return aq_db_begin(refs->db, err);
}

int aq_refs_unlock(struct aq_refs *refs, int rc, struct aq_err *err)
{
	return aq_db_end(refs->db, rc, err);
}

static int check_lease(const struct aq_step *step, const char *node, void *arg,
		       struct aq_err *err)
{
	const struct aq_db_value values[] = {
		AQ_NUMBER(step->job), AQ_NUMBER(step->step),
		AQ_NUMBER(step->het), AQ_TEXT(node),
	};
	struct aq_refs *refs = arg;
	uint64_t n = 0;
	int rc = aq_db_run(refs->db,
			   "SELECT count(*) FROM refs WHERE job = ?1"
			   " AND step = ?2 AND het = ?3 AND node = ?4",
			   values, ARRAY_LEN(values), aq_db_get_number, &n, err);

	if (rc || n)
		return rc;
	return aq_fail(err, AQ_BUSY, "step %u.%u has no reference yet",
		       step->job, step->step);
}

int aq_refs_check_leases(struct aq_refs *refs, struct aq_err *err)
{
	return aq_lease_each_held(refs->conf, check_lease, refs, err);
}

/* -- looking -- */

struct each {
	aq_refs_each_fn fn;
	void *arg;
	int leases;
};

static int call_each(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	const struct each *e = arg;
	const struct aq_ref ref = {
		.step = { (uint32_t)aq_db_number(row, 0),
			  (uint32_t)aq_db_number(row, 1),
			  (uint32_t)aq_db_number(row, 2) },
		.node = aq_db_text(row, 3),
		.digest = aq_db_text(row, 4),
		.env = aq_db_text(row, 5),
	};

	return aq_lease_has_ended(e->leases, &ref.step, ref.node) ?
		       0 : e->fn(&ref, e->arg, err);
}

int aq_refs_each(struct aq_refs *refs, aq_refs_each_fn fn, void *arg,
		 struct aq_err *err)
{
	struct each e = { fn, arg, -1 };
	int rc = 0;

	if (!refs->db)
		return 0;
	rc = aq_lease_open_all(refs->conf, &e.leases, err);
	if (!rc)
		rc = aq_db_run(refs->db,
			       "SELECT job, step, het, node, digest, env"
			       " FROM refs ORDER BY job, step, het, node",
			       NULL, 0, call_each, &e, err);
	aq_close_fd(&e.leases);
	return rc == AQ_MISS ? 0 : rc;
}

struct counted {
	const char *digest; /* or NULL: any */
	uint64_t n;
};

static int count(const struct aq_ref *ref, void *arg, struct aq_err *err)
{
	struct counted *c = arg;

	(void)err;
	c->n += !c->digest || strcmp(ref->digest, c->digest) == 0;
	return 0;
}

int aq_refs_count(struct aq_refs *refs, const char *digest, uint64_t *ret,
		  struct aq_err *err)
{
	struct counted c = { digest, 0 };
	int rc = aq_refs_each(refs, count, &c, err);

	*ret = c.n;
	return rc;
}

struct holds {
	aq_refs_holds_fn *fn;
	void *arg;
};

static int call_holds(const struct aq_ref *ref, void *arg, struct aq_err *err)
{
	const struct holds *h = arg;

	return h->fn(ref->env, *ref->env ? "" : ref->digest, h->arg, err);
}

static int call_job_holds(uint32_t job, const char *node, const char *digest,
			  void *arg, struct aq_err *err)
{
	const struct holds *h = arg;

	(void)job;
	(void)node;
	return *digest ? h->fn("", digest, h->arg, err) : 0;
}

int aq_refs_each_held(struct aq_refs *refs, aq_refs_holds_fn *fn, void *arg,
		      struct aq_err *err)
{
	struct holds h = { fn, arg };
	int rc = aq_refs_each(refs, call_holds, &h, err);

	return rc ? rc : aq_job_each(refs->conf, call_job_holds, &h, err);
}
