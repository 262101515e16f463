/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/job.h"

#define PATH_SIZE 1024
/* How often a lease may vanish between open and lock before it is no
 * coincidence.
 */
#define REOPEN_MAX 100

/* What is in a lease: boot id (random(4)), digest and environment, each as wide as it
 * can be, so that a part can be written over.  A NUL at the beginning: it ended.
 */
#define RECORD "%-36.36s %-64.64s %-39.39s\n"
#define RECORD_LEN (36 + 1 + 64 + 1 + 39 + 1)
#define RECORD_ENV (36 + 1 + 64 + 1)

static int open_leases(const struct aq_conf *conf, int *ret_fd,
		       struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/leases", conf->run_dir);
	return aq_open_dir(AT_FDCWD, path, ret_fd, err) ? AQ_SYS : 0;
}

void aq_lease_name(const struct aq_step *step, const char *node,
		   char ret[AQ_LEASE_NAME_SIZE])
{
	snprintf(ret, AQ_LEASE_NAME_SIZE, "%u.%u.%u.%s", step->job, step->step,
		 step->het, node);
}

/* The directory of leases and the name of the step's. */
static int open_place(const struct aq_conf *conf, const struct aq_step *step,
		      int *ret_dir, char ret_name[AQ_LEASE_NAME_SIZE],
		      struct aq_err *err)
{
	aq_lease_name(step, conf->node, ret_name);
	return open_leases(conf, ret_dir, err);
}

/* -- locks -- */

/* Open file description locks (fcntl(2)): like flock(2)'s they live as long as
 * the last descriptor, across fork and SCM_RIGHTS, but whether one is held can
 * be asked without taking it.  A flock(2) taken to look would make a step that
 * starts at that moment fail.
 */
static struct flock whole_file(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static int lock(int dirfd, const char *name, int *ret_fd, struct aq_err *err)
{
	struct flock whole = whole_file(F_WRLCK);
	int rc = 0;

	for (int i = 0; !rc && i < REOPEN_MAX; i++) {
		cleanup_close int fd = -1;

		rc = aq_open_own(dirfd, name, &fd, err);
		if (!rc && fcntl(fd, F_OFD_SETLK, &whole) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return aq_fail_errno(err, "cannot lock lease '%s'",
						     name);
			return aq_fail(err, AQ_BUSY, "lease '%s' is held: the step is staged twice",
				       name);
		}
		/* an epilog may remove it between open and lock */
		if (!rc && aq_is_still(fd, dirfd, name)) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
	}
	return rc ? rc :
		    aq_fail(err, AQ_SYS, "lease '%s' is removed again and again",
			    name);
}

int aq_lease_acquire(const struct aq_conf *conf, const struct aq_step *step,
		     int *ret_fd, struct aq_err *err)
{
	char name[AQ_LEASE_NAME_SIZE];
	cleanup_close int leases = -1, fd = -1;
	int rc = open_place(conf, step, &leases, name, err);

	if (!rc)
		rc = lock(leases, name, &fd, err);
	/* of a step of the same ids, before its job was requeued */
	if (!rc && ftruncate(fd, 0) < 0)
		rc = aq_fail_errno(err, "cannot use lease '%s'", name);
	if (!rc)
		*ret_fd = steal_fd(&fd);
	return rc;
}

static int is_free_at(int leases, const char *name, bool *ret,
		      struct aq_err *err)
{
	struct flock whole = whole_file(F_WRLCK);
	cleanup_close int fd = -1;

	fd = openat(leases, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		*ret = true;
		return 0;
	}
	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &whole) < 0)
		return aq_fail_errno(err, "cannot examine lease '%s'", name);
	*ret = whole.l_type == F_UNLCK;
	return 0;
}

int aq_lease_is_free(const struct aq_conf *conf, const struct aq_step *step,
		     bool *ret, struct aq_err *err)
{
	cleanup_close int leases = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_place(conf, step, &leases, name, err);

	return rc ? rc : is_free_at(leases, name, ret, err);
}

/* -- what they say -- */

