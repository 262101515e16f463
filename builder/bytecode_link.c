/* SPDX-License-Identifier: Apache-2.0 */
/* Linking byte-code into a prefix: only beside the very source that it is of. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/bytecode_inside.h"
#include "builder/cage.h"
#include "builder/run.h"
#include "common/io.h"
#include "common/sha256.h"

/* Of one package, in bytes: 50,000 modules. */
#define INDEX_MAX (16 * 1024 * 1024)
#define SOURCE_MAX (16 * 1024 * 1024) /* a generated module */
#define NEW ".aq-new.pyc" /* until it has its name */

struct linking {
	const struct build *b;
	int prefix;        /* the environment */
	int dir;           /* of the last source; or -1 */
	int cache;         /* its __pycache__; or -1 */
	char path[BUILD_PATH_MAX]; /* its path */
	char tag[32];      /* "cpython-39": of the files' names (PEP 3147) */
	bool *missing;     /* of the package: it has none, or another file's */
	uid_t uid;         /* who compiled it */
};

struct entry {
	char file[32], kind[16], sha256[AQ_SHA256_HEX_SIZE];
	uint64_t ino, size, mtime_ns;
	const char *path;
};

/* One line of an index, which builder_user wrote; cut out in place. */
static bool read_entry(char *line, struct entry *ret)
{
	int at = 0;

	if (sscanf(line, "%31s %15s %" SCNu64 " %" SCNu64 " %" SCNu64
			 " %64s %n",
		   ret->file, ret->kind, &ret->ino, &ret->size, &ret->mtime_ns,
		   ret->sha256, &at) != 6 || !at)
		return false;
	ret->path = line + at;
	return !strchr(ret->file, '/') && aq_ends_with(ret->file, ".pyc") &&
	       aq_starts_with(ret->path, "lib/") &&
	       aq_ends_with(ret->path, ".py") && !strstr(ret->path, "..") &&
	       strlen(ret->path) < BUILD_PATH_MAX;
}

/* What root makes is in a prefix that is sealed, and so is one's own, which had
 * to be opened for it.
 */
static void leave_dir(struct linking *l)
{
	if (l->cache >= 0 && (geteuid() == 0 || l->b->is_personal))
		(void)fchmod(l->cache, 0555);
	if (l->cache >= 0 && l->b->is_personal)
		(void)fchmod(l->dir, 0555);
	aq_close_fd(&l->cache);
	aq_close_fd(&l->dir);
}

/* Open l->cache, which is made if need be: no link, wherever one may lead.  In
 * a cache of one's own the sealed directories are one's own too, and are closed
 * to oneself.
 */
static bool enter_cache(struct linking *l)
{
	if (l->cache >= 0)
		return true;
	if (l->b->is_personal)
		(void)fchmod(l->dir, 0755);
	if (mkdirat(l->dir, "__pycache__", 0755) < 0 && errno != EEXIST)
		return false;
	l->cache = openat(l->dir, "__pycache__",
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->b->is_personal && l->cache >= 0)
		(void)fchmod(l->cache, 0755);
	return l->cache >= 0;
}

static bool enter_dir_of(struct linking *l, const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);

	if (l->dir >= 0 && strlen(l->path) == len &&
	    strncmp(l->path, path, len) == 0)
		return true;
	leave_dir(l);
	memcpy(l->path, path, len);
	l->path[len] = '\0';
	return aq_open_below(l->prefix, l->path, &l->dir, NULL) == 0;
}

static uint64_t mtime_ns_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000 +
	       (uint64_t)st->st_mtim.tv_nsec;
}

/* Where files are copied or reflinked, not hard-linked. */
static bool has_content(int dir, const char *name, const struct entry *e)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SOURCE_MAX);
	char is[AQ_SHA256_HEX_SIZE];

	return aq_read_file(dir, name, &text, NULL) == 0 &&
	       aq_sha256(aq_str_get(&text), text.len, is, NULL) == 0 &&
	       strcmp(is, e->sha256) == 0;
}

