/* SPDX-License-Identifier: Apache-2.0 */
/* What collecting asks of cache.db. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/store_inside.h"
#include "common/tally.h"

#define HELD_MAX (1024 * 1024) /* environments that references hold */

/* -- what references hold -- */

struct held_one {
	char name[AQ_ENV_NAME_SIZE];
	uint64_t n; /* references */
};

struct held {
	struct aq_store *store;
	struct held_one *v; /* sorted by name once read_held() is through */
	size_t n, size;
	uint64_t references; /* of what is being added */
};

static int hold(struct held *h, const char *name, struct aq_err *err)
{
	struct held_one *new;

	if (h->n == h->size) {
		size_t size = h->size ? 2 * h->size : 256;

		new = size > HELD_MAX ? NULL :
					realloc(h->v, size * sizeof(*new));
		if (!new)
			return aq_fail(err, AQ_SYS, "out of memory for what references hold");
		h->v = new;
		h->size = size;
	}
	new = &h->v[h->n];
	new->n = h->references;
	/* what is no name is nothing that could be collected */
	h->n += aq_copy_text(new->name, sizeof(new->name), name);
	return 0;
}

static int hold_row(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	return hold(arg, aq_db_text(row, 0), err);
}

static int add_held(const char *env, const char *digest, uint64_t n, void *arg,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(digest) };
	struct held *h = arg;
	int rc;

	h->references = n;
	if (*env)
		return hold(h, env, err);
	rc = aq_db_run(h->store->db,
		       "SELECT DISTINCT env FROM requests JOIN keys USING (key)"
		       " WHERE digest = ?1", values, 1, hold_row, h, err);
	return rc == AQ_MISS ? 0 : rc;
}

static int compare_held(const void *a, const void *b)
{
	return strcmp(((const struct held_one *)a)->name,
		      ((const struct held_one *)b)->name);
}

/* Free ret->v whatever it returns. */
static int read_held(struct aq_store *store, struct aq_refs *refs,
		     struct held *ret, struct aq_err *err)
{
	int rc;

	*ret = (struct held){ .store = store };
	rc = refs ? aq_refs_each_held(refs, add_held, ret, err) : 0;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_held);
	return rc;
}

/* -- candidates -- */

struct candidates {
	struct aq_candidate *v;
	size_t n, size;
	const struct held *held; /* sorted, as the rows are */
	size_t at;
};

/* How many references hold 'name'. */
static uint64_t count_held(struct candidates *c, const char *name)
{
	uint64_t n = 0;
	int diff;

	for (; c->at < c->held->n; c->at++) {
		diff = strcmp(c->held->v[c->at].name, name);
		if (diff > 0)
			break;
		if (diff == 0)
			n += c->held->v[c->at].n;
	}
	return n;
}

static int add_candidate(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	struct candidates *c = arg;
	struct aq_candidate *new;

	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 256;

		new = realloc(c->v, size * sizeof(*new));
		if (!new)
			return aq_fail(err, AQ_SYS, "out of memory");
		c->v = new;
		c->size = size;
	}
	new = &c->v[c->n++];
	*new = (struct aq_candidate){
		.kind = (enum aq_env_kind)aq_db_number(row, 2),
		.last_used = aq_db_number(row, 3),
		.uses = aq_db_number(row, 4),
		.bytes = aq_db_number(row, 5),
		.is_pinned = aq_db_number(row, 6) != 0,
		.is_base = aq_db_number(row, 7) != 0,
		.uid = (uint32_t)aq_db_number(row, 8),
		.n_references = count_held(c, aq_db_text(row, 0)),
	};
	new->is_held = new->n_references != 0;
	if (!aq_copy_text(new->name, sizeof(new->name), aq_db_text(row, 0)) ||
	    !aq_copy_text(new->base, sizeof(new->base), aq_db_text(row, 1)))
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	return 0;
}

#define CANDIDATES                                                             \
	"SELECT name, base, kind, last_used, uses, size_own, pinned,"          \
	" EXISTS (SELECT 1 FROM bases WHERE env = name), uid FROM environments"

int aq_store_candidates(struct aq_store *store, struct aq_refs *refs,
			struct aq_candidate **ret, size_t *ret_n,
			struct aq_err *err)
{
	struct held held;
	struct candidates c = { .held = &held };
	int rc = read_held(store, refs, &held, err);

