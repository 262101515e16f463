/* SPDX-License-Identifier: Apache-2.0 */
/* Wheels in the caches: what uv unpacked, and where it says so; as files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/collect_inside.h"
#include "common/layout.h"
#include "common/needles.h"
#include "common/sha256.h"
#include "common/walk.h"

#define WHEELS "work/wheels"
#define ARCHIVES WHEELS "/archive-v0"
/* uv's pointers to an archive are a few hundred bytes; its index is more. */
#define POINTER_MAX (64 * 1024)
#define IDS_MAX (16 * 1024 * 1024) /* bytes of names of unused archives */

/* -- uv's wheels -- */

/* What is in a file of uv's, "" if that is no pointer to what it unpacked. */
static void read_pointer(const struct aq_walk_entry *e, struct aq_str *text)
{
	if (S_ISREG(e->st->st_mode) && e->st->st_size <= POINTER_MAX &&
	    aq_read_file(e->dirfd, e->name, text, NULL) != 0)
		aq_str_truncate(text, 0);
}

/* uv takes it for granted that an archive is there to which one of its files or
 * links points: these go first.
 */
static bool points_to(const struct aq_walk_entry *e, struct aq_needles *ids)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(POINTER_MAX);
	char target[PATH_MAX] = "";

	if (S_ISLNK(e->st->st_mode)) {
		if (readlinkat(e->dirfd, e->name, target, sizeof(target) - 1) < 0)
			return false;
		aq_str_add(&text, target);
	} else {
		read_pointer(e, &text);
	}
	return aq_needles_find(ids, aq_str_get(&text), text.len);
}

static int drop_pointer(const struct aq_walk_entry *e, void *arg,
			struct aq_err *err)
{
	if (!S_ISDIR(e->st->st_mode) && points_to(e, arg) &&
	    unlinkat(e->dirfd, e->name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", e->name);
	return 0;
}

struct pointers {
	int dir;
	aq_walk_fn *fn;
	struct aq_needles *needles;
};

static int walk_pointers(const char *name, void *arg, struct aq_err *err)
{
	const struct pointers *p = arg;

	return aq_starts_with(name, "wheels-v") ?
		       aq_walk(p->dir, name, p->fn, p->needles, err) : 0;
}

/* Call 'fn' for all that uv has of wheels but what it unpacked.  AQ_MISS: it has none, or
 * it went meanwhile.
 */
static int each_pointer(const struct caches *c, aq_walk_fn *fn,
			struct aq_needles *needles, struct aq_err *err)
{
	cleanup_close int dir = -1;
	struct pointers p = { .fn = fn, .needles = needles };
	int rc = aq_collect_open(c->conf, WHEELS, &dir, err);

	p.dir = dir;
	return rc ? rc : aq_each_entry(dir, WHEELS, walk_pointers, &p, err);
}

int aq_collect_wheels(struct caches *c, struct aq_err *err)
{
	cleanup_strv struct aq_strv ids = AQ_STRV_INIT(IDS_MAX);
	cleanup_needles struct aq_needles needles = { 0 };
	cleanup_close int dir = -1;
	int rc;

	c->ids = &ids;
	c->sub = ARCHIVES;
	rc = aq_collect_each_entry(c->conf, ARCHIVES, aq_collect_entry, c, err);
	if (!rc)
		rc = aq_needles_make(&ids, &needles, err);
	if (!rc && ids.n && !c->is_dry)
		rc = each_pointer(c, drop_pointer, &needles, err);
	if (!rc && ids.n)
		rc = aq_collect_open(c->conf, ARCHIVES, &dir, err);
	for (size_t i = 0; !rc && !c->is_dry && i < ids.n; i++)
		rc = aq_remove_tree(dir, ids.v[i], err);
	c->ids = NULL;
	return rc;
}

/* -- wheels as files, AQ_WORK_WHEEL_FILES: "SHA256.whl" -- */

#define WHEEL_FILES "work/" AQ_WORK_WHEEL_FILES
#define WHEEL_FILES_MAX (1024 * 1024)

#define WHEEL ".whl"

struct wheel_files {
	struct aq_strv hashes, others;
};

/* What somebody was copying as they were killed has more behind that name. */
static bool is_whole(const char *name)
{
	return strlen(name) == AQ_SHA256_HEX_SIZE - 1 + strlen(WHEEL) &&
	       aq_ends_with(name, WHEEL);
}

static int add_wheel_file(const char *name, void *arg, struct aq_err *err)
{
	struct wheel_files *files = arg;

	(void)err;
	if (is_whole(name))
		aq_strv_add_mem(&files->hashes, name, AQ_SHA256_HEX_SIZE - 1);
	else
		aq_strv_add(&files->others, name);
	return 0;
}

/* uv's pointer to what it unpacked has the file's hash; then the file stays, since by
 * its time uv knows that it need not unpack it again.
 */
static int keep_pointed_to(const struct aq_walk_entry *e, void *arg,
			   struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(POINTER_MAX);

	(void)err;
	read_pointer(e, &text);
	(void)aq_needles_find(arg, aq_str_get(&text), text.len);
	return 0;
}

static int drop_wheel_file(struct caches *c, int dir, const char *name,
			   struct aq_err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	c->bytes += (uint64_t)st.st_blocks * 512;
	return c->is_dry ? 0 : aq_remove_tree(dir, name, err);
}

/* What nothing points to. */
static int drop_wheel_files(struct caches *c, int dir,
			    struct wheel_files *files, struct aq_err *err)
{
	cleanup_needles struct aq_needles needles = { 0 };
	char name[AQ_SHA256_HEX_SIZE + sizeof(WHEEL)];
	int rc = aq_needles_make(&files->hashes, &needles, err);

	if (!rc && files->hashes.n)
		rc = each_pointer(c, keep_pointed_to, &needles, err);
	for (size_t i = 0; !rc && i < files->hashes.n; i++) {
		snprintf(name, sizeof(name), "%s" WHEEL, files->hashes.v[i]);
		if (!needles.found[i])
			rc = drop_wheel_file(c, dir, name, err);
	}
	for (size_t i = 0; !rc && i < files->others.n; i++)
		rc = drop_wheel_file(c, dir, files->others.v[i], err);
	return rc;
}

int aq_collect_wheel_files(struct caches *c, struct aq_err *err)
{
	struct wheel_files files = { AQ_STRV_INIT(WHEEL_FILES_MAX),
				     AQ_STRV_INIT(WHEEL_FILES_MAX) };
	cleanup_close int dir = -1;
	int rc = aq_collect_open(c->conf, WHEEL_FILES, &dir, err);

	if (!rc)
		rc = aq_each_entry(dir, WHEEL_FILES, add_wheel_file, &files, err);
	if (!rc)
		rc = aq_strv_done(&files.others, "the wheels", err);
	if (!rc)
		rc = drop_wheel_files(c, dir, &files, err);
	aq_strv_free(&files.hashes);
	aq_strv_free(&files.others);
	return rc == AQ_MISS ? 0 : rc;
}