/* The very file that was compiled, or one with the same content. */
static bool is_the_same(const struct linking *l, const char *name,
			const struct entry *e)
{
	struct stat st;

	if (fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
		return false;
	return (st.st_ino == e->ino && mtime_ns_of(&st) == e->mtime_ns) ||
	       has_content(l->dir, name, e);
}

/* What was linked is a file as the compiler makes them: what is in its trees is
 * looked at where only root can exchange it.
 */
static bool is_plain(const struct linking *l, const char *name)
{
	struct stat st;

	return fstatat(l->cache, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_uid == l->uid &&
	       !(st.st_mode & (S_ISUID | S_ISGID | 0222)); /* nobody writes it */
}

static bool is_linked(const struct linking *l, int tree, const char *file,
		      const char *name)
{
	struct stat a, b;

	return fstatat(tree, file, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(l->cache, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* As 'name', which is not there; errno says why not. */
static bool link_as(const struct linking *l, int tree, const char *file,
		    const char *name)
{
	if (linkat(tree, file, l->cache, name, 0) < 0)
		return false;
	if (is_plain(l, name))
		return true;
	(void)unlinkat(l->cache, name, 0);
	errno = EPERM;
	return false;
}

/* In the place of what an interpreter left when the client asked it something;
 * what is there is in use.
 */
static bool replace(const struct linking *l, int tree, const char *file,
		    const char *name)
{
	bool is_done;

	if (is_linked(l, tree, file, name))
		return true;
	(void)unlinkat(l->cache, NEW, 0);
	is_done = link_as(l, tree, file, NEW) &&
		  renameat(l->cache, NEW, l->cache, name) == 0;
	(void)unlinkat(l->cache, NEW, 0);
	return is_done;
}

/* Byte-code is optional: what cannot be linked (it is gone, or has as many links
 * as a file can have) is compiled once more.
 */
static void link_one(struct linking *l, int tree, const struct entry *e)
{
	const char *name = strrchr(e->path, '/') + 1;
	char to[512];

	if (!enter_dir_of(l, e->path) || !is_the_same(l, name, e)) {
		*l->missing |= strcmp(e->kind, "shared") == 0;
		return;
	}
	if (!enter_cache(l))
		return;
	snprintf(to, sizeof(to), "%.*s.%s.pyc", (int)(strlen(name) - 3), name,
		 l->tag);
	if (!link_as(l, tree, e->file, to) &&
	    (errno != EEXIST || !replace(l, tree, e->file, to)))
		*l->missing = true;
}

/* Whatever is wrong with what there is: it is made anew. */
static void link_package(struct linking *l, int trees, const char *sha256)
{
	cleanup_str struct aq_str index = AQ_STR_INIT(INDEX_MAX);
	cleanup_close int tree = -1;
	char *save = NULL;

	*l->missing = aq_open_dir(trees, sha256, &tree, NULL) != 0 ||
		      aq_read_file(tree, "index", &index, NULL) != 0;
	if (*l->missing || !index.len)
		return;
	for (char *line = strtok_r(index.s, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct entry e;

		if (!read_entry(line, &e)) {
			*l->missing = true;
			return;
		}
		link_one(l, tree, &e);
	}
}

int bytecode_link_all(const struct build *b, const char *work,
		      const char *site, bool *missing, struct aq_err *err)
{
	struct linking l = { .b = b, .dir = -1, .cache = -1,
			     .uid = b->compiler[0] ?
				     phase_identity(b, PHASE_CLIENT)->uid :
				     geteuid() };
	char python[AQ_BASE_PYTHON_SIZE];
	cleanup_close int prefix = -1, trees = -1;
	char path[BUILD_PATH_MAX];
	int rc = aq_open_dir(AT_FDCWD, site, &prefix, err);

	bytecode_name_trees(b, work, path);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, path, &trees, err);
	l.prefix = prefix;
	aq_base_name_of(b->lock->python, python);
	snprintf(l.tag, sizeof(l.tag), "cpython-%.*s%s",
		 (int)strcspn(python, "."), python, strchr(python, '.') + 1);
	for (size_t i = 0; !rc && i < b->lock->n_items; i++) {
		missing[i] = false;
		l.missing = &missing[i];
		link_package(&l, trees, b->lock->items[i].sha256);
	}
	leave_dir(&l);
	return rc;
}

/* -- of one environment alone -- */

/* The packages' own code may have made this: what is no plain file is left there. */
struct taking {
	int from, to;
};

static int take_file(const char *name, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SOURCE_MAX);
	const struct taking *t = arg;
	cleanup_close int fd = -1;

	if (aq_read_file(t->from, name, &text, NULL) != 0)
		return 0;
	fd = openat(t->to, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0 || fchmod(fd, 0444) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	return aq_write_all(fd, aq_str_get(&text), text.len, err);
}

static int take_tree(const char *name, void *arg, struct aq_err *err)
{
	const struct taking *t = arg;
	cleanup_close int from = -1, to = -1;
	struct taking below;
	int rc;

	if (aq_open_dir(t->from, name, &from, NULL) != 0)
		return 0;
	rc = aq_make_dir(t->to, name, 0700, err);
	if (!rc)
		rc = aq_open_dir(t->to, name, &to, err);
	below = (struct taking){ from, to };
	return rc ? rc : aq_each_entry(from, name, take_file, &below, err);
}

int bytecode_take(struct build *b, struct aq_err *err)
{
	cleanup_close int from = -1, to = -1;
	char path[BUILD_PATH_MAX];
	struct taking t;
	int rc;

	bytecode_name_trees(b, b->work, path);
	rc = aq_open_dir(AT_FDCWD, path, &from, err);
	if (rc)
		return rc;
	snprintf(b->open_dir + strlen(b->open_dir),
		 sizeof(b->open_dir) - strlen(b->open_dir), ".taken");
	bytecode_name_trees(b, b->work, path);
	rc = aq_make_dir(AT_FDCWD, path, 0700, err);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, path, &to, err);
	t = (struct taking){ from, to };
	return rc ? rc : aq_each_entry(from, path, take_tree, &t, err);
}
