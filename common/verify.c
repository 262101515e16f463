/* SPDX-License-Identifier: Apache-2.0 */
/* One environment: its row against its manifest against its files. */
#include "common/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/usage.h"
#include "common/verify_inside.h"

void aq_verify_end(struct aq_verify *v)
{
	verify_hashes_free(v->hashes);
	v->hashes = NULL;
}

bool verify_is_there(const struct aq_conf *conf, const char *path)
{
	char full[VERIFY_PATH_SIZE];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", conf->cache_dir, path);
	return lstat(full, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* -- row and manifest -- */

static bool has_other_ops(const struct aq_env *a, const struct aq_env *b)
{
	return a->ops_len != b->ops_len ||
	       (a->ops_len && memcmp(a->ops, b->ops, a->ops_len) != 0);
}

/* What became a base has the kind of that in its row alone. */
static bool has_other_kind(const struct aq_env *row, const struct aq_env *m)
{
	return row->kind != m->kind && row->kind != AQ_ENV_BASE;
}

struct wanted {
	const struct aq_manifest *m;
	bool is_bound;
};

static int look_for_request(const struct aq_binding *b, void *arg,
			    struct aq_err *err)
{
	struct wanted *w = arg;

	(void)err;
	w->is_bound |= strcmp(b->key, w->m->key) == 0 &&
		       (strcmp(b->digest, w->m->digest) != 0 ||
			strcmp(b->canonical, w->m->canonical) == 0);
	return 0;
}

static void compare(const struct aq_env *row, const struct aq_manifest *m,
		    struct aq_findings *f)
{
	const struct {
		const char *what;
		bool differs;
	} parts[] = {
		{ "lock", strcmp(row->lock, m->env->lock) != 0 },
		{ "kind", has_other_kind(row, m->env) },
		{ "base", strcmp(row->base, m->env->base) != 0 },
		{ "Python", strcmp(row->python, m->env->python) != 0 },
		{ "activation", has_other_ops(row, m->env) },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].differs)
			aq_findings_add(f, AQ_FINDING_MANIFEST, NULL, NULL,
					"its manifest has another %s than its row",
					parts[i].what);
}

static int check_manifest(const struct aq_conf *conf, struct aq_store *store,
			  const struct aq_env *row, struct aq_manifest **ret,
			  struct aq_findings *f, struct aq_err *err)
{
	struct wanted w = { 0 };
	struct aq_err why = { 0 };
	int rc = aq_manifest_read(conf, row->name, ret, &why);

	if (rc == AQ_SYS) /* what cannot be read now is not damaged */
		return aq_fail(err, AQ_SYS, "%s", why.text);
	if (rc == AQ_MISS)
		aq_findings_add(f, AQ_FINDING_MANIFEST, NULL, NULL,
				"it has no manifest in meta/");
	else if (rc)
		aq_findings_add(f, AQ_FINDING_MANIFEST, NULL, NULL,
				"its manifest cannot be read: %s", why.text);
	if (rc)
		return 0;
	compare(row, *ret, f);
	w.m = *ret;
	rc = aq_store_bindings(store, row->name, look_for_request, &w, err);
	if (!rc && !w.is_bound)
		aq_findings_add(f, AQ_FINDING_MANIFEST, NULL, NULL,
				"its row does not know the request that its manifest was made for");
	return rc;
}

static int check_base(struct aq_store *store, const struct aq_env *row,
		      struct aq_findings *f, struct aq_err *err)
{
	cleanup_env struct aq_env *base = NULL;
	int rc;

	if (row->kind != AQ_ENV_INHERITED)
		return 0;
	rc = aq_store_find_exact(store, row->base, &base, err);
	if (rc == AQ_MISS)
		aq_findings_add(f, AQ_FINDING_BASE, NULL, NULL,
				"it inherits from '%s', which is not there",
				row->base);
	return rc == AQ_MISS || rc == AQ_CORRUPT ? 0 : rc;
}

/* -- files -- */

struct look {
	struct aq_verify *v;
	const char *name;
	uid_t accounts[2]; /* whose files may be shared with the package cache */
	struct aq_usage usage;
	struct contents *contents; /* or NULL */
	bool is_growing;
	dev_t dev;
	struct aq_findings *f;
};

/* An account that is not found is an error: of one that is not there, of a directory
 * service that does not answer, and of /etc/passwd that could not be opened, which
 * glibc does not tell, all files would seem to be strangers'.
 */
static int find_accounts(const struct aq_conf *conf, uid_t ret[2],
			 struct aq_err *err)
{
	const char *const names[] = { conf->builder_user, conf->probe_user };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct passwd *p;

		ret[i] = geteuid();
		if (ret[i] != 0 || !names[i]) /* nobody builds for us */
			continue;
		errno = 0;
		p = getpwnam(names[i]);
		if (!p && errno)
			return aq_fail_errno(err, "cannot look for account '%s'",
					     names[i]);
		if (!p)
			return aq_fail(err, AQ_SYS,
				       "account '%s', who may own files of environments, is not found on this node: create it, or have aq.conf name the one that there is",
				       names[i]);
		ret[i] = p->pw_uid;
	}
	return 0;
}

