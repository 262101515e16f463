/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/lock.h"

/* Damaged ones that are looked past, and generations that others took meanwhile. */
#define TRIES_MAX 16

/* -- places -- */

static int judge_dir(int fd, const char *path, uid_t owner, struct aq_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", path);
	if ((st.st_uid != owner && st.st_uid != 0) || (st.st_mode & 022))
		return aq_fail(err, AQ_SYS,
			       "'%s' is user %u's with mode %04o: it must be %u's, or root's, and nobody else may write it",
			       path, st.st_uid, st.st_mode & 07777, owner);
	return 0;
}

static int open_below(int dirfd, const char *name, uid_t owner, int *ret_fd,
		      struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc;

	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make directory '%s'", name);
	rc = aq_open_dir(dirfd, name, &fd, err);
	if (!rc)
		rc = judge_dir(fd, name, owner, err);
	if (!rc)
		*ret_fd = steal_fd(&fd);
	return rc;
}

int shared_open(const char *path, uid_t owner, const char *kind, const char *key,
		struct shared_dir *ret, struct aq_err *err)
{
	cleanup_close int top = -1, kinds = -1;
	char digits[3];
	int rc = aq_open_dir(AT_FDCWD, path, &top, err);

	snprintf(digits, sizeof(digits), "%.2s", key);
	if (!rc)
		rc = judge_dir(top, path, owner, err);
	if (!rc)
		rc = open_below(top, kind, owner, &kinds, err);
	if (!rc)
		rc = open_below(kinds, digits, owner, &ret->fd, err);
	ret->owner = owner;
	snprintf(ret->key, sizeof(ret->key), "%.64s", key);
	/* "not there" is no miss of what is looked for in it */
	return rc == AQ_MISS ? aq_fail(err, AQ_SYS, "'%s' is not there", path) :
			       rc;
}

int shared_dir_open(const char *path, uid_t owner, const char *key,
		    struct shared_dir *ret, struct aq_err *err)
{
	return shared_open(path, owner, "locks", key, ret, err);
}

void shared_dir_close(struct shared_dir *d)
{
	aq_close_fd(&d->fd);
	aq_str_free(&d->notes);
}

/* -- reading -- */

static int judge_file(const struct shared_dir *d, const struct stat *st,
		      struct aq_err *err)
{
	if (!S_ISREG(st->st_mode))
		return aq_fail(err, AQ_CORRUPT, "it is no regular file");
	if (st->st_uid != d->owner)
		return aq_fail(err, AQ_CORRUPT, "it is user %u's", st->st_uid);
	if (st->st_mode & 022)
		return aq_fail(err, AQ_CORRUPT, "others may write it");
	return 0;
}

