/* SPDX-License-Identifier: Apache-2.0 */
#include "common/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/grow.h"
#include "common/io.h"
#include "common/usage.h"
#include "common/verify_inside.h"

/* What may lead to one environment: some keys, with AQ_STORE_REQUESTS_MAX each. */
#define BINDINGS_MAX (1024 * 1024)

void aq_repair_free(struct aq_repair *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].key);
		free(r->v[i].digest);
		free(r->v[i].context);
		free(r->v[i].canonical);
	}
	free(r->v);
	*r = (struct aq_repair){ 0 };
}

enum aq_repair_how aq_repair_choose(const struct aq_findings *f)
{
	size_t n_archives = 0, n_sizes = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].kind == AQ_FINDING_ORPHAN ||
		    f->v[i].kind == AQ_FINDING_ROW)
			return AQ_REPAIR_ADOPT;
		n_archives += f->v[i].kind == AQ_FINDING_ARCHIVE;
		n_sizes += f->v[i].kind == AQ_FINDING_SIZE;
	}
	if (f->n_left_out || n_archives + n_sizes < f->n)
		return AQ_REPAIR_REBUILD;
	if (n_sizes)
		return AQ_REPAIR_RECOUNT;
	return f->n ? AQ_REPAIR_ARCHIVE : AQ_REPAIR_NONE;
}

/* -- without building -- */

int aq_repair_archives(const struct aq_conf *conf, const struct aq_findings *f,
		       struct aq_err *err)
{
	cleanup_close int cache = -1;
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, err);

	for (size_t i = 0; !rc && i < f->n; i++)
		if (f->v[i].kind == AQ_FINDING_ARCHIVE && f->v[i].path &&
		    unlinkat(cache, f->v[i].path, 0) < 0 && errno != ENOENT)
			rc = aq_fail_errno(err, "cannot remove '%s'",
					   f->v[i].path);
	return rc;
}

int aq_repair_recount(const struct aq_conf *conf, const char *name,
		      struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	cleanup_store struct aq_store *store = NULL;
	char path[VERIFY_PATH_SIZE];
	struct aq_binding tie;
	int rc = aq_manifest_read(conf, name, &m, err);

	snprintf(path, sizeof(path), "%s/envs/%s", conf->cache_dir, name);
	if (!rc)
		rc = aq_usage_add_tree(&usage, AT_FDCWD, path, err);
	if (rc)
		return rc;
	m->env->size_own = usage.whole;
	m->env->size_shared = usage.total - usage.whole;
	tie = (struct aq_binding){ .key = m->key,
				   .digest = m->digest,
				   .context = m->context,
				   .canonical = m->canonical };
	rc = aq_manifest_rewrite(conf, m->env, &tie, err);
	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	return rc ? rc : aq_store_resize(store, m->env, err);
}

/* -- what led to it -- */

static int copy_binding(const struct aq_binding *b, void *arg,
			struct aq_err *err)
{
	struct aq_repair *r = arg;
	struct aq_repair_binding *new;

	if (!aq_grow(r->v, r->n, BINDINGS_MAX))
		return aq_fail_errno(err, "cannot remember what led to it");
	new = &r->v[r->n++];
	*new = (struct aq_repair_binding){ strdup(b->key), strdup(b->digest),
					   strdup(b->context),
					   strdup(b->canonical) };
	return new->key && new->digest && new->context && new->canonical ?
		0 : aq_fail(err, AQ_SYS, "out of memory");
}

static int bind_again(struct aq_store *store, const struct aq_repair *r,
		      const char *env, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->n; i++) {
		const struct aq_binding b = { .key = r->v[i].key,
					      .digest = r->v[i].digest,
					      .context = r->v[i].context,
					      .canonical = r->v[i].canonical };

		rc = aq_store_bind(store, env, &b, err);
	}
	return rc;
}

