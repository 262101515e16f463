/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/run.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/walk.h"

#define PACKAGES_LOCK "packages"
/* rattler's DIR.lock, in bytes. */
#define RATTLER_REVISION_SIZE 8
#define RATTLER_SHA256_SIZE 32
#define RATTLER_LOCK_SIZE (RATTLER_REVISION_SIZE + RATTLER_SHA256_SIZE)
#define RATTLER_LOCK_MAX 256

/* The directories that all this is about. */
struct places {
	const struct build *b;
	int pkgs, checked;
};

static void close_places(struct places *p)
{
	aq_close_fd(&p->pkgs);
	aq_close_fd(&p->checked);
}
#define cleanup_places __attribute__((cleanup(close_places)))

static bool has_own_caches(const struct build *b)
{
	return b->is_personal || b->is_private;
}

static int open_places(const struct build *b, struct places *ret,
		       struct aq_err *err)
{
	cleanup_close int work = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	if (!rc)
		rc = aq_open_below(work, "pkgs", &ret->pkgs, err);
	return rc ? rc : aq_open_below(work, PACKAGES_CHECKED, &ret->checked, err);
}

/* False: it is no name of a directory, whatever clients make of it. */
static bool name_dir(const struct aq_lock_item *item, char ret[PACKAGES_DIR_SIZE])
{
	int n = snprintf(ret, PACKAGES_DIR_SIZE, "%s-%s-%s", item->name,
			 item->version, item->build);

	return n > 0 && n < PACKAGES_DIR_SIZE && *ret != '.' && !strchr(ret, '/');
}

/* Call 'fn' for each conda package of the lock. */
static int each(const struct places *p,
		int (*fn)(const struct places *p, const struct aq_lock_item *item,
			  const char *dir, void *arg, struct aq_err *err),
		void *arg, struct aq_err *err)
{
	const struct aq_lock *lock = p->b->lock;
	char dir[PACKAGES_DIR_SIZE];
	int rc = 0;

	for (size_t i = 0; !rc && i < lock->n_items; i++) {
		if (lock->items[i].kind != AQ_LOCK_CONDA)
			continue;
		rc = name_dir(&lock->items[i], dir) ?
			fn(p, &lock->items[i], dir, arg, err) :
			aq_fail(err, AQ_SYS, "package '%s' has a version or a build that no directory can have",
				lock->items[i].name);
	}
	return rc;
}

/* -- what is known -- */

/* Whether 'dir' is root's; AQ_MISS: it is not there. */
static int get_owner(const struct places *p, const char *dir, bool *ret_is_root,
		     uint64_t *ret_inode, struct aq_err *err)
{
	struct stat st;

	if (fstatat(p->pkgs, dir, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ?
			AQ_MISS : aq_fail_errno(err, "cannot examine '%s'", dir);
	if (!S_ISDIR(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' in the package cache is no directory",
			       dir);
	*ret_is_root = st.st_uid == geteuid();
	*ret_inode = st.st_ino;
	return 0;
}

/* "SHA256 INODE\n", and the path of a link a line: appended to 'links', if it is not
 * NULL.  Whether it was closed as that archive's.
 */
static bool is_checked(const struct places *p, const struct aq_lock_item *item,
		       const char *dir, struct aq_str *links)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PACKAGES_SAID_MAX);
	char head[AQ_SHA256_HEX_SIZE + 32];
	bool is_root = false;
	uint64_t inode;

	if (get_owner(p, dir, &is_root, &inode, NULL) != 0 || !is_root ||
	    aq_read_file(p->checked, dir, &text, NULL) != 0)
		return false;
	snprintf(head, sizeof(head), "%s %" PRIu64 "\n", item->sha256, inode);
	if (!aq_starts_with(aq_str_get(&text), head))
		return false;
	if (links)
		aq_str_add(links, aq_str_get(&text) + strlen(head));
	return true;
}

static int note_checked(const struct places *p, const struct aq_lock_item *item,
			const char *dir, const char *links, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PACKAGES_SAID_MAX);
	bool is_root = false;
	uint64_t inode = 0;
	int rc = get_owner(p, dir, &is_root, &inode, err);

	aq_str_add_fmt(&text, "%s %" PRIu64 "\n%s", item->sha256, inode, links);
	if (!rc)
		rc = aq_str_done(&text, "what is known of a package", err);
	if (rc || !is_root)
		return rc ? rc : aq_fail(err, AQ_SYS, "'%s' is being exchanged", dir);
	return aq_replace_file(p->checked, dir, text.s, text.len, err);
}

