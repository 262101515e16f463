/* SPDX-License-Identifier: Apache-2.0 */
/* Files against what is known of them: first what root noted when it sealed the
 * prefix (common/sums.h), since clients rewrite some files after they recorded
 * them; then what the packages' records say.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/grow.h"
#include "common/io.h"
#include "common/sums.h"
#include "common/verify_inside.h"

/* -- claims -- */

void claims_free(struct claims *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].path);
	free(c->v);
	free(c->is_replaced);
	aq_strv_free(&c->packages);
	*c = (struct claims)CLAIMS_INIT;
}

int claims_add(struct claims *c, const char *path, char kind, int package,
	       const char *sha256, uint64_t size, struct aq_err *err)
{
	struct claim new = { .kind = kind, .package = package, .size = size };

	if (!aq_grow(c->v, c->n, CLAIMS_MAX))
		return aq_fail_errno(err, "cannot remember its files");
	snprintf(new.sha256, sizeof(new.sha256), "%s", sha256);
	new.path = strdup(path);
	if (!new.path)
		return aq_fail(err, AQ_SYS, "out of memory");
	c->v[c->n++] = new;
	return 0;
}

int claims_add_package(struct claims *c, const char *name, int *ret,
		       struct aq_err *err)
{
	if (!aq_grow(c->is_replaced, c->packages.n, AQ_LOCK_ITEMS_MAX + 1))
		return aq_fail_errno(err, "cannot remember its packages");
	c->is_replaced[c->packages.n] = false;
	aq_strv_add(&c->packages, name);
	*ret = (int)c->packages.n - 1;
	return aq_strv_done(&c->packages, "packages", err);
}

/* By path; root's own notes before the packages'. */
static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int diff = strcmp(x->path, y->path);

	return diff ? diff : x->package - y->package;
}

/* The first claim to 'path'; NULL: nobody knows it. */
static struct claim *find_claim(const struct claims *c, const char *path)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(c->v[mid].path, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->n && strcmp(c->v[low].path, path) == 0 ? &c->v[low] :
								   NULL;
}

static const struct claim *end_of(const struct claims *c,
				  const struct claim *first)
{
	const struct claim *p = first;

	while (p < c->v + c->n && strcmp(p->path, first->path) == 0)
		p++;
	return p;
}

/* The package that a path is of; byte-code is of its source's. */
static const char *package_of(const struct claims *c, const char *path)
{
	const struct claim *first = find_claim(c, path), *p = first;
	char source[AQ_WALK_PATH_MAX];
	const char *name, *dir;

	for (; first && p < end_of(c, first); p++)
		if (p->package >= 0)
			return c->packages.v[p->package];
	if (!aq_sums_is_bytecode(path))
		return NULL;
	name = strrchr(path, '/') + 1;
	dir = name - strlen("__pycache__/");
	snprintf(source, sizeof(source), "%.*s%.*s.py", (int)(dir - path), path,
		 (int)strcspn(name, "."), name);
	return package_of(c, source);
}

/* " of package 'x'", or nothing. */
static const char *say_package(const char *package, char buf[128])
{
	buf[0] = '\0';
	if (package)
		snprintf(buf, 128, " of package '%s'", package);
	return buf;
}

/* -- beginning -- */

static int add_sum(const struct aq_sum *sum, void *arg, struct aq_err *err)
{
	return claims_add(arg, sum->path, sum->kind, -1, sum->sha256, sum->size,
			  err);
}

static bool is_pending(const struct aq_conf *conf, const char *name)
{
	char path[64 + AQ_ENV_NAME_SIZE];

	snprintf(path, sizeof(path), "work/" AQ_SUMS_PENDING "/%s", name);
	return verify_is_there(conf, path);
}

static int read_sums(struct contents *c, const char *name, struct aq_err *err)
{
	cleanup_str struct aq_str sums = AQ_STR_INIT(AQ_SUMS_MAX);
	struct aq_err why = { 0 };
	/* first: the mark goes once they are there */
	bool is_new = is_pending(c->v->conf, name);
	int rc = aq_sums_read(c->v->conf, name, &sums, &why);

	if (rc == AQ_MISS && is_new) {
		c->v->n_unnoted++;
		return AQ_CORRUPT;
	}
	if (!rc)
		rc = aq_sums_each(&sums, add_sum, &c->claims, &why);
	if (rc == AQ_MISS || rc == AQ_CORRUPT) {
		aq_findings_add(c->f, AQ_FINDING_MANIFEST, NULL, NULL,
				rc == AQ_MISS ? "its manifest has no 'sums' to compare with" :
						"its manifest's 'sums' are damaged");
		return AQ_CORRUPT;
	}
	return rc ? aq_fail(err, (enum aq_class)rc, "%s", why.text) : 0;
}

int verify_contents_begin(struct contents *c, int prefix,
			  const struct aq_manifest *m, struct aq_err *err)
{
	int rc = read_sums(c, m->env->name, err);

	if (!rc)
		rc = verify_read_records(prefix, m, &c->claims, c->f, err);
	if (!rc && c->claims.n)
		qsort(c->claims.v, c->claims.n, sizeof(*c->claims.v),
		      compare_claims);
	return rc;
}

/* -- each file -- */

static void say_changed(struct contents *c, const struct aq_walk_entry *e,
			const char *what)
{
	const char *package = package_of(&c->claims, e->path);
	char buf[128];

	aq_findings_add(c->f, AQ_FINDING_CONTENT, package, e->path, "'%s'%s %s",
			e->path, say_package(package, buf), what);
}

