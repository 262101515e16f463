/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an unpacked package is what its index says, and all that it says stays in
 * the prefix.  Hostile bytes: in the cage, as builder_user, of which no program of a
 * package runs.
 *
 * Clients join paths of info/paths.json (or info/files) to the package and to the
 * prefix, and follow what links are there.  So no path climbs; none is reached in the
 * package through a link, which would bring a file from elsewhere; no link leads out
 * of the prefix; and none lies where another may lead, or is left by another's "..", so
 * that each is where it says, and leads where its text does.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/packages.h"
#include "common/db.h"
#include "common/io.h"
#include "common/sums.h"
#include "common/text.h"

#define SITE "site-packages" /* of a package for any Python (CEP 19, "noarch") */
#define INDEX_MAX (256 * 1024 * 1024) /* bytes; 1,000,000 files */

struct judge {
	struct aq_db *db;
	const char *dir; /* the package */
	int fd;
	char parent[PATH_MAX]; /* the last one that was opened, below fd */
	int parent_fd;
	struct aq_str *out;
	bool is_bad; /* this package; the first reason is enough */
};

static void say_bad(struct judge *j, char how, const char *what,
		    const char *path)
{
	char shown[AQ_SHOW_PATH_SIZE];

	if (!j->is_bad)
		aq_str_add_fmt(j->out, "%c %s %s '%s'\n", how, j->dir, what,
			       aq_show_path(path, shown));
	j->is_bad = true;
}

/* -- paths -- */

static bool climbs(const char *path)
{
	return *path == '/' || aq_path_climbs(path);
}

/* "a//b", "./a", "a/": the same as another path, which it is not compared with. */
static bool has_empty_part(const char *path)
{
	size_t len;

	do {
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && *path == '.'))
			return true;
		path += len;
	} while (*path++);
	return false;
}

static int judge_text(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct judge *j = arg;

	(void)err;
	if (climbs(aq_db_text(row, 0)))
		say_bad(j, PACKAGES_REFUSED,
			"has a path that leads out of the prefix:",
			aq_db_text(row, 0));
	return 0;
}

/* Nothing below it, which another package may bring, is what clients write. */
static bool is_apart(const char *target, const char *cache)
{
	return !aq_path_in(target, cache) && !aq_path_in(cache, target);
}

/* Where 'path' leads, as far as that is there. */
static bool make_real(const char *path, char ret[PATH_MAX])
{
	char part[PATH_MAX], real[PATH_MAX];
	size_t len = strlen(path);
	int n;

	if (!aq_copy_text(part, sizeof(part), path))
		return false;
	while (!realpath(part, real) && len) {
		while (len && path[len - 1] != '/')
			len--;
		len -= len > 0;
		memcpy(part, len ? path : "/", len ? len : 1);
		part[len ? len : 1] = '\0';
	}
	n = snprintf(ret, PATH_MAX, "%s%s", strcmp(real, "/") == 0 ? "" : real,
		     path + len);
	return n > 0 && n < PATH_MAX;
}

/* Out of the prefix to where clients cannot write: builds of packages leave such links,
 * of machines that are not this one.
 */
static bool is_elsewhere(const char *target, const char *cache)
{
	char real[PATH_MAX], real_cache[PATH_MAX];

	return !aq_path_climbs(target) && !has_empty_part(target + 1) &&
	       !aq_path_in(target, "/proc") &&
	       !aq_path_in(target, "/dev/fd") && is_apart(target, cache) &&
	       make_real(target, real) && make_real(cache, real_cache) &&
	       is_apart(real, real_cache);
}

/* From "a/b" to "a", from there to "". */
static void leave(char *at)
{
	char *slash = strrchr(at, '/');

	*(slash ? slash : at) = '\0';
}

/* Whether a link at 'path' of a prefix leads to what is in it, by its text.  A directory
 * that it enters and leaves by ".." is noted like a link in it, "DIR/.": so no package
 * may have a link there, which would make that another's ".." (PACKAGES_LINK).  From
 * site-packages/, which is elsewhere in the prefix, it leaves only what is there too.
 */
static bool stays_in(struct judge *j, const char *path, const char *target)
{
	char at[2 * PATH_MAX]; /* a directory of the prefix; "": all of it */
	bool is_moved = aq_starts_with(path, SITE "/"), has_entered = false;
	size_t len, end;

	snprintf(at, sizeof(at), "%s", path);
	leave(at);
	for (; *target; target += len + strspn(target + len, "/")) {
		len = strcspn(target, "/");
		end = strlen(at);
		if (len == 2 && strncmp(target, "..", 2) == 0) {
			if (!*at || (is_moved && has_entered &&
				     !aq_path_in(at, SITE)))
				return false;
			if (has_entered)
				aq_str_add_fmt(j->out, "%c %s %s/.\n",
					       PACKAGES_LINK, j->dir, at);
			leave(at);
		} else if (len != 1 || *target != '.') {
			has_entered = true;
			snprintf(at + end, sizeof(at) - end, "%s%.*s",
				 end ? "/" : "", (int)len, target);
		}
	}
	return true;
}