/* -- closed -- */

static int close_dir(const struct aq_walk_entry *e, const struct build *b,
		     struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	int rc = aq_open_dir(e->dirfd, e->name, &fd, err);

	if (rc)
		return rc;
	if (fstat(fd, &st) < 0 ||
	    (st.st_uid != b->builder.uid && st.st_uid != geteuid()))
		return aq_fail(err, AQ_SYS, "'%s' in the package cache is another's",
			       e->name);
	if (fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0755) < 0)
		return aq_fail_errno(err, "cannot close '%s'", e->name);
	return 0;
}

static int close_file(const struct aq_walk_entry *e, const struct build *b,
		      struct aq_err *err)
{
	cleanup_close int fd = openat(e->dirfd, e->name,
				      O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
					      O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot open '%s'", e->name);
	if (!S_ISREG(st.st_mode) || st.st_uid != b->builder.uid)
		return aq_fail(err, AQ_SYS, "'%s' in the package cache is another's",
			       e->name);
	return fchmod(fd, (st.st_mode & 07555) | 0444) < 0 ?
		aq_fail_errno(err, "cannot close '%s'", e->name) : 0;
}

/* A directory before what is in it is looked at: from then on nobody exchanges that.
 */
static int close_entry(const struct aq_walk_entry *e, void *arg,
		       struct aq_err *err)
{
	if (e->is_end)
		return 0;
	if (e->is_too_deep)
		return aq_fail(err, AQ_SYS, "'%s' is nested too deeply", e->name);
	if (S_ISDIR(e->st->st_mode))
		return close_dir(e, arg, err);
	if (!S_ISREG(e->st->st_mode) || !(e->st->st_mode & 0222))
		return 0; /* what else there may be is for who judges it */
	return close_file(e, arg, err);
}

/* Whether 'dir' is closed and known as another archive's. */
static bool is_anothers(const struct places *p, const struct aq_lock_item *item,
			const char *dir)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PACKAGES_SAID_MAX);
	const size_t digits = AQ_SHA256_HEX_SIZE - 1;
	bool is_root = false;
	char inode_text[32];
	uint64_t inode = 0;

	if (get_owner(p, dir, &is_root, &inode, NULL) != 0 || !is_root ||
	    aq_read_file(p->checked, dir, &text, NULL) != 0 ||
	    text.len <= digits)
		return false;
	snprintf(inode_text, sizeof(inode_text), " %" PRIu64 "\n", inode);
	return strncmp(text.s, item->sha256, digits) != 0 &&
	       aq_starts_with(text.s + digits, inode_text);
}

/* What is closed and not known was never looked at to its end: it is fetched anew. */
static int look_at_closed(const struct places *p, const struct aq_lock_item *item,
			  const char *dir, void *arg, struct aq_err *err)
{
	bool *is_in_the_way = arg, is_root = false;
	uint64_t inode;
	int rc = get_owner(p, dir, &is_root, &inode, err);

	if (rc || !is_root || is_checked(p, item, dir, NULL))
		return rc == AQ_MISS ? 0 : rc;
	if (is_anothers(p, item, dir)) {
		*is_in_the_way = true;
		return 0;
	}
	return aq_remove_tree(p->pkgs, dir, err);
}

int packages_prepare(struct build *b, bool *ret_is_in_the_way, struct aq_err *err)
{
	cleanup_places struct places p = { b, -1, -1 };
	cleanup_close int lock = -1;
	int rc;

	*ret_is_in_the_way = false;
	if (has_own_caches(b))
		return 0;
	rc = open_places(b, &p, err);
	if (!rc)
		rc = aq_flock_wait(b->conf, PACKAGES_LOCK, AQ_FLOCK_EXCLUSIVE,
				   build_is_over, b, &lock, err);
	return rc ? rc : each(&p, look_at_closed, ret_is_in_the_way, err);
}

/* -- what clients unpacked -- */

