/* SPDX-License-Identifier: Apache-2.0 */
/* The package caches below work/: what no environment shares goes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/usage.h"
#include "common/walk.h"

#define PATH_SIZE 1024

/* Whether 'name' is a directory of which nothing is linked elsewhere, and how
 * much it holds.
 */
static int measure(int dir, const char *name, bool *ret, uint64_t *ret_bytes,
		   struct aq_err *err)
{
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	struct stat st;
	int rc;

	*ret = false;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode))
		return 0;
	rc = aq_usage_add_tree(&usage, dir, name, err);
	*ret = !rc && usage.total == usage.whole;
	*ret_bytes = usage.whole;
	return rc;
}

struct search {
	const struct caches *c;
	bool is_found;
};

static int look_for_inode(const struct aq_walk_entry *e, void *arg,
			  struct aq_err *err)
{
	struct search *s = arg;

	(void)err;
	for (size_t i = 0; i < s->c->n_inodes; i++)
		s->is_found |= e->st->st_ino == s->c->inodes[i];
	return 0;
}

/* Whether 'name' has one of the files that are looked for. */
static int search(const struct caches *c, int dir, const char *name, bool *ret,
		  struct aq_err *err)
{
	struct search s = { .c = c };
	int rc = aq_walk(dir, name, look_for_inode, &s, err);

	*ret = s.is_found;
	return rc == AQ_MISS ? 0 : rc;
}