static void judge_link(struct judge *j, const char *cache, const char *path,
		       const char *name)
{
	char target[PATH_MAX] = "";
	ssize_t len = readlinkat(j->parent_fd, name, target, sizeof(target) - 1);

	if (aq_text_has_controls(path) || aq_text_has_controls(target))
		say_bad(j, PACKAGES_REFUSED, "has a name with control characters:",
			path);
	else if (len <= 0 || !(*target == '/' ? is_elsewhere(target, cache) :
						stays_in(j, path, target)))
		say_bad(j, PACKAGES_REFUSED,
			"has a link that climbs out of the environment:", path);
	else
		aq_str_add_fmt(j->out, "%c %s %s\n", PACKAGES_LINK, j->dir, path);
}

/* -- what is there -- */

/* The directory of 'path', which no link is on the way to. */
static bool open_parent(struct judge *j, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	if (!aq_copy_text(parent, sizeof(parent), path))
		return false;
	parent[slash ? slash - path : 0] = '\0';
	if (!*parent)
		memcpy(parent, ".", sizeof("."));
	if (j->parent_fd >= 0 && strcmp(parent, j->parent) == 0)
		return true;
	aq_close_fd(&j->parent_fd);
	if (strcmp(parent, ".") == 0)
		j->parent_fd = fcntl(j->fd, F_DUPFD_CLOEXEC, 0);
	else if (aq_open_below(j->fd, parent, &j->parent_fd, NULL) != 0)
		j->parent_fd = -1;
	return aq_copy_text(j->parent, sizeof(j->parent), parent) &&
	       j->parent_fd >= 0;
}

struct entry {
	struct judge *j;
	const char *cache;
};

/* Its path, its digest or "". */
static int judge_entry(const struct aq_db_row *row, void *arg,
		       struct aq_err *err)
{
	const struct entry *e = arg;
	struct judge *j = e->j;
	const char *path = aq_db_text(row, 0), *sha256 = aq_db_text(row, 1);
	char is[AQ_SHA256_HEX_SIZE];
	const char *name;
	struct stat st;

	if (j->is_bad)
		return 0;
	if (has_empty_part(path))
		say_bad(j, PACKAGES_REFUSED, "has a path with an empty part:",
			path);
	else if (!open_parent(j, path, &name) || !*name ||
	    fstatat(j->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		say_bad(j, PACKAGES_REFUSED,
			"lacks, or has only through a link, its file", path);
	else if (S_ISLNK(st.st_mode))
		judge_link(j, e->cache, path, name);
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		say_bad(j, PACKAGES_REFUSED,
			"has what is neither file, directory nor link:", path);
	else if (S_ISREG(st.st_mode) && aq_is_hex(sha256, AQ_SHA256_HEX_SIZE - 1)) {
		if (aq_sums_file(j->parent_fd, name, is, err) != 0)
			return AQ_SYS;
		if (strcasecmp(is, sha256) != 0)
			say_bad(j, PACKAGES_DAMAGED,
				"has in the package cache another file than its index says:",
				path);
	}
	return 0;
}

/* -- its index -- */

/* Who escapes what needs none, or says a thing twice, is read otherwise by another
 * parser.
 */
static bool hides(const char *json)
{
	for (; (json = strstr(json, "\\u00")); json++)
		if (json[4] >= '2' && json[4] <= '7')
			return true;
	return false;
}

/* All texts, of whatever keys, however often they are there: parsers differ in which
 * of two they take.
 */
static int judge_paths(struct judge *j, const char *cache,
		       const struct aq_str *json, struct aq_err *err)
{
	static const char texts[] =
		"SELECT atom FROM json_tree(?1) WHERE type = 'text'"
		" AND key IS NOT 'prefix_placeholder'";
	static const char entries[] =
		"SELECT json_extract(value, '$._path'),"
		" coalesce(json_extract(value, '$.sha256'), '')"
		" FROM json_each(?1, '$.paths')";
	static const char more[] =
		"SELECT (SELECT count(*) FROM json_tree(?1) WHERE key = '_path')"
		" != (SELECT count(*) FROM json_each(?1, '$.paths'))";
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(json)) };
	struct entry e = { j, cache };
	uint64_t has_more = 0;
	int rc = aq_db_run(j->db, texts, values, 1, judge_text, j, err);

