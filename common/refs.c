/* SPDX-License-Identifier: Apache-2.0 */
#include "common/refs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/grow.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/refs_inside.h"
#include "common/tally.h"
#include "common/workflow_rows.h"

#define PATH_SIZE 1024
#define BUSY_MS 1000    /* half of a hook's worker's time */
#define REFS_MAX 1000000 /* that are listed: steps that run, on all nodes of a host */

static const char *const migrations[] = {
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
	aq_refs_unlock(refs);
	aq_db_close(refs->db);
	free(refs);
}

static int open_db(const struct aq_conf *conf, enum aq_db_mode mode,
		   bool is_checked, struct aq_refs **ret, struct aq_err *err)
{
	const struct aq_db_how how = { .mode = mode,
				       .busy_ms = BUSY_MS,
				       .is_checked = is_checked,
				       .replaces_damaged = mode == AQ_DB_WRITE };
	cleanup_refs struct aq_refs *refs = calloc(1, sizeof(*refs));
	char path[PATH_SIZE];
	int rc;

	if (!refs)
		return aq_fail(err, AQ_SYS, "out of memory");
	refs->conf = conf;
	refs->lock_fd = -1;
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

int aq_refs_open_to_look(const struct aq_conf *conf, struct aq_refs **ret,
			 struct aq_err *err)
{
	int rc = open_db(conf, AQ_DB_READ, false, ret, err);

	if (rc != AQ_MISS)
		return rc;
	*ret = calloc(1, sizeof(**ret)); /* what is held is told all the same */
	if (!*ret)
		return aq_fail(err, AQ_SYS, "out of memory");
	(*ret)->conf = conf;
	(*ret)->lock_fd = -1;
	return 0;
}

int aq_refs_open(const struct aq_conf *conf, struct aq_refs **ret,
		 struct aq_err *err)
{
	return open_db(conf, AQ_DB_WRITE, false, ret, err);
}

int aq_refs_heal(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;

	return open_db(conf, AQ_DB_WRITE, true, &refs, err);
}

int aq_refs_begin(struct aq_refs *refs, struct aq_err *err)
{
	return aq_db_begin(refs->db, err);
}

int aq_refs_end(struct aq_refs *refs, int rc, struct aq_err *err)
{
	return aq_db_end(refs->db, rc, err);
}

int aq_refs_lock(struct aq_refs *refs, struct aq_err *err)
{
	return aq_flock_refs(refs->conf, AQ_FLOCK_EXCLUSIVE, &refs->lock_fd,
			     err);
}

void aq_refs_unlock(struct aq_refs *refs)
{
	aq_close_fd(&refs->lock_fd);
}

int aq_refs_take(struct aq_refs *refs, const struct aq_step *step,
		 const char *digest, struct aq_err *err)
{
	/* it may be what a user claims */
	if (!aq_is_hex(digest, AQ_SHA256_HEX_SIZE - 1))
		return aq_fail(err, AQ_USER, "this is no digest of a request");
	return aq_lease_put(refs->conf, step, digest, err);
}

/* -- what they hold -- */

/* 'tally' beside the use, inside a transaction. */
static int hold(struct aq_refs *refs, const struct aq_step *step,
		const char *env, uint64_t now, const struct aq_tally *tally,
		struct aq_err *err)
{
	int rc = aq_lease_set_env(refs->conf, step, env, err);
	uint64_t n = rc ? 0 : 1;

	return rc && rc != AQ_MISS ?
		       rc : aq_refs_note(refs, env, n, now, tally, err);
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

static int check_lease(const struct aq_lease *lease, void *arg,
		       struct aq_err *err)
{
	const struct aq_step *step = &lease->step;
	struct aq_refs *refs = arg;
	struct aq_conf its_node = *refs->conf;
	bool is_free = true;
	int rc = 0;

	if (lease->state == AQ_LEASE_DAMAGED)
		return aq_fail(err, AQ_BUSY, "the lease of step %u.%u is damaged",
			       step->job, step->step);
	its_node.node = (char *)(uintptr_t)lease->node;
	if (lease->state == AQ_LEASE_EMPTY)
		rc = aq_lease_is_free(&its_node, step, &is_free, err);
	if (rc || is_free)
		return rc;
	return aq_fail(err, AQ_BUSY, "step %u.%u has no reference yet",
		       step->job, step->step);
}

int aq_refs_check_leases(struct aq_refs *refs, struct aq_err *err)
{
	return aq_lease_each(refs->conf, check_lease, refs, err);
}

/* -- looking -- */

struct all {
	struct aq_lease *v;
	size_t n;
};

static int add(const struct aq_lease *lease, void *arg, struct aq_err *err)
{
	struct all *a = arg;

	if (lease->state != AQ_LEASE_HOLDS)
		return 0;
	if (!aq_grow(a->v, a->n, REFS_MAX))
		return aq_fail_errno(err, "cannot list the references");
	a->v[a->n++] = *lease;
	return 0;
}

static int by_step(const void *a, const void *b)
{
	const struct aq_lease *x = a, *y = b;

	if (x->step.job != y->step.job)
		return x->step.job < y->step.job ? -1 : 1;
	if (x->step.step != y->step.step)
		return x->step.step < y->step.step ? -1 : 1;
	if (x->step.het != y->step.het)
		return x->step.het < y->step.het ? -1 : 1;
	return strcmp(x->node, y->node);
}

int aq_refs_each(struct aq_refs *refs, aq_refs_each_fn fn, void *arg,
		 struct aq_err *err)
{
	struct all all = { 0 };
	int rc = aq_lease_each(refs->conf, add, &all, err);

	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_step);
	for (size_t i = 0; !rc && i < all.n; i++)
		rc = fn(&all.v[i], arg, err);
	free(all.v);
	return rc;
}

struct counted {
	const char *digest; /* or NULL: any */
	uint64_t n;
};

static int count(const struct aq_lease *ref, void *arg, struct aq_err *err)
{
	struct counted *c = arg;

	(void)err;
	c->n += ref->state == AQ_LEASE_HOLDS &&
		(!c->digest || strcmp(ref->digest, c->digest) == 0);
	return 0;
}

int aq_refs_count(struct aq_refs *refs, const char *digest, uint64_t *ret,
		  struct aq_err *err)
{
	struct counted c = { digest, 0 };
	int rc = aq_lease_each(refs->conf, count, &c, err);

	*ret = c.n;
	return rc;
}

struct holds {
	aq_refs_holds_fn *fn;
	void *arg;
};

static int call_holds(const struct aq_lease *ref, void *arg, struct aq_err *err)
{
	const struct holds *h = arg;

	if (ref->state != AQ_LEASE_HOLDS)
		return 0;
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
	/* one after the other: however many there are, all are heeded */
	int rc = aq_lease_each(refs->conf, call_holds, &h, err);

	return rc ? rc : aq_job_each(refs->conf, call_job_holds, &h, err);
}