static bool is_ours(const struct look *l, const struct stat *st)
{
	if (st->st_uid == geteuid())
		return true;
	/* while other copies went, what was shared can be the only one left */
	return !S_ISDIR(st->st_mode) && (st->st_uid == l->accounts[0] ||
					 st->st_uid == l->accounts[1]);
}

/* As builder/seal.c left it: what can be written or run as others, by whom. */
static void judge(const struct look *l, const struct aq_walk_entry *e)
{
	const char *path = *e->path ? e->path : NULL;
	const char *shown = *e->path ? e->path : "its prefix";
	mode_t mode = e->st->st_mode & 07777;

	if (!is_ours(l, e->st))
		aq_findings_add(l->f, AQ_FINDING_SEAL, NULL, path,
				"'%s' belongs to user %u", shown, e->st->st_uid);
	if (S_ISLNK(e->st->st_mode))
		return;
	if (S_ISDIR(e->st->st_mode) && mode != 0555 &&
	    !(l->is_growing && !(mode & 022)))
		aq_findings_add(l->f, AQ_FINDING_SEAL, NULL, path,
				"'%s' has mode 0%o, not 0555", shown, mode);
	else if (S_ISREG(e->st->st_mode) && (mode & ~0111u) != 0444)
		aq_findings_add(l->f, AQ_FINDING_SEAL, NULL, path,
				"'%s' has mode 0%o, not 0%o", shown, mode,
				(mode & 0111) | 0444);
	else if (!S_ISREG(e->st->st_mode) && !S_ISDIR(e->st->st_mode))
		aq_findings_add(l->f, AQ_FINDING_SEAL, NULL, path,
				"'%s' is neither file, directory nor link",
				shown);
}

static int look(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	struct look *l = arg;

	if (e->is_end)
		return 0;
	if (l->v->tick)
		l->v->tick(l->name, l->v->arg);
	judge(l, e);
	if (S_ISDIR(e->st->st_mode) &&
	    (e->is_too_deep || (*e->path && e->st->st_dev != l->dev))) {
		aq_findings_add(l->f, AQ_FINDING_SEAL, NULL, e->path,
				"'%s' is %s", e->path,
				e->is_too_deep ? "nested too deeply" :
						 "a mount point");
		return AQ_WALK_SKIP;
	}
	if (!*e->path) /* overlayfs says another of files than of directories */
		l->dev = e->st->st_dev;
	if (!aq_usage_add(&l->usage, e->dirfd, e->name, e->st))
		return aq_fail(err, AQ_SYS, "out of memory");
	return l->contents ? verify_contents_look(l->contents, e, err) : 0;
}

static int walk(struct look *l, int envs, const struct aq_env *row,
		struct aq_err *err)
{
	uint64_t size = row->size_own + row->size_shared;
	int rc = aq_walk(envs, row->name, look, l, err);

	if (!rc && !l->is_growing && l->usage.total != size)
		aq_findings_add(l->f, AQ_FINDING_SIZE, NULL, NULL,
				"it takes %" PRIu64 " bytes, its row says %" PRIu64,
				l->usage.total, size);
	aq_usage_free(&l->usage);
	return rc;
}

static int walk_with_contents(struct look *l, int envs,
			      const struct aq_env *row,
			      const struct aq_manifest *m, struct aq_err *err)
{
	struct contents c = { .v = l->v, .claims = CLAIMS_INIT, .f = l->f,
			      .is_growing = l->is_growing };
	cleanup_close int prefix = -1;
	int rc = aq_open_dir(envs, row->name, &prefix, err);

	if (!rc)
		rc = verify_contents_begin(&c, prefix, m, err);
	if (rc == AQ_CORRUPT) { /* nothing to compare with: it is said */
		rc = walk(l, envs, row, err);
	} else if (!rc) {
		l->contents = &c;
		rc = walk(l, envs, row, err);
		if (!rc)
			verify_contents_finish(&c);
	}
	claims_free(&c.claims);
	return rc ? rc : verify_archives(l->v, m->lock, l->f, err);
}

static int check_files(struct aq_verify *v, const struct aq_env *row,
		       const struct aq_manifest *m, struct aq_findings *f,
		       struct aq_err *err)
{
	struct look l = { .v = v, .name = row->name, .f = f };
	char path[VERIFY_PATH_SIZE];
	cleanup_close int envs = -1;
	struct stat st;
	int rc;