/* What the packages say of it: one of them is right. */
static bool is_as_recorded(const struct claims *c, const struct claim *first,
			   const char *sha256)
{
	bool is_any = false;

	for (const struct claim *p = first; p < end_of(c, first); p++) {
		if (p->package < 0)
			continue;
		if (!p->sha256[0] || strcmp(p->sha256, sha256) == 0)
			return true;
		is_any = true;
	}
	return !is_any;
}

static int look_at_file(struct contents *c, struct claim *first,
			const struct aq_walk_entry *e, struct aq_err *err)
{
	char sha256[AQ_SHA256_HEX_SIZE];
	bool is_fine;
	int rc = verify_hash(c->v, e->dirfd, e->name, e->st,
			     e->st->st_nlink > 1, sha256, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	if (first->kind == 'f')
		is_fine = strcmp(first->sha256, sha256) == 0;
	else
		is_fine = (first->kind != 's' ||
			   first->size == (uint64_t)e->st->st_size) &&
			  is_as_recorded(&c->claims, first, sha256);
	if (!is_fine)
		say_changed(c, e, "was changed");
	return 0;
}

static int look_at_link(struct contents *c, const struct claim *first,
			const struct aq_walk_entry *e, struct aq_err *err)
{
	char sha256[AQ_SHA256_HEX_SIZE];
	int rc = aq_sums_link(e->dirfd, e->name, sha256, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	if (strcmp(first->sha256, sha256) != 0)
		say_changed(c, e, "leads elsewhere");
	return 0;
}

int verify_contents_look(struct contents *c, const struct aq_walk_entry *e,
			 struct aq_err *err)
{
	bool is_link = S_ISLNK(e->st->st_mode);
	struct claim *first;

	if (!is_link && !S_ISREG(e->st->st_mode))
		return 0;
	first = find_claim(&c->claims, e->path);
	if (!first && c->is_growing && aq_sums_is_bytecode(e->path))
		return 0;
	if (!first) {
		aq_findings_add(c->f, AQ_FINDING_EXTRA, NULL, e->path,
				"'%s' is of no package, and was not there when it was built",
				e->path);
		return 0;
	}
	first->is_seen = true;
	if (is_link != (first->kind == 'l')) {
		say_changed(c, e, is_link ? "was replaced by a link" :
					    "is no link any more");
		return 0;
	}
	return is_link ? look_at_link(c, first, e, err) :
			 look_at_file(c, first, e, err);
}

/* -- the end -- */

/* A wheel that took a package's place took its files away. */
static bool is_needed(const struct claims *c, const struct claim *first)
{
	for (const struct claim *p = first; p < end_of(c, first); p++)
		if (p->package < 0 || !c->is_replaced[p->package])
			return true;
	return false;
}

void verify_contents_finish(struct contents *c)
{
	const struct claim *p = c->claims.v;

	while (p && p < c->claims.v + c->claims.n) {
		const struct claim *next = end_of(&c->claims, p);
		const char *package = package_of(&c->claims, p->path);
		char buf[128];

		if (!p->is_seen && is_needed(&c->claims, p))
			aq_findings_add(c->f, AQ_FINDING_MISSING, package,
					p->path, "'%s'%s is missing", p->path,
					say_package(package, buf));
		p = next;
	}
}

/* -- archives -- */

/* Another channel's package may have the name, and then the archive's too: the builder
 * noted which archive the directory of that name is ("SHA256 INODE").
 */
static bool is_noted(int work, const struct aq_lock_item *item, const char *sha256)
{
	cleanup_close int fd = -1;
	char path[VERIFY_PATH_SIZE], said[AQ_SHA256_HEX_SIZE] = "";

	snprintf(path, sizeof(path), "checked/%s-%s-%s", item->name,
		 item->version, item->build);
	fd = openat(work, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && read(fd, said, sizeof(said) - 1) > 0 &&
	       strcmp(said, sha256) == 0;
}

static int look_at_archive(struct aq_verify *v, int work, int pkgs,
			   const struct aq_lock_item *item,
			   struct aq_findings *f, struct aq_err *err)
{
	const char *file = strrchr(item->url, '/');
	char sha256[AQ_SHA256_HEX_SIZE], path[VERIFY_PATH_SIZE];
	struct stat st;
	int rc;

	if (!file || !*++file ||
	    fstatat(pkgs, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	rc = verify_hash(v, pkgs, file, &st, true, sha256, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	snprintf(path, sizeof(path), "work/pkgs/%s", file);
	if (strcmp(sha256, item->sha256) != 0 && !is_noted(work, item, sha256))
		aq_findings_add(f, AQ_FINDING_ARCHIVE, item->name, path,
				"'%s' is not the archive of '%s' that its lock names",
				path, item->name);
	return 0;
}

int verify_archives(struct aq_verify *v, const struct aq_lock *lock,
		    struct aq_findings *f, struct aq_err *err)
{
	char path[VERIFY_PATH_SIZE];
	cleanup_close int work = -1, pkgs = -1;
	int rc;

	snprintf(path, sizeof(path), "%s/work", v->conf->cache_dir);
	rc = aq_open_dir(AT_FDCWD, path, &work, err);
	if (!rc)
		rc = aq_open_dir(work, "pkgs", &pkgs, err);
	for (size_t i = 0; !rc && i < lock->n_items; i++)
		if (lock->items[i].kind == AQ_LOCK_CONDA)
			rc = look_at_archive(v, work, pkgs, &lock->items[i], f, err);
	return rc == AQ_MISS ? 0 : rc;
}