/* Whether 'key' leads to 'name', or would if its row could be read. */
static int leads_to(struct aq_store *store, const char *key, const char *name,
		    bool *ret, struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_find_key(store, key, &env, err);

	*ret = rc == AQ_CORRUPT || (!rc && strcmp(env->name, name) == 0);
	return rc == AQ_MISS || rc == AQ_CORRUPT ? 0 : rc;
}

/* A key that leads to a newer one by now shall not lead back. */
static int keep_current(struct aq_store *store, struct aq_repair *all,
			struct aq_repair *ret, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < all->n; i++) {
		const struct aq_repair_binding *v = &all->v[i];
		const struct aq_binding b = { .key = v->key,
					      .digest = v->digest,
					      .context = v->context,
					      .canonical = v->canonical };
		bool does_lead;

		rc = leads_to(store, v->key, ret->name, &does_lead, err);
		if (!rc && does_lead)
			rc = copy_binding(&b, ret, err);
	}
	return rc;
}

static int remember_bindings(struct aq_store *store, struct aq_repair *ret,
			     struct aq_err *err)
{
	cleanup_repair struct aq_repair all = { 0 };
	int rc = aq_store_bindings(store, ret->name, copy_binding, &all, err);

	return rc ? rc : keep_current(store, &all, ret, err);
}

/* What it was made for comes first: its manifest will say so again. */
static void put_first(struct aq_repair *r, const struct aq_manifest *m)
{
	for (size_t i = 1; i < r->n; i++) {
		struct aq_repair_binding v = r->v[i];

		if (strcmp(v.digest, m->digest) != 0 ||
		    strcmp(v.context, m->context) != 0)
			continue;
		r->v[i] = r->v[0];
		r->v[0] = v;
		return;
	}
}

static int remember(struct aq_store *store, const struct aq_conf *conf,
		    struct aq_repair *ret, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_bases bases = { 0 };
	int rc = remember_bindings(store, ret, err);

	if (!rc)
		rc = aq_store_bases(store, &bases, err);
	for (size_t i = 0; !rc && i < bases.n; i++)
		if (strcmp(bases.v[i].env, ret->name) == 0)
			snprintf(ret->base_of, sizeof(ret->base_of), "%s",
				 bases.v[i].python);
	if (rc)
		return rc;
	rc = aq_manifest_read(conf, ret->name, &m, err);
	if (rc == AQ_SYS) /* it may be whole: it is not to go */
		return rc;
	ret->has_manifest = !rc;
	if (ret->has_manifest)
		put_first(ret, m);
	rc = aq_store_find_exact(store, ret->name, &env, err);
	if (rc && rc != AQ_MISS && rc != AQ_CORRUPT)
		return rc;
	ret->is_pinned = rc ? m && m->env->pinned : env->pinned;
	return 0;
}

/* -- its row -- */

/* Nobody builds it as long as *ret_fd is open. */
static int keep_builders_out(const struct aq_conf *conf,
			     const struct aq_manifest *m, int *ret_fd,
			     struct aq_err *err)
{
	char lock[128];

	snprintf(lock, sizeof(lock), AQ_FLOCK_LOCK "%s", m->lock->digest);
	return aq_flock_try(conf, lock, AQ_FLOCK_EXCLUSIVE, ret_fd, err);
}

int aq_repair_adopt(const struct aq_conf *conf, const char *name,
		    struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	cleanup_repair struct aq_repair r = { 0 };
	cleanup_close int lock = -1;
	int rc = aq_manifest_read(conf, name, &m, err);

	if (rc)
		return rc == AQ_MISS ? AQ_CORRUPT : rc;
	snprintf(r.name, sizeof(r.name), "%s", name);
	rc = keep_builders_out(conf, m, &lock, err);
	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	if (!rc)
		rc = remember(store, conf, &r, err);
	if (!rc && aq_store_find_exact(store, name, &env, NULL) == AQ_CORRUPT)
		rc = aq_store_remove_damaged(store, name, err);
	if (!rc)
		rc = aq_store_adopt(store, conf, name, err);
	if (!rc)
		rc = bind_again(store, &r, name, err);
	if (!rc && r.base_of[0])
		rc = aq_store_base_set(store, r.base_of, name, err);
	return rc;
}