	if (!rc || rc == AQ_MISS)
		rc = aq_db_run(j->db, more, values, 1, aq_db_get_number, &has_more,
			       err);
	if (!j->is_bad && (has_more || hides(aq_str_get(json))))
		say_bad(j, PACKAGES_REFUSED, "hides something in its index,",
			"info/paths.json");
	if ((!rc || rc == AQ_MISS) && !j->is_bad)
		rc = aq_db_run(j->db, entries, values, 1, judge_entry, &e, err);
	return rc == AQ_MISS ? 0 : rc; /* a package without files */
}

/* Of the older kind: a path a line, and no digests. */
static int judge_files(struct judge *j, const char *cache,
		       const struct aq_str *text, struct aq_err *err)
{
	static const char lines[] =
		"WITH RECURSIVE line(path, rest) AS (SELECT NULL, ?1 || char(10)"
		" UNION ALL SELECT trim(substr(rest, 1, instr(rest, char(10)) - 1),"
		"  char(13) || ' '), substr(rest, instr(rest, char(10)) + 1)"
		" FROM line WHERE rest != '')"
		" SELECT path, '' FROM line WHERE path != ''";
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(text)) };
	struct entry e = { j, cache };
	int rc = aq_db_run(j->db, lines, values, 1, judge_text, j, err);

	if (!rc && !j->is_bad)
		rc = aq_db_run(j->db, lines, values, 1, judge_entry, &e, err);
	return rc == AQ_MISS ? 0 : rc;
}

/* Programs' names are joined to bin/. */
static int judge_program(const struct aq_db_row *row, void *arg,
			 struct aq_err *err)
{
	(void)err;
	if (strchr(aq_db_text(row, 0), '/'))
		say_bad(arg, PACKAGES_REFUSED,
			"has a program whose name is a path:", aq_db_text(row, 0));
	return 0;
}

static int read_info(const struct judge *j, const char *name, struct aq_str *ret,
		     struct aq_err *err)
{
	cleanup_close int info = -1;
	int rc = aq_open_below(j->fd, "info", &info, err);

	return rc ? rc : aq_read_file(info, name, ret, err);
}

static int judge_link_json(struct judge *j, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(INDEX_MAX);
	int rc = read_info(j, "link.json", &text, err);
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(&text)) };

	if (!rc)
		rc = aq_db_run(j->db,
			       "SELECT atom FROM json_tree(?1) WHERE type = 'text'",
			       values, 1, judge_program, j, err);
	return rc == AQ_MISS ? 0 : rc;
}

static int judge_package(struct judge *j, const char *cache, struct aq_err *err)
{
	cleanup_str struct aq_str json = AQ_STR_INIT(INDEX_MAX);
	cleanup_str struct aq_str files = AQ_STR_INIT(INDEX_MAX);
	struct aq_err why = { 0 };
	int rc = read_info(j, "paths.json", &json, &why);

	if (!rc)
		rc = judge_paths(j, cache, &json, &why);
	else if (rc == AQ_MISS)
		rc = read_info(j, "files", &files, &why);
	if (!rc && !json.len)
		rc = judge_files(j, cache, &files, &why);
	if (!rc)
		rc = judge_link_json(j, &why);
	if (rc == AQ_CORRUPT || rc == AQ_MISS) {
		say_bad(j, PACKAGES_REFUSED, "has an index that cannot be read:",
			why.text);
		rc = 0;
	}
	return rc ? aq_fail(err, (enum aq_class)rc, "%s", why.text) : 0;
}

int packages_judge(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct packages_judge *p = arg;
	cleanup_db struct aq_db *db = NULL;
	cleanup_close int pkgs = -1;
	struct judge j = { .parent_fd = -1, .fd = -1, .out = out };
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/pkgs", p->cache);
	rc = aq_open_dir(AT_FDCWD, path, &pkgs, err);

	if (!rc)
		rc = aq_db_open_memory(&db, err);
	j.db = db;
	for (size_t i = 0; !rc && i < p->dirs->n; i++) {
		j.dir = p->dirs->v[i];
		j.is_bad = false;
		aq_close_fd(&j.parent_fd);
		aq_close_fd(&j.fd);
		rc = aq_open_dir(pkgs, j.dir, &j.fd, err);
		if (!rc)
			rc = judge_package(&j, p->cache, err);
	}
	aq_close_fd(&j.parent_fd);
	aq_close_fd(&j.fd);
	return rc;
}