	snprintf(path, sizeof(path), "%s/envs", v->conf->cache_dir);
	rc = aq_open_dir(AT_FDCWD, path, &envs, err);
	if (!rc && fstatat(envs, row->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		rc = errno == ENOENT ? AQ_MISS :
			     aq_fail_errno(err, "cannot examine '%s'", row->name);
	if (rc && rc != AQ_MISS)
		return rc;
	if (rc) {
		aq_findings_add(f, AQ_FINDING_PREFIX, NULL, NULL,
				"its files are not there");
		return 0;
	}
	if (!S_ISDIR(st.st_mode)) {
		aq_findings_add(f, AQ_FINDING_PREFIX, NULL, NULL,
				"its prefix is no directory");
		return 0;
	}
	snprintf(path, sizeof(path), "work/bytecode/pending/%s", row->name);
	l.is_growing = verify_is_there(v->conf, path);
	rc = find_accounts(v->conf, l.accounts, err);
	if (rc)
		return rc;
	return v->has_contents && m ? walk_with_contents(&l, envs, row, m, err) :
				      walk(&l, envs, row, err);
}

/* -- without a row -- */

static int check_orphan(struct aq_verify *v, const char *name,
			struct aq_findings *f, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	char envs[VERIFY_PATH_SIZE], meta[VERIFY_PATH_SIZE];
	bool has_files, has_meta;
	int rc;

	snprintf(envs, sizeof(envs), "envs/%s", name);
	snprintf(meta, sizeof(meta), "meta/%s", name);
	has_files = verify_is_there(v->conf, envs);
	has_meta = verify_is_there(v->conf, meta);
	rc = has_files || has_meta ? aq_flock_check_build(v->conf, name, err) :
				     AQ_BUSY;
	if (rc == AQ_BUSY)
		return aq_fail(err, AQ_MISS, "no environment is named '%s'", name);
	if (!rc && has_files)
		rc = aq_manifest_read(v->conf, name, &m, err);
	if (rc == AQ_SYS) /* it cannot be said */
		return rc;
	if (!has_files)
		aq_findings_add(f, AQ_FINDING_ORPHAN, NULL, meta,
				"'%s' is there without a row and without files",
				meta);
	else if (!rc)
		aq_findings_add(f, AQ_FINDING_ORPHAN, NULL, envs,
				"'%s' is there with a whole manifest, but without a row",
				envs);
	else
		aq_findings_add(f, AQ_FINDING_ORPHAN, NULL, envs,
				"'%s' is there without a row and without a manifest",
				envs);
	return 0;
}

/* -- one environment -- */

/* The row; AQ_MISS: there is none. */
static int read_row(struct aq_verify *v, const char *name,
		    struct aq_store **store, struct aq_env **ret,
		    struct aq_err *err)
{
	int rc = aq_store_open(v->conf, AQ_STORE_READ, store, err);

	return rc ? rc : aq_store_find_exact(*store, name, ret, err);
}

/* AQ_MISS: the row is not as it was any more, or there is one now. */
static int look_once_more(struct aq_verify *v, const char *name,
			  const struct aq_env *was, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *is = NULL;
	int rc = read_row(v, name, &store, &is, err);
	bool is_same = !was;

	if (!rc)
		is_same = was && was->created == is->created &&
			  was->size_own + was->size_shared ==
				  is->size_own + is->size_shared;
	else if (rc != AQ_MISS)
		return rc == AQ_CORRUPT ? 0 : rc; /* that is found elsewhere */
	return is_same ? 0 : AQ_MISS;
}

static int verify_row(struct aq_verify *v, const struct aq_env *row,
		      struct aq_store **store, struct aq_findings *f,
		      struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	int rc = check_manifest(v->conf, *store, row, &m, f, err);

	if (!rc)
		rc = check_base(*store, row, f, err);
	/* others may have to set the database aside meanwhile */
	aq_store_close(*store);
	*store = NULL;
	return rc ? rc : check_files(v, row, m, f, err);
}

int aq_verify_env(struct aq_verify *v, const char *name,
		  struct aq_findings *ret, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *row = NULL;
	struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = read_row(v, name, &store, &row, err);
	bool is_unreadable = rc == AQ_CORRUPT && store;
	int then = 0;

	if (is_unreadable) {
		aq_findings_add(ret, AQ_FINDING_ROW, NULL, NULL,
				"its row in cache.db cannot be read");
		return aq_findings_done(ret, err);
	}
	/* a damaged cache.db, or none, is found elsewhere */
	if (rc && rc != AQ_MISS && rc != AQ_CORRUPT)
		return rc;
	if (!row && !store && rc != AQ_MISS)
		return AQ_MISS;
	rc = row ? verify_row(v, row, &store, &f, err) :
		   check_orphan(v, name, &f, err);
	if (!rc)
		rc = aq_findings_done(&f, err);
	aq_store_close(store);
	store = NULL;
	if (rc || f.n)
		then = look_once_more(v, name, row, rc ? NULL : err);
	if (rc || then) {
		aq_findings_free(&f);
		/* built or collected while we looked */
		return then == AQ_MISS ? 0 : rc ? rc : then;
	}
	*ret = f;
	return 0;
}