static bool has_mark(const struct caches *c, int dir, const char *name)
{
	char path[NAME_MAX + 16];

	if (!c->mark)
		return true;
	snprintf(path, sizeof(path), "%s/%s", name, c->mark);
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int aq_collect_entry(const char *name, void *arg, struct aq_err *err)
{
	cleanup_close int dir = -1;
	struct caches *c = arg;
	bool is_unused = false;
	uint64_t bytes = 0;
	int rc = aq_collect_open(c->conf, c->sub, &dir, err);

	if (!rc && c->inodes)
		rc = search(c, dir, name, &is_unused, err);
	else if (!rc && has_mark(c, dir, name))
		rc = measure(dir, name, &is_unused, &bytes, err);
	if (rc || !is_unused)
		return rc;
	c->bytes += bytes;
	if (c->ids)
		aq_strv_add(c->ids, name);
	return c->is_dry || c->ids ? 0 : aq_remove_tree(dir, name, err);
}

/* -- conda's packages and byte-code -- */

/* The archives of packages that are not unpacked any more, and rattler's locks of them;
 * nothing links them.
 */
static int look_at_archive(const char *name, void *arg, struct aq_err *err)
{
	static const char *const ends[] = { ".conda", ".tar.bz2", ".lock" };
	cleanup_close int dir = -1;
	struct caches *c = arg;
	char stem[NAME_MAX + 1];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (!aq_ends_with(name, ends[i]))
			continue;
		if (aq_collect_open(c->conf, c->sub, &dir, err) != 0)
			return AQ_SYS;
		snprintf(stem, sizeof(stem), "%.*s",
			 (int)(strlen(name) - strlen(ends[i])), name);
		if (faccessat(dir, stem, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		c->bytes += (uint64_t)st.st_blocks * 512;
		return !c->is_dry && unlinkat(dir, name, 0) < 0 ?
			aq_fail_errno(err, "cannot remove '%s'", name) : 0;
	}
	return 0;
}

/* What is known of packages that are not there any more: builder/packages.h. */
static int look_at_checked(const char *name, void *arg, struct aq_err *err)
{
	const struct caches *c = arg;
	cleanup_close int checked = -1, pkgs = -1;
	int rc = aq_collect_open(c->conf, "work/checked", &checked, err);

	if (!rc)
		rc = aq_collect_open(c->conf, "work/pkgs", &pkgs, err);
	if (rc || c->is_dry ||
	    faccessat(pkgs, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return rc == AQ_MISS ? 0 : rc;
	return unlinkat(checked, name, 0) < 0 && errno != ENOENT ?
		aq_fail_errno(err, "cannot remove '%s'", name) : 0;
}

static int look_at_bytecode(const char *python, void *arg, struct aq_err *err)
{
	struct caches *c = arg;
	struct caches below = *c;
	char sub[PATH_SIZE];
	int rc;

	if (strcmp(python, "pending") == 0)
		return 0;
	snprintf(sub, sizeof(sub), "work/bytecode/%s", python);
	below.sub = sub;
	rc = aq_collect_each_entry(c->conf, sub, aq_collect_entry, &below, err);
	c->bytes = below.bytes;
	return rc;
}

/* -- what was interrupted, and what sources were fetched and built -- */

/* In bytes: what resolvers read of pip's index is fetched again, so it may grow to what
 * they use every day (0.3 MiB a project), and not to what users may think of asking for.
 * Which channels there are is the administrator's to say: their indexes have no limit.
 */
#define INDEX_MAX ((uint64_t)512 * 1024 * 1024)

/* What of a leftover's kind is none. */
enum keep {
	KEEP_NOTHING,
	KEEP_OF_ENV, /* what has the name of an environment that is there */
	/* the same while it is empty: there it is mounted, and rmdir(2) takes mounts away */
	KEEP_PLACE,
	KEEP_COMPILER, /* what makes byte-code, which works without the caches' lock */
};

/* Where builders and clients put what they have not finished, and what is such a place
 * there; in a private domain also uv's repositories, and wheels that it built, which point
 * to archives and of which nothing is linked.  What is made of an environment goes with
 * it.  And what resolvers keep of an index.
 */
static const struct unfinished {
	const char *sub, *prefix;
	enum keep keep;
	uint64_t max; /* bytes, which are no leftover yet */
} unfinished[] = {
	{ "work/tmp", "", 0, 0 }, /* TMPDIR */
	{ "work/alone", "", 0, 0 }, /* of one build each */
	{ "work/pass", "", KEEP_COMPILER, 0 },
	{ "work/probe", "", KEEP_COMPILER, 0 },
	/* half built; before the packages whose files it shares */
	{ "work/envs", "", KEEP_PLACE, 0 },
	{ "work/stubs", "", KEEP_OF_ENV, 0 }, /* others are of one resolution */
	{ "work/bare", "", KEEP_OF_ENV, 0 },
	{ "work/wheels", ".tmp", 0, 0 },
	{ "work/pkgs", ".", 0, 0 }, /* rattler: "." and the package's name, too */
	{ "work/wheels", "git-v", 0, 0 },
	{ "work/wheels", "sdists-v", 0, 0 },
	{ "work/wheels", "builds-v", 0, 0 },
	{ "work/wheels", "simple-v", 0, INDEX_MAX },
	{ "work/wheels", "flat-index-v", 0, INDEX_MAX },
	{ "work/wheels", "wheels-v", 0, INDEX_MAX }, /* metadata, and pointers */
	{ "work/wheels", "pip", 0, INDEX_MAX },
	{ "work/known", "", 0, INDEX_MAX },
};

struct leftovers {
	struct caches *c;
	const struct unfinished *of;
	int dir;
};

static int find_any(const char *name, void *arg, struct aq_err *err)
{
	(void)name;
	(void)arg;
	(void)err;
	return AQ_BUSY;
}

/* A builder's programs may have put anything there. */
static bool is_empty_dir(int dirfd, const char *name)
{
	cleanup_close int fd = -1;

	return aq_open_dir(dirfd, name, &fd, NULL) == 0 &&
	       aq_each_entry(fd, name, find_any, NULL, NULL) == 0;
}

static bool is_kept(const struct leftovers *l, const char *name)
{
	cleanup_close int envs = -1;
	enum keep keep = l->of->keep;

	if (!aq_starts_with(name, l->of->prefix))
		return true;
	if (keep == KEEP_COMPILER)
		return strcmp(name, AQ_WORK_COMPILER) == 0;
	if (keep == KEEP_NOTHING ||
	    (keep == KEEP_PLACE && !is_empty_dir(l->dir, name)))
		return false;
	return aq_collect_open(l->c->conf, "envs", &envs, NULL) != 0 ||
	       faccessat(envs, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

static int look_at_leftover(const char *name, void *arg, struct aq_err *err)
{
	const struct leftovers *l = arg;
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	int rc;

	if (is_kept(l, name))
		return 0;
	rc = aq_usage_add_tree(&usage, l->dir, name, err);
	if (rc || (l->of->max && usage.whole <= l->of->max))
		return rc;
	l->c->bytes += usage.whole;
	return l->c->is_dry ? 0 : aq_remove_tree(l->dir, name, err);
}

/* Nobody builds: nobody will finish it. */
static int collect_unfinished(struct caches *c, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(unfinished); i++) {
		struct leftovers l = { c, &unfinished[i], -1 };
		cleanup_close int dir = -1;

		rc = aq_collect_open(c->conf, unfinished[i].sub, &dir, err);
		l.dir = dir;
		if (!rc)
			rc = aq_each_entry(dir, unfinished[i].sub,
					   look_at_leftover, &l, err);
		if (rc == AQ_MISS)
			rc = 0;
	}
	return rc;
}

/* A builder through with its build may still compile for others. */
static int collect_bytecode(struct caches *c, struct aq_err *err)
{
	cleanup_close int lock = -1;
	int rc = aq_flock_try(c->conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE,
			      &lock, err);

	return rc ? rc : aq_collect_each_entry(c->conf, "work/bytecode",
					       look_at_bytecode, c, err);
}

int aq_collect_caches(const struct aq_conf *conf, bool is_dry,
		      uint64_t *ret_bytes, struct aq_err *err)
{
	cleanup_close int caches = -1;
	struct caches c = { .conf = conf, .is_dry = is_dry };
	int rc = aq_flock_try(conf, AQ_FLOCK_CACHES, AQ_FLOCK_EXCLUSIVE, &caches,
			      err);

	*ret_bytes = 0;
	if (!rc) /* what shares files with packages, and points to archives */
		rc = collect_unfinished(&c, err);
	c.sub = "work/pkgs";
	c.mark = "info"; /* an unpacked package: mamba keeps indexes there too */
	if (!rc)
		rc = aq_collect_each_entry(conf, c.sub, aq_collect_entry, &c, err);
	c.mark = NULL;
	if (!rc)
		rc = aq_collect_each_entry(conf, c.sub, look_at_archive, &c, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, "work/checked", look_at_checked,
					   &c, err);
	if (!rc)
		rc = aq_collect_wheels(&c, err);
	if (!rc)
		rc = aq_collect_wheel_files(&c, err);
	if (!rc)
		rc = collect_bytecode(&c, err);
	*ret_bytes = c.bytes;
	return rc == AQ_BUSY ? 0 : rc;
}

int aq_collect_inodes(const struct aq_conf *conf, const ino_t *inodes, size_t n,
		      struct aq_err *err)
{
	cleanup_close int caches = -1, bytecode = -1;
	struct caches c = { .conf = conf, .inodes = inodes, .n_inodes = n,
			    .sub = "work/pkgs" };
	/* who compiles takes its time, and builds would wait for us */
	int rc = aq_flock_wait(conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE,
			       NULL, NULL, &bytecode, err);

	if (!rc)
		rc = aq_flock_wait(conf, AQ_FLOCK_CACHES, AQ_FLOCK_EXCLUSIVE,
				   NULL, NULL, &caches, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, c.sub, aq_collect_entry, &c, err);
	if (!rc)
		rc = aq_collect_wheels(&c, err);
	return rc ? rc : aq_collect_each_entry(conf, "work/bytecode",
					       look_at_bytecode, &c, err);
}
