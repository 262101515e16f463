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
#include "common/grow.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/refs_asked.h"
#include "common/store_inside.h"

#define HELD_MAX (1024 * 1024) /* environments that references hold */
#define LEFT_MAX (1024 * 1024) /* environments that workflows left */

/* -- what references hold -- */

struct held {
	struct aq_store *store;
	struct aq_strv names; /* one a reference; sorted once all are read */
};
#define HELD_INIT(s) { .store = (s), .names = AQ_STRV_INIT(HELD_MAX) }

static void held_free(struct held *h)
{
	aq_strv_free(&h->names);
}
#define cleanup_held __attribute__((cleanup(held_free)))

static int add_held(const char *env, const char *digest, void *arg,
		    struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(digest) };
	struct held *h = arg;
	int rc;

	if (*env) {
		aq_strv_add(&h->names, env);
		return 0;
	}
	rc = aq_db_run(h->store->db,
		       "SELECT DISTINCT env FROM requests JOIN keys USING (key)"
		       " WHERE digest = ?1", values, 1, aq_db_add_text,
		       &h->names, err);
	return rc == AQ_MISS ? 0 : rc;
}

static int read_held(struct aq_refs *refs, struct held *ret, struct aq_err *err)
{
	int rc = refs ? aq_refs_each_held(refs, add_held, ret, err) : 0;

	if (!rc)
		rc = aq_strv_done(&ret->names, "what references hold", err);
	aq_strv_sort(&ret->names);
	return rc;
}

/* -- candidates -- */

struct candidates {
	struct aq_candidate *v;
	size_t n;
	const struct held *held; /* sorted, as the rows are */
	size_t at;
};

/* How many references hold 'name'. */
static uint64_t count_held(struct candidates *c, const char *name)
{
	const struct aq_strv *held = &c->held->names;
	uint64_t n = 0;
	int diff;

	for (; c->at < held->n; c->at++) {
		diff = strcmp(held->v[c->at], name);
		if (diff > 0)
			break;
		n += diff == 0;
	}
	return n;
}

static int add_candidate(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	struct candidates *c = arg;
	struct aq_candidate *new;

	if (!aq_grow(c->v, c->n, AQ_STORE_ENVS_MAX))
		return aq_fail_errno(err, "cannot list the environments");
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
		.is_left = aq_db_number(row, 9) != 0,
	};
	new->is_held = new->n_references != 0;
	/* a name becomes a path, which is moved and removed */
	if (!aq_copy_text(new->name, sizeof(new->name), aq_db_text(row, 0)) ||
	    !aq_copy_text(new->base, sizeof(new->base), aq_db_text(row, 1)) ||
	    !aq_env_is_name(new->name) ||
	    (*new->base && !aq_env_is_name(new->base)) ||
	    aq_db_number(row, 2) > AQ_ENV_BASE)
		return aq_fail(err, AQ_CORRUPT, "the row of an environment is damaged");
	return 0;
}

/* The environments with keys none of which is held (common/workflows.h).  Most
 * keys that are not plain are a workflow's: that is asked first.
 */
#define IS_ASKED(key) "EXISTS (SELECT 1 FROM workflows w WHERE w.key = " key ")"
#define LEFT                                                                   \
	"SELECT k.env FROM keys k WHERE k.plain = 0"                           \
	" AND NOT " IS_ASKED("k.key") " AND NOT EXISTS"                        \
	" (SELECT 1 FROM keys o WHERE o.env = k.env"                           \
	"   AND (o.plain != 0 OR " IS_ASKED("o.key") "))"

#define CANDIDATES(left)                                                       \
	"SELECT name, base, kind, last_used, uses, size_own, pinned,"          \
	" EXISTS (SELECT 1 FROM bases WHERE env = name), uid,"                 \
	" name IN (" left ") FROM environments"

int aq_store_candidates(struct aq_store *store, struct aq_refs *refs,
			struct aq_candidate **ret, size_t *ret_n,
			struct aq_err *err)
{
	cleanup_held struct held held = HELD_INIT(store);
	struct candidates c = { .held = &held };
	int rc = read_held(refs, &held, err);

	if (!rc)
		rc = aq_db_run(store->db, CANDIDATES(LEFT) " ORDER BY name",
			       NULL, 0, add_candidate, &c, err);
	if (rc && rc != AQ_MISS) {
		free(c.v);
		return rc;
	}
	*ret = c.v;
	*ret_n = c.n;
	return 0;
}

/* -- what was left -- */

int aq_store_has_left(struct aq_store *store, struct aq_refs *refs, bool *ret,
		      struct aq_err *err)
{
	cleanup_strv struct aq_strv left = AQ_STRV_INIT(LEFT_MAX);
	cleanup_held struct held held = HELD_INIT(store);
	struct candidates c = { .held = &held };
	int rc = aq_db_run(store->db,
			   "SELECT name FROM environments e"
			   " WHERE name IN (" LEFT ") AND NOT pinned"
			   " AND NOT EXISTS (SELECT 1 FROM bases"
			   "  WHERE env = e.name) AND NOT EXISTS"
			   " (SELECT 1 FROM environments c"
			   "   WHERE c.base = e.name AND c.base != '')"
			   " ORDER BY name",
			   NULL, 0, aq_db_add_text, &left, err);

	*ret = false;
	if (rc == AQ_MISS)
		return 0;
	if (!rc)
		rc = aq_strv_done(&left, "what was left", err);
	if (!rc)
		rc = read_held(refs, &held, err);
	for (size_t i = 0; !rc && i < left.n; i++)
		*ret |= !count_held(&c, left.v[i]);
	return rc;
}

/* -- removing -- */

static int is_asked(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	bool is_one = false;
	int rc = aq_refs_is_asked(arg, aq_db_text(row, 0), &is_one, err);

	return !rc && is_one ? AQ_BUSY : rc;
}

/* Nobody has asked for it since, whatever cache.db knows of that. */
static int check_left(struct aq_store *store, struct aq_refs *refs,
		      const struct aq_candidate *c, struct aq_err *err)
{
	const struct aq_db_value values[] = { AQ_TEXT(c->name) };
	int rc = AQ_BUSY;

	if (c->is_left)
		rc = aq_db_run(store->db, "SELECT key FROM keys WHERE env = ?1",
			       values, 1, is_asked, refs, err);
	if (rc != AQ_BUSY)
		return rc;
	return aq_fail(err, AQ_BUSY, "'%s' was asked for again", c->name);
}

static int collect(struct aq_store *store, struct aq_refs *refs,
		   const struct aq_victim *victim, struct aq_err *err)
{
	const char *name = victim->name;
	const struct aq_db_value values[] = { AQ_TEXT(name) };
	cleanup_held struct held held = HELD_INIT(store);
	struct candidates c = { .held = &held };
	uint64_t children = 0;
	bool can_go;
	int rc = read_held(refs, &held, err);

	if (!rc)
		rc = aq_db_run(store->db, CANDIDATES(LEFT " AND k.env = ?1")
			       " WHERE name = ?1", values, 1, add_candidate,
			       &c, err);
	can_go = !rc && !c.v->is_held &&
		 (victim->why == AQ_COLLECT_DAMAGED ||
		  (!c.v->is_pinned && !c.v->is_base));
	if (can_go && victim->why == AQ_COLLECT_LEFT)
		rc = check_left(store, refs, c.v, err);
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
		     const struct aq_victim *victim, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	return rc ? rc :
		    aq_db_end(store->db, collect(store, refs, victim, err), err);
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