int aq_lease_write(int fd, const char *digest, const char *env,
		   struct aq_err *err)
{
	char boot[AQ_BOOT_ID_SIZE], record[RECORD_LEN + 1];
	int rc = aq_boot_id(boot, err);

	if (rc)
		return rc;
	snprintf(record, sizeof(record), RECORD, boot, digest, env);
	if (pwrite(fd, record, RECORD_LEN, 0) != RECORD_LEN)
		return aq_fail_errno(err, "cannot write a lease");
	return 0;
}

/* By the path that the kernel knows, if it is still of that name. */
static void remove_file(int fd)
{
	char link[64], path[PATH_SIZE + AQ_LEASE_NAME_SIZE];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return;
	path[len] = '\0';
	if (aq_is_still(fd, AT_FDCWD, path))
		(void)unlink(path);
}

int aq_lease_end(int fd, struct aq_err *err)
{
	/* first, for who has it open */
	if (pwrite(fd, "", 1, 0) != 1)
		return aq_fail_errno(err, "cannot write a lease");
	remove_file(fd);
	return 0;
}

int aq_lease_put(const struct aq_conf *conf, const struct aq_step *step,
		 const char *digest, struct aq_err *err)
{
	char name[AQ_LEASE_NAME_SIZE];
	cleanup_close int leases = -1, fd = -1;
	int rc = open_place(conf, step, &leases, name, err);

	if (!rc)
		rc = aq_open_own(leases, name, &fd, err);
	return rc ? rc : aq_lease_write(fd, digest, "", err);
}

static enum aq_lease_state parse(const char *record, size_t len,
				 const char *boot, struct aq_lease *ret)
{
	char its_boot[AQ_BOOT_ID_SIZE];

	if (!len)
		return AQ_LEASE_EMPTY;
	if (!*record)
		return AQ_LEASE_ENDED;
	if (len != RECORD_LEN || strlen(record) != RECORD_LEN ||
	    record[RECORD_LEN - 1] != '\n' ||
	    sscanf(record, "%36s %64s %39s", its_boot, ret->digest, ret->env) < 2 ||
	    !aq_is_hex(ret->digest, sizeof(ret->digest) - 1))
		return AQ_LEASE_DAMAGED;
	return strcmp(its_boot, boot) == 0 ? AQ_LEASE_HOLDS : AQ_LEASE_ENDED;
}

static int read_at(int leases, const char *name, const char *boot, int *ret_fd,
		   struct aq_lease *ret, struct aq_err *err)
{
	char record[RECORD_LEN + 2] = "";
	ssize_t n;

	*ret_fd = openat(leases, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "lease '%s' is gone", name);
	n = *ret_fd < 0 ? -1 : pread(*ret_fd, record, RECORD_LEN + 1, 0);
	if (n < 0)
		return aq_fail_errno(err, "cannot read lease '%s'", name);
	ret->digest[0] = ret->env[0] = '\0';
	ret->state = parse(record, (size_t)n, boot, ret);
	return 0;
}

int aq_lease_set_env(const struct aq_conf *conf, const struct aq_step *step,
		     const char *env, struct aq_err *err)
{
	char name[AQ_LEASE_NAME_SIZE], boot[AQ_BOOT_ID_SIZE];
	char field[AQ_LEASE_ENV_SIZE];
	cleanup_close int leases = -1, fd = -1;
	struct aq_lease lease;
	int rc = open_place(conf, step, &leases, name, err);

	if (!rc)
		rc = aq_boot_id(boot, err);
	if (!rc)
		rc = read_at(leases, name, boot, &fd, &lease, err);
	if (!rc && lease.state != AQ_LEASE_HOLDS)
		rc = aq_fail(err, AQ_MISS, "lease '%s' holds nothing", name);
	if (rc)
		return rc;
	snprintf(field, sizeof(field), "%-39.39s", env);
	if (pwrite(fd, field, strlen(field), RECORD_ENV) !=
	    (ssize_t)strlen(field))
		return aq_fail_errno(err, "cannot write lease '%s'", name);
	return 0;
}

