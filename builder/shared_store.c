/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/shared_inside.h"
#include "common/io.h"

#define KIND "packages"
#define CHUNK (4 * 1024 * 1024)
/* No package has more, in bytes; a directory of somebody's mistakes has. */
#define ARCHIVE_MAX (64ull << 30)
/* A half that nobody has written to for so long is nobody's, in seconds, by the clock
 * of the file system: who copies does so all the time.
 */
#define HALF_SECONDS (24L * 3600)

bool shared_archive_name(const struct aq_lock_item *item,
			 char ret[SHARED_ARCHIVE_SIZE])
{
	static const struct {
		enum aq_lock_kind kind;
		const char *end;
	} ends[] = { { AQ_LOCK_CONDA, ".conda" },
		     { AQ_LOCK_CONDA, ".tar.bz2" },
		     { AQ_LOCK_WHEEL, SHARED_WHEEL } };

	/* a file is as near as what is shared */
	if (!aq_starts_with(item->url, "http"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (item->kind == ends[i].kind &&
		    aq_ends_with(item->url, ends[i].end)) {
			snprintf(ret, SHARED_ARCHIVE_SIZE, "%s%s", item->sha256,
				 ends[i].end);
			return true;
		}
	return false;
}

unsigned int shared_group(const char *sha256)
{
	const char digit[] = { *sha256, '\0' };

	return 1u << strtoul(digit, NULL, 16) % SHARED_GROUPS;
}

/* As much as an archive may have, so that one that grows meanwhile ends too. */
static int copy(const struct shared_store *s, int from, int to,
		struct aq_err *err)
{
	static char buf[CHUNK]; /* one copy a process at a time */
	uint64_t total = 0;
	ssize_t n;
	int rc = 0;

	while (!rc && (n = read(from, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot read an archive");
		total += (uint64_t)n;
		if (total > ARCHIVE_MAX)
			return aq_fail(err, AQ_CORRUPT, "it is too large for an archive");
		rc = aq_write_all(to, buf, (size_t)n, err);
		if (!rc && s->alive)
			rc = s->alive(s->arg, err);
	}
	return rc;
}

/* AQ_CORRUPT: it is not what it is called. */
static int check(int fd, const char *name, struct aq_err *err)
{
	char digest[AQ_SHA256_HEX_SIZE];
	int rc;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return aq_fail_errno(err, "cannot read '%s'", name);
	rc = aq_sha256_fd(fd, ARCHIVE_MAX, digest, err);
	if (!rc && strncmp(digest, name, AQ_SHA256_HEX_SIZE - 1) != 0)
		rc = aq_fail(err, AQ_CORRUPT, "it is damaged");
	return rc;
}

/* Under another name until it is whole. */
static int take(const struct shared_store *s, int from, const char *name,
		struct aq_err *err)
{
	char part[SHARED_ARCHIVE_SIZE + 24];
	cleanup_close int to = -1;
	int rc;

	/* where several builds have their wheels each has a half of its own */
	snprintf(part, sizeof(part), "%s.%.16s", name, s->tag ? s->tag : "copy");
	to = openat(s->here, part,
		    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (to < 0)
		return aq_fail_errno(err, "cannot make '%s'", part);
	rc = copy(s, from, to, err);
	if (!rc)
		rc = check(to, name, err);
	if (!rc && renameat(s->here, part, s->here, name) < 0)
		rc = aq_fail_errno(err, "cannot name '%s'", name);
	if (rc)
		(void)unlinkat(s->here, part, 0);
	return rc;
}

int shared_store_open(const struct shared_store *s)
{
	cleanup_close int top = -1;
	int fd = -1;

	if (aq_open_dir(AT_FDCWD, s->path, &top, NULL) != 0 ||
	    aq_open_below(top, KIND, &fd, NULL) != 0)
		return -1;
	return fd;
}

bool shared_store_may_have(int packages, const char *name)
{
	const char digits[] = { name[0], name[1], '\0' };
	/* opened, so that a client of NFS asks its server what is there */
	cleanup_close int fd = openat(packages, digits, O_RDONLY | O_DIRECTORY |
					      O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? errno != ENOENT :
			faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
				errno != ENOENT;
}

/* AQ_CORRUPT: what has the name is nothing that put it there. */
static int open_shared(const struct shared_dir *d, const char *name, int *ret_fd,
		       struct aq_err *err)
{
	struct stat st;

	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode))
			return aq_fail(err, AQ_CORRUPT, "it is no regular file");
		if ((uint64_t)st.st_size > ARCHIVE_MAX)
			return aq_fail(err, AQ_CORRUPT, "it is too large for an archive");
	}
	return shared_open_own(d, name, ret_fd, err);
}

int shared_store_get(const struct shared_store *s, const char *name,
		     struct aq_err *err)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int fd = -1;
	int rc = shared_open(s->path, s->owner, KIND, name, &d, err);

	if (!rc)
		rc = open_shared(&d, name, &fd, err);
	if (!rc)
		rc = take(s, fd, name, err);
	if (rc == AQ_CORRUPT)
		(void)!aq_remove_tree(d.fd, name, NULL);
	return rc;
}

struct tidying {
	int fd;
	time_t now;
};

static int tidy_one(const char *name, void *arg, struct aq_err *err)
{
	const struct tidying *t = arg;
	struct stat st;

	(void)err;
	if (aq_starts_with(name, "new-") &&
	    fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    t->now - st.st_mtime > HALF_SECONDS)
		(void)unlinkat(t->fd, name, 0);
	return 0;
}

/* Halves of who was killed; 'made' was just made there. */
static void tidy(const struct shared_dir *d, int made)
{
	struct tidying t = { .fd = d->fd };
	struct stat st;

	if (fstat(made, &st) < 0)
		return;
	t.now = st.st_mtime;
	(void)!aq_each_entry(d->fd, KIND, tidy_one, &t, NULL);
}

int shared_store_put(const struct shared_store *s, const char *name,
		     struct aq_err *err)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int from = -1, to = -1;
	char made[SHARED_NAME_SIZE];
	int rc = aq_open_file(s->here, name, &from, err);

	if (!rc)
		rc = shared_open(s->path, s->owner, KIND, name, &d, err);
	/* whatever it is: who gets it removes it, if it can be */
	if (rc || faccessat(d.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return rc;
	rc = shared_make_new(&d, made, &to, err);
	if (rc)
		return rc;
	tidy(&d, to);
	rc = copy(s, from, to, err);
	if (!rc && (fchmod(to, 0644) < 0 || fsync(to) < 0))
		rc = aq_fail_errno(err, "cannot write an archive");
	if (!rc)
		rc = shared_give_name(&d, made, name, err);
	(void)unlinkat(d.fd, made, 0);
	return rc == AQ_BUSY ? 0 : rc;
}

int shared_store_try(const char *path, uid_t owner, struct aq_err *err)
{
	static const char digits[] = "00", text[] = "a try of 'aq doctor'\n";
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	char made[SHARED_NAME_SIZE];
	int rc = shared_open(path, owner, KIND, digits, &d, err);

	if (!rc)
		rc = shared_write_new(&d, text, strlen(text), made, err);
	if (!rc)
		(void)unlinkat(d.fd, made, 0);
	return rc;
}