struct check {
	bool is_anew;
	bool is_locked; /* nobody else looks at packages now */
	struct aq_strv dirs; /* to be judged */
	const char *said;    /* of them */
};

/* Whether rattler, which notes that in DIR.lock before it puts a package anywhere,
 * has put another archive's at 'dir': a revision of 8 bytes, and a SHA-256.  False:
 * nothing says so.
 */
static bool is_exchanged(const struct places *p, const struct aq_lock_item *item,
			 const char *dir)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(RATTLER_LOCK_MAX);
	char name[PACKAGES_DIR_SIZE + 8], hex[3];

	snprintf(name, sizeof(name), "%s.lock", dir);
	if (aq_read_file(p->pkgs, name, &text, NULL) != 0 ||
	    text.len < RATTLER_LOCK_SIZE)
		return false;
	for (size_t i = 0; i < RATTLER_SHA256_SIZE; i++) {
		snprintf(hex, sizeof(hex), "%02x",
			 (unsigned char)text.s[RATTLER_REVISION_SIZE + i]);
		if (strncmp(hex, item->sha256 + 2 * i, 2) != 0)
			return true;
	}
	return false;
}

/* Since packages_prepare() another build has put its archive's package there: that is
 * not linked as this lock's, nor known as it from now on.
 */
static int refuse_anothers(const struct places *p, const char *dir,
			   struct aq_err *err)
{
	struct build *b = (struct build *)p->b;

	b->verdict = BUILD_NOT_KEPT;
	b->is_cache_bad = true;
	return aq_fail(err, AQ_SYS, "another archive's package is in the package cache as '%s'",
		       dir);
}

static int choose(const struct places *p, const struct aq_lock_item *item,
		  const char *dir, void *arg, struct aq_err *err)
{
	bool is_known = is_checked(p, item, dir, NULL);
	struct check *c = arg;
	int rc;

	if (!is_known && is_anothers(p, item, dir))
		return refuse_anothers(p, dir, err);
	/* anew: what else is there may be of a client that failed half-way */
	if (is_known != c->is_anew)
		return 0;
	aq_strv_add(&c->dirs, dir);
	if (!c->is_locked)
		return 0;
	rc = aq_walk(p->pkgs, dir, close_entry, (void *)p->b, err);
	/* closed by now: nobody exchanges it any more */
	if (!rc && !c->is_anew && is_exchanged(p, item, dir))
		return refuse_anothers(p, dir, err);
	return rc == AQ_MISS ?
		aq_fail(err, AQ_MISS, "package '%s' is not in the package cache as '%s', where its client should have unpacked it",
			item->name, dir) :
		rc;
}

/* What was said of 'dir' in the line, or NULL. */
static const char *line_of(const char *line, const char *dir)
{
	size_t len = strlen(dir);

	return line[0] && line[1] == ' ' && strncmp(line + 2, dir, len) == 0 &&
	       line[2 + len] == ' ' ? line + 3 + len : NULL;
}

static int remove_bad(const struct places *p, char how, const char *dir,
		      const char *why, struct aq_err *err)
{
	struct build *b = (struct build *)p->b;
	struct aq_err ignored;
	int len = (int)strcspn(why, "\n");

	(void)unlinkat(p->checked, dir, 0);
	(void)!aq_remove_tree(p->pkgs, dir, &ignored);
	if (how == PACKAGES_DAMAGED) {
		b->verdict = BUILD_NOT_KEPT;
		b->is_cache_bad = true;
		return aq_fail(err, AQ_SYS, "package '%s' %.*s; it is fetched anew",
			       dir, len, why);
	}
	b->verdict = BUILD_REFUSED;
	return aq_fail(err, AQ_USER, "package '%s' %.*s", dir, len, why);
}

/* Note what is good, remove what is bad; the first reason is the build's. */
static int conclude(const struct places *p, const struct aq_lock_item *item,
		    const char *dir, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str links = AQ_STR_INIT(PACKAGES_SAID_MAX);
	const struct check *c = arg;

	if (!aq_strv_has(&c->dirs, dir))
		return 0;
	for (const char *line = c->said; *line; line = aq_next_line(line)) {
		const char *text = line_of(line, dir);

		if (text && *line != PACKAGES_LINK)
			return remove_bad(p, *line, dir, text, err);
		if (text)
			aq_str_add_mem(&links, text, strcspn(text, "\n") + 1);
	}
	return note_checked(p, item, dir, aq_str_get(&links), err);
}