int shared_open_own(const struct shared_dir *d, const char *name, int *ret_fd,
		    struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	int rc = aq_open_file(d->fd, name, &fd, err);

	if (rc == AQ_MISS)
		return rc;
	/* what cannot be opened may be another's, and no link is followed */
	if (rc && (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		   judge_file(d, &st, NULL) == 0))
		return rc;
	if (!rc && fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", name);
	rc = judge_file(d, &st, err);
	if (!rc)
		*ret_fd = steal_fd(&fd);
	return rc;
}

int shared_read_own(const struct shared_dir *d, const char *name,
		    struct aq_str *text, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = shared_open_own(d, name, &fd, err);

	return rc ? rc : aq_read_open(fd, name, text, err);
}

static int read_lock(struct shared_dir *d, const char *name,
		     struct aq_str *text, struct aq_err *err)
{
	cleanup_str struct aq_str found = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_lock struct aq_lock *lock = NULL;
	struct aq_err why = { 0 };
	int rc = shared_read_own(d, name, &found, &why);

	if (!rc)
		rc = aq_lock_parse(aq_str_get(&found), found.len, &lock, &why);
	/* what could not be read may be as good as ever: only too much is not */
	if (rc && rc != AQ_CORRUPT && !found.broken)
		return aq_fail(err, (enum aq_class)rc, "%s", why.text);
	if (rc) {
		aq_str_add_fmt(&d->notes, "'%s' is ignored: %.200s\n", name,
			       why.text);
		return AQ_CORRUPT;
	}
	aq_str_add_mem(text, aq_str_get(&found), found.len);
	return aq_str_done(text, name, err);
}

/* The highest number below 'below' behind a name's 'stem'. */
struct scan {
	const char *stem;
	size_t len;
	uint64_t below, highest;
};

static int scan_one(const char *name, void *arg, struct aq_err *err)
{
	struct scan *s = arg;
	uint64_t n;

	(void)err;
	if (strncmp(name, s->stem, s->len) == 0 && name[s->len] != '0' &&
	    aq_parse_u64(name + s->len, SHARED_NUMBER_MAX, &n) && n < s->below &&
	    n > s->highest)
		s->highest = n;
	return 0;
}

int shared_find_highest(const struct shared_dir *d, const char *kind,
			uint64_t below, uint64_t *ret, struct aq_err *err)
{
	char stem[SHARED_NAME_SIZE];
	struct scan s = { .stem = stem, .below = below };
	int rc;

	snprintf(stem, sizeof(stem), "%s.%s", d->key, kind);
	s.len = strlen(stem);
	rc = aq_each_entry(d->fd, "locks", scan_one, &s, err);
	if (!rc)
		*ret = s.highest;
	return rc;
}

static void name_generation(const struct shared_dir *d, uint64_t n,
			    char ret[SHARED_NAME_SIZE])
{
	snprintf(ret, SHARED_NAME_SIZE, "%s.%" PRIu64, d->key, n);
}

int shared_dir_find(struct shared_dir *d, struct aq_str *text,
		    uint64_t *ret_generation, struct aq_err *err)
{
	uint64_t n = SHARED_NUMBER_MAX + 1;
	char name[SHARED_NAME_SIZE];

	for (int i = 0; i < TRIES_MAX; i++) {
		int rc = shared_find_highest(d, "", n, &n, err);

		if (rc)
			return rc;
		if (!n)
			break;
		name_generation(d, n, name);
		rc = read_lock(d, name, text, err);
		if (!rc)
			*ret_generation = n;
		if (rc != AQ_CORRUPT && rc != AQ_MISS)
			return rc;
	}
	return aq_fail(err, AQ_MISS, "nobody has published a lock");
}

static void name_job(const struct shared_dir *d, char ret[SHARED_NAME_SIZE])
{
	snprintf(ret, SHARED_NAME_SIZE, "%s.job-%" PRIu32, d->key, d->job);
}

int shared_dir_find_job(struct shared_dir *d, struct aq_str *text,
			struct aq_err *err)
{
	char name[SHARED_NAME_SIZE];
	int rc;

	name_job(d, name);
	rc = d->job ? read_lock(d, name, text, err) : AQ_MISS;
	return rc == AQ_CORRUPT ? AQ_MISS : rc;
}

static bool is_text(const struct aq_str *found, const char *text, size_t len)
{
	return found->len == len && memcmp(found->s, text, len) == 0;
}

/* -- writing -- */

int shared_make_new(const struct shared_dir *d, char ret_name[SHARED_NAME_SIZE],
		    int *ret_fd, struct aq_err *err)
{
	uint64_t random;
	int fd;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return aq_fail_errno(err, "no random number can be had");
	snprintf(ret_name, SHARED_NAME_SIZE, "new-%016" PRIx64, random);
	fd = openat(d->fd, ret_name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make a file");
	*ret_fd = fd;
	return 0;
}

int shared_write_new(const struct shared_dir *d, const char *text, size_t len,
		     char ret_name[SHARED_NAME_SIZE], struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = shared_make_new(d, ret_name, &fd, err);

	if (rc)
		return rc;
	rc = aq_write_all(fd, text, len, err);
	if (!rc && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		rc = aq_fail_errno(err, "cannot write a file");
	if (rc)
		(void)unlinkat(d->fd, ret_name, 0);
	return rc;
}

int shared_give_name(const struct shared_dir *d, const char *from,
		     const char *to, struct aq_err *err)
{
	struct stat ours, theirs;
	int error;

	if (linkat(d->fd, from, d->fd, to, 0) == 0)
		return 0;
	error = errno;
	/* over NFS a call that is sent twice fails the second time: open(2) */
	if (fstatat(d->fd, from, &ours, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(d->fd, to, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
		return 0;
	errno = error;
	return error == EEXIST ?
		AQ_BUSY : aq_fail_errno(err, "cannot give a file a second name");
}

struct tidying {
	const struct shared_dir *d;
	char stem[SHARED_NAME_SIZE];
	uint64_t newest;
	time_t now; /* by the clock of the file system */
};

static int tidy_one(const char *name, void *arg, struct aq_err *err)
{
	const struct tidying *t = arg;
	const char *rest = name + strlen(t->stem);
	bool is_ours = aq_starts_with(name, t->stem);
	struct stat st;
	uint64_t n;

	(void)err;
	if (is_ours && aq_parse_u64(rest, SHARED_NUMBER_MAX, &n)) {
		/* somebody may just have chosen the one before */
		if (n + 1 < t->newest)
			(void)unlinkat(t->d->fd, name, 0);
		return 0;
	}
	if (!aq_starts_with(name, "new-") &&
	    !(is_ours && aq_starts_with(rest, "job-")))
		return 0;
	if (fstatat(t->d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    t->now - st.st_mtime > SHARED_KEEP_SECONDS)
		(void)unlinkat(t->d->fd, name, 0);
	return 0;
}

/* What nobody asks for any more; 'made' was just written. */
static void tidy(const struct shared_dir *d, const char *made, uint64_t newest)
{
	struct tidying t = { .d = d, .newest = newest };
	struct stat st;

	snprintf(t.stem, sizeof(t.stem), "%s.", d->key);
	if (fstatat(d->fd, made, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	t.now = st.st_mtime;
	(void)!aq_each_entry(d->fd, "locks", tidy_one, &t, NULL);
}

/* Whether the newest one is above 'replaced', or 'text' already: AQ_MISS if not. */
static int find_newer(struct shared_dir *d, uint64_t replaced, const char *text,
		      size_t len, struct aq_err *err)
{
	cleanup_str struct aq_str other = AQ_STR_INIT(AQ_LOCK_MAX);
	uint64_t whole = 0;
	int rc = shared_dir_find(d, &other, &whole, err);

	if (rc || whole > replaced || is_text(&other, text, len))
		return rc;
	return AQ_MISS;
}

static int publish_next(struct shared_dir *d, uint64_t replaced, const char *text,
			size_t len, const char *made, struct aq_err *err)
{
	char name[SHARED_NAME_SIZE];
	uint64_t n = 0;
	int rc;

	for (int i = 0; i < TRIES_MAX; i++) {
		/* first, so that what another publishes meanwhile has the name
		 * that ours would have
		 */
		rc = shared_find_highest(d, "", SHARED_NUMBER_MAX + 1, &n, err);
		if (!rc)
			rc = find_newer(d, replaced, text, len, err);
		if (rc != AQ_MISS)
			return rc;
		name_generation(d, n + 1, name);
		rc = shared_give_name(d, made, name, err);
		if (!rc)
			tidy(d, made, n + 1);
		if (rc != AQ_BUSY)
			return rc;
	}
	return aq_fail(err, AQ_SYS, "others publish all the time");
}

int shared_dir_publish_job(struct shared_dir *d, const char *text, size_t len,
			   struct aq_err *err)
{
	char made[SHARED_NAME_SIZE], name[SHARED_NAME_SIZE];
	int rc = shared_write_new(d, text, len, made, err);

	if (rc)
		return rc;
	name_job(d, name);
	rc = shared_give_name(d, made, name, err);
	(void)unlinkat(d->fd, made, 0);
	if (rc == AQ_BUSY) /* another node of the job was first */
		rc = 0;
	return rc ? rc : aq_sync_dir(d->fd, err);
}

int shared_dir_publish(struct shared_dir *d, uint64_t replaced, const char *text,
		       size_t len, struct aq_err *err)
{
	cleanup_str struct aq_str job_s = AQ_STR_INIT(AQ_LOCK_MAX);
	char made[SHARED_NAME_SIZE];
	bool is_job_s = shared_dir_find_job(d, &job_s, NULL) == 0 &&
			is_text(&job_s, text, len);
	int rc = 0;

	/* the very file, so that of its nodes at once one gives it the name */
	if (is_job_s)
		name_job(d, made);
	else
		rc = shared_write_new(d, text, len, made, err);
	if (rc)
		return rc;
	rc = publish_next(d, replaced, text, len, made, err);
	if (!is_job_s)
		(void)unlinkat(d->fd, made, 0);
	return rc ? rc : aq_sync_dir(d->fd, err);
}

/* -- trying -- */

int shared_dir_try(const char *path, uid_t owner, struct aq_err *err)
{
	static const char key[] = "00", text[] = "a try of 'aq doctor'\n";
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_str struct aq_str found = AQ_STR_INIT(sizeof(text));
	char made[SHARED_NAME_SIZE], name[SHARED_NAME_SIZE + 8];
	int rc = shared_dir_open(path, owner, key, &d, err);

	if (!rc)
		rc = shared_write_new(&d, text, strlen(text), made, err);
	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%s.too", made);
	rc = shared_give_name(&d, made, name, err);
	if (!rc)
		rc = shared_read_own(&d, name, &found, err);
	if (!rc && strcmp(aq_str_get(&found), text) != 0)
		rc = aq_fail(err, AQ_SYS, "what is written is not what is read");
	(void)unlinkat(d.fd, name, 0);
	(void)unlinkat(d.fd, made, 0);
	return rc;
}