/* Its lock is the inode's.  Of two, the one that is held is slurmstepd's. */
int aq_lease_move(const struct aq_conf *from, const struct aq_conf *to,
		  const struct aq_step *step, struct aq_err *err)
{
	cleanup_close int here = -1, there = -1;
	char name[AQ_LEASE_NAME_SIZE];
	bool is_free = true;
	int rc = open_place(from, step, &here, name, err);

	if (!rc)
		rc = open_leases(to, &there, err);
	if (!rc)
		rc = aq_lease_is_free(to, step, &is_free, err);
	if (rc)
		return rc;
	if ((is_free ? renameat(here, name, there, name) :
		       unlinkat(here, name, 0)) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot move lease '%s'", name);
	return 0;
}

/* -- removing -- */

int aq_lease_remove(const struct aq_conf *conf, const struct aq_step *step,
		    struct aq_err *err)
{
	cleanup_close int leases = -1;
	char name[AQ_LEASE_NAME_SIZE];
	int rc = open_place(conf, step, &leases, name, err);

	if (rc)
		return rc;
	if (unlinkat(leases, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove lease '%s'", name);
	return 0;
}

/* Its lock is ours meanwhile: who opened it before we removed it finds out
 * (lock()).
 */
int aq_lease_remove_free(const struct aq_conf *conf, const struct aq_step *step,
			 struct aq_err *err)
{
	char name[AQ_LEASE_NAME_SIZE];
	cleanup_close int leases = -1, fd = -1;
	int rc = open_place(conf, step, &leases, name, err);

	if (!rc)
		rc = lock(leases, name, &fd, err);
	if (!rc && unlinkat(leases, name, 0) < 0)
		rc = aq_fail_errno(err, "cannot remove lease '%s'", name);
	return rc;
}

/* -- all of them -- */

static bool parse_name(const char *name, struct aq_lease *ret)
{
	char copy[AQ_LEASE_NAME_SIZE], *dot, *at = copy;
	uint64_t n[3];

	/* a file's name, which has 255 bytes at most */
	snprintf(copy, sizeof(copy), "%s", name);
	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		dot = strchr(at, '.');
		if (!dot)
			return false;
		*dot = '\0';
		if (!aq_parse_u64(at, UINT32_MAX, &n[i]))
			return false;
		at = dot + 1;
	}
	ret->step = (struct aq_step){ (uint32_t)n[0], (uint32_t)n[1],
				      (uint32_t)n[2] };
	return aq_copy_text(ret->node, sizeof(ret->node), at);
}

struct each {
	aq_lease_wants_fn *wants; /* or NULL */
	aq_lease_each_fn *fn;
	void *arg;
	int leases;
	char boot[AQ_BOOT_ID_SIZE];
};

static int call_one(const char *name, void *arg, struct aq_err *err)
{
	const struct each *e = arg;
	cleanup_close int fd = -1;
	struct aq_lease lease;
	int rc;

	if (!parse_name(name, &lease) || (e->wants && !e->wants(&lease, e->arg)))
		return 0;
	rc = read_at(e->leases, name, e->boot, &fd, &lease, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	return e->fn(&lease, e->arg, err);
}

int aq_lease_each(const struct aq_conf *conf, aq_lease_each_fn *fn, void *arg,
		  struct aq_err *err)
{
	return aq_lease_each_of(conf, NULL, fn, arg, err);
}

int aq_lease_each_of(const struct aq_conf *conf, aq_lease_wants_fn *wants,
		     aq_lease_each_fn *fn, void *arg, struct aq_err *err)
{
	struct each e = { .wants = wants, .fn = fn, .arg = arg };
	cleanup_close int leases = -1;
	char path[PATH_SIZE];
	int rc = aq_boot_id(e.boot, err);

	snprintf(path, sizeof(path), "%s/leases", conf->run_dir);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, path, &leases, err);
	e.leases = leases;
	if (rc) /* nothing has run since the boot */
		return rc == AQ_MISS ? 0 : rc;
	return aq_each_entry(leases, path, call_one, &e, err);
}