	if (!rc)
		rc = aq_db_run(store->db, CANDIDATES " ORDER BY name", NULL, 0,
			       add_candidate, &c, err);
	free(held.v);
	if (rc && rc != AQ_MISS) {
		free(c.v);
		return rc;
	}
	*ret = c.v;
	*ret_n = c.n;
	return 0;
}

/* -- removing -- */

static int collect(struct aq_store *store, struct aq_refs *refs,
		   const char *name, bool is_damaged, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(name) };
	struct held held;
	struct candidates c = { .held = &held };
	uint64_t children = 0;
	bool can_go;
	int rc = read_held(store, refs, &held, err);

	if (!rc)
		rc = aq_db_run(store->db, CANDIDATES " WHERE name = ?1", values,
			       1, add_candidate, &c, err);
	free(held.v);
	can_go = !rc && !c.v->is_held &&
		 (is_damaged || (!c.v->is_pinned && !c.v->is_base));
	free(c.v);
	if (!rc)
		rc = aq_store_children(store, name, &children, err);
	if (rc)
		return rc == AQ_MISS ? aq_fail(err, AQ_MISS, "'%s' is not there", name) : rc;
	if (!can_go || children)
		return aq_fail(err, AQ_BUSY, "'%s' is used", name);
	rc = aq_db_run(store->db, "DELETE FROM bases WHERE env = ?1", values, 1,
		       NULL, NULL, err);
	return rc ? rc : aq_store_delete(store->db, name, err);
}

int aq_store_collect(struct aq_store *store, struct aq_refs *refs,
		     const char *name, bool is_damaged, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	return rc ? rc :
		    aq_db_end(store->db,
			      collect(store, refs, name, is_damaged, err), err);
}

/* -- uses -- */

static int take_use(const char *env, const struct aq_use *use, void *arg,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(env), AQ_NUMBER(use->n),
					      AQ_NUMBER(use->last) };
	struct aq_store *store = arg;

	if (!use->n)
		return 0;
	/* it may be gone */
	return aq_db_run(store->db,
			 "UPDATE environments SET uses = uses + ?2,"
			 " last_used = ?3 WHERE name = ?1",
			 values, ARRAY_LEN(values), NULL, NULL, err);
}

int aq_store_take_uses(struct aq_store *store, struct aq_refs *refs,
		       struct aq_err *err)
{
	int rc = aq_refs_lock(refs, err), end;

	if (rc)
		return rc;
	rc = aq_db_begin(store->db, err);
	if (!rc) {
		rc = aq_store_take_tally(store, refs, err);
		if (!rc)
			rc = aq_refs_each_use(refs, take_use, store, err);
		rc = aq_db_end(store->db, rc, err);
	}
	if (!rc)
		rc = aq_refs_clear_uses(refs, err);
	end = aq_refs_unlock(refs, rc, rc ? NULL : err);
	return rc ? rc : end;
}

/* -- pins -- */

int aq_store_pin(struct aq_store *store, const char *name, bool is_on,
		 struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(name), AQ_NUMBER(is_on) };
	cleanup_close int dir = -1;
	char path[STORE_PATH_SIZE + AQ_ENV_NAME_SIZE + 8];
	int rc;

	snprintf(path, sizeof(path), "%s/meta/%s", store->cache_dir, name);
	rc = aq_open_dir(AT_FDCWD, path, &dir, err);
	if (!rc && is_on)
		rc = aq_write_file(dir, AQ_MANIFEST_PIN, "", 0, err);
	else if (!rc && unlinkat(dir, AQ_MANIFEST_PIN, 0) < 0 && errno != ENOENT)
		rc = aq_fail_errno(err, "cannot unpin '%s'", name);
	if (!rc)
		rc = aq_sync_dir(dir, err);
	if (!rc)
		rc = aq_db_run(store->db,
			       "UPDATE environments SET pinned = ?2"
			       " WHERE name = ?1", values, 2, NULL, NULL, err);
	if (!rc && aq_db_changes(store->db) == 0)
		rc = aq_fail(err, AQ_MISS, "'%s' is not there", name);
	return rc;
}