/* -- taking away -- */

struct inodes {
	ino_t *v;
	size_t n;
};

static void add_inode(struct inodes *inodes, int prefix, const char *path)
{
	char dir[AQ_WALK_PATH_MAX];
	const char *slash = strrchr(path, '/');
	cleanup_close int fd = -1;
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0,
		 path);
	if (aq_open_below(prefix, dir, &fd, NULL) == 0 &&
	    fstatat(fd, slash ? slash + 1 : path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_nlink > 1)
		inodes->v[inodes->n++] = st.st_ino;
}

/* Files that were changed, and that the package caches may have too. */
static int find_inodes(const struct aq_conf *conf, const char *name,
		       const struct aq_findings *f, struct inodes *ret,
		       struct aq_err *err)
{
	char path[VERIFY_PATH_SIZE];
	cleanup_close int prefix = -1;

	ret->v = calloc(f->n + 1, sizeof(*ret->v));
	if (!ret->v)
		return aq_fail(err, AQ_SYS, "out of memory");
	snprintf(path, sizeof(path), "%s/envs/%s", conf->cache_dir, name);
	if (aq_open_dir(AT_FDCWD, path, &prefix, NULL) != 0)
		return 0;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].path && (f->v[i].kind == AQ_FINDING_CONTENT ||
				     f->v[i].kind == AQ_FINDING_SEAL))
			add_inode(ret, prefix, f->v[i].path);
	return 0;
}

/* Remembered, with no handle open when it is taken away. */
static int remember_row(const struct aq_conf *conf, struct aq_repair *ret,
			struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = remember(store, conf, ret, err);
	if (!rc && ret->is_pinned && !ret->n)
		rc = aq_fail(err, AQ_BUSY, "it is pinned, and a newer one serves its request: unpin it");
	return rc;
}

int aq_repair_take(const struct aq_conf *conf, const char *name,
		   const struct aq_findings *f, struct aq_repair *ret,
		   struct aq_err *err)
{
	struct inodes inodes = { 0 };
	int rc;

	snprintf(ret->name, sizeof(ret->name), "%s", name);
	rc = remember_row(conf, ret, err);
	if (!rc && f)
		rc = find_inodes(conf, name, f, &inodes, err);
	/* even if it is used and stays: nothing else shall be built from these */
	if (!rc && inodes.n)
		rc = aq_collect_inodes(conf, inodes.v, inodes.n, err);
	free(inodes.v);
	if (!rc)
		rc = aq_collect_damaged(conf, name, err);
	if (rc)
		aq_repair_free(ret);
	else if (!ret->has_manifest) /* else a build replaces it */
		(void)!aq_manifest_remove(conf, name, NULL);
	return rc;
}

int aq_repair_restore(const struct aq_conf *conf, const struct aq_repair *r,
		      const char *env, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);

	if (!rc)
		rc = bind_again(store, r, env, err);
	if (!rc && r->is_pinned)
		rc = aq_store_pin(store, env, true, err);
	if (!rc && r->base_of[0])
		rc = aq_store_base_set(store, r->base_of, env, err);
	return rc;
}

int aq_repair_children(const struct aq_conf *conf, const char *name,
		       struct aq_strv *ret, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	cleanup_free struct aq_candidate *v = NULL;
	size_t n = 0;
	int rc = aq_refs_open(conf, &refs, err);

	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_READ, &store, err);
	if (!rc)
		rc = aq_store_child_names(store, name, ret, err);
	if (!rc)
		rc = aq_store_candidates(store, refs, &v, &n, err);
	for (size_t i = 0; !rc && i < n; i++)
		if (v[i].is_held && (strcmp(v[i].name, name) == 0 ||
				     aq_strv_has(ret, v[i].name)))
			rc = aq_fail(err, AQ_BUSY, strcmp(v[i].name, name) == 0 ?
					     "it is in use" :
					     "what inherits from it is in use");
	return rc;
}