/* -- links of all -- */

static int add_links(const struct places *p, const struct aq_lock_item *item,
		     const char *dir, void *arg, struct aq_err *err)
{
	(void)err;
	(void)is_checked(p, item, dir, arg);
	return 0;
}

static int judge_links(const struct places *p, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PACKAGES_SAID_MAX);
	int rc = each(p, add_links, &text, err);

	if (!rc)
		rc = aq_str_done(&text, "the packages' links", err);
	return rc ? rc : packages_judge_links((struct build *)p->b,
					      aq_str_get(&text), err);
}

/* What is to be judged, closed by now; one build at a time, as several often have the
 * same new packages.
 */
static int choose_all(const struct places *p, struct check *c, int *ret_lock,
		      struct aq_err *err)
{
	struct build *b = (struct build *)p->b;
	int rc = each(p, choose, c, err);

	if (!rc && c->dirs.n)
		rc = aq_flock_wait(b->conf, PACKAGES_LOCK, AQ_FLOCK_EXCLUSIVE,
				   build_is_over, b, ret_lock, err);
	c->is_locked = true;
	if (!rc && c->dirs.n) {
		aq_strv_free(&c->dirs);
		c->dirs = (struct aq_strv)AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
		rc = each(p, choose, c, err);
	}
	return rc ? rc : aq_strv_done(&c->dirs, "the packages to be looked at", err);
}

int packages_check(struct build *b, bool is_anew, struct aq_err *err)
{
	cleanup_close int lock = -1;
	cleanup_str struct aq_str said = AQ_STR_INIT(PACKAGES_SAID_MAX);
	cleanup_places struct places p = { b, -1, -1 };
	struct check c = { .is_anew = is_anew,
			   .dirs = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX) };
	struct packages_judge judge = { b->inside, &c.dirs };
	int rc;

	if (has_own_caches(b))
		return 0;
	rc = open_places(b, &p, err);
	if (!rc)
		rc = choose_all(&p, &c, &lock, err);
	if (!rc && c.dirs.n)
		rc = run_function(b, PHASE_CLIENT, packages_judge, &judge, &said,
				  err);
	c.said = aq_str_get(&said);
	if (!rc && c.dirs.n)
		rc = each(&p, conclude, &c, err);
	aq_strv_free(&c.dirs);
	return rc || is_anew ? rc : judge_links(&p, err);
}

/* -- for a client that looks itself -- */

static int tell(const struct places *p, const struct aq_lock_item *item,
		const char *dir, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str links = AQ_STR_INIT(PACKAGES_SAID_MAX);
	struct aq_str *input = arg;

	(void)err;
	if (!is_checked(p, item, dir, &links))
		return 0;
	aq_str_add_fmt(input, "checked %s\n", dir);
	for (const char *line = aq_str_get(&links); *line; line = aq_next_line(line))
		aq_str_add_fmt(input, "link %.*s\n", (int)strcspn(line, "\n"), line);
	return 0;
}

void packages_tell(const struct build *b, struct aq_str *input)
{
	cleanup_places struct places p = { b, -1, -1 };

	if (!has_own_caches(b) && open_places(b, &p, NULL) == 0)
		(void)!each(&p, tell, input, NULL);
}

/* -- what is to be fetched -- */

struct missing {
	int (*fn)(const struct aq_lock_item *item, void *arg);
	void *arg;
};

static int call_if_missing(const struct places *p,
			   const struct aq_lock_item *item, const char *dir,
			   void *arg, struct aq_err *err)
{
	const struct missing *m = arg;

	(void)err;
	return is_checked(p, item, dir, NULL) ? 0 : m->fn(item, m->arg);
}

int packages_each_missing(struct build *b,
			  int (*fn)(const struct aq_lock_item *item, void *arg),
			  void *arg, struct aq_err *err)
{
	cleanup_places struct places p = { b, -1, -1 };
	struct missing m = { fn, arg };
	int rc = open_places(b, &p, err);

	return rc ? rc : each(&p, call_if_missing, &m, err);
}
