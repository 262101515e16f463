/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: the node's directories, what they lie on, and the cage. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "cli/doctor.h"
#include "cli/doctor_parse.h"
#include "cli/units.h"
#include "common/build.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/trust.h"
#include "common/worker.h"

#define PATH_SIZE 4096
/* A whole environment has this many files; the next one would not fit. */
#define INODES_LEAST 50000

/* -- owners and modes -- */

struct looking {
	struct doctor *d;
	unsigned int n_wrong, n_there;
};

static void look(const char *path, mode_t mode, void *arg)
{
	struct looking *l = arg;
	char remedy[PATH_SIZE + 64];
	struct stat st;

	/* below what only root may enter; or made when it is first needed */
	if (lstat(path, &st) < 0)
		return;
	l->n_there++;
	if (S_ISDIR(st.st_mode) && st.st_uid == 0 &&
	    (st.st_mode & 07777) == mode)
		return;
	l->n_wrong++;
	snprintf(remedy, sizeof(remedy), "chown root: '%s' && chmod %04o '%s'",
		 path, mode, path);
	if (!S_ISDIR(st.st_mode))
		doctor_say(l->d, DOCTOR_ERROR, "move it away",
			   "'%s' is no directory", path);
	else
		doctor_say(l->d, DOCTOR_ERROR, remedy,
			   "'%s' is user %u's with mode %04o: it must be root's with %04o",
			   path, st.st_uid, st.st_mode & 07777, mode);
}

/* Users must get to what lies below 'path'. */
static void check_way(struct looking *l, const char *path)
{
	char part[PATH_SIZE], remedy[PATH_SIZE + 32];
	struct stat st;

	for (const char *at = path; (at = strchr(at + 1, '/'));) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		if (stat(part, &st) < 0 || (st.st_mode & S_IXOTH))
			continue;
		l->n_wrong++;
		snprintf(remedy, sizeof(remedy), "chmod o+x '%s'", part);
		doctor_say(l->d, DOCTOR_ERROR, remedy,
			   "users cannot pass '%s' on the way to '%s'", part,
			   path);
	}
}

/* Nobody but root may change what root works in, or runs. */
static void check_trust(struct looking *l, const char *path)
{
	struct aq_err err = { 0 };

	if (aq_trust_path(path, &err) == 0)
		return;
	l->n_wrong++;
	doctor_say(l->d, DOCTOR_ERROR,
		   "give it to root, and take the others' right to write",
		   "on the way to '%s': %s", path, err.text);
}

void doctor_directories(struct doctor *d)
{
	const char *const trusted[] = { d->conf->cache_dir, d->conf->run_dir,
					d->conf->public_dir, AQ_BUILDER_PATH };
	struct looking l = { .d = d };

	aq_layout_each(d->conf, look, &l);
	check_way(&l, d->conf->cache_dir);
	check_way(&l, d->conf->public_dir);
	for (size_t i = 0; i < ARRAY_LEN(trusted); i++)
		check_trust(&l, trusted[i]);
	if (l.n_wrong)
		return;
	doctor_say(d, DOCTOR_OK, NULL, "'%s' and '%s': %s", d->conf->cache_dir,
		   d->conf->run_dir,
		   l.n_there ? "owners and modes are as they must be" :
			       "made when they are first needed");
}

/* -- what they lie on -- */

/* 'path', or what is there of it. */
static void existing(const char *path, char ret[PATH_SIZE])
{
	struct stat st;
	char *slash;

	snprintf(ret, PATH_SIZE, "%s", path);
	while (stat(ret, &st) < 0 && (slash = strrchr(ret, '/')) && slash != ret)
		*slash = '\0';
}

static bool get_kind(const char *path, const char **ret_name,
		     bool *ret_is_network, unsigned long *ret_flags)
{
	static char number[32];
	char there[PATH_SIZE];
	struct statvfs v;
	struct statfs s;

	existing(path, there);
	if (statfs(there, &s) < 0 || statvfs(there, &v) < 0)
		return false;
	*ret_flags = v.f_flag;
	/* f_type is signed on some machines */
	*ret_name = file_system_name((uint32_t)s.f_type, ret_is_network);
	if (!*ret_name) {
		snprintf(number, sizeof(number), "file system 0x%x",
			 (unsigned int)s.f_type);
		*ret_name = number;
	}
	return true;
}

static void check_cache_kind(struct doctor *d)
{
	const char *path = d->conf->cache_dir, *name = "";
	unsigned long flags = 0;
	bool is_network = false;

	if (!get_kind(path, &name, &is_network, &flags))
		return;
	if (is_network)
		doctor_say(d, DOCTOR_WARNING,
			   "use a local disk; if it must be this one, put %n into cache_dir, so that no two nodes share it",
			   "cache_dir '%s' is on %s: locks may be slow or missing there, and every start reads from it",
			   path, name);
	else if (strcmp(name, "tmpfs") == 0 || strcmp(name, "ramfs") == 0)
		doctor_say(d, DOCTOR_WARNING,
			   "use a disk: environments take memory there, and are gone with the boot",
			   "cache_dir '%s' is on %s", path, name);
	else
		doctor_say(d, DOCTOR_OK, NULL, "cache_dir '%s' is on %s", path,
			   name);
	if (flags & ST_NOEXEC)
		doctor_say(d, DOCTOR_ERROR, "mount it without noexec",
			   "programs below cache_dir '%s' cannot be executed", path);
	if (!(flags & ST_NOSUID) || !(flags & ST_NODEV))
		doctor_say(d, DOCTOR_WARNING,
			   "mount it nosuid,nodev: a second lock beside the build's own, which refuses set-id files and devices",
			   "cache_dir '%s' is on a mount without %s%s%s", path,
			   flags & ST_NOSUID ? "" : "nosuid",
			   flags & (ST_NOSUID | ST_NODEV) ? "" : " and ",
			   flags & ST_NODEV ? "" : "nodev");
}

void doctor_file_systems(struct doctor *d)
{
	const char *path = d->conf->run_dir, *name = "";
	unsigned long flags = 0;
	bool is_network = false;

	check_cache_kind(d);
	if (!get_kind(path, &name, &is_network, &flags))
		return;
	if (is_network)
		doctor_say(d, DOCTOR_ERROR, "set run_dir to a place below /run",
			   "run_dir '%s' is on %s: a step's start would wait for the network",
			   path, name);
	else if (strcmp(name, "tmpfs") != 0)
		doctor_say(d, DOCTOR_WARNING,
			   "set run_dir to a place below /run: what is in it means nothing after a boot",
			   "run_dir '%s' is on %s, not on a tmpfs", path, name);
	else
		doctor_say(d, DOCTOR_OK, NULL, "run_dir '%s' is on %s", path,
			   name);
}

/* -- links -- */

#define TRY "trash/.doctor"

static void try_links(struct doctor *d, int cache)
{
	cleanup_close int a = -1, b = -1;
	bool has_hard, has_ref = false;

	(void)unlinkat(cache, TRY "-1", 0);
	(void)unlinkat(cache, TRY "-2", 0);
	a = openat(cache, TRY "-1",
		   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (a < 0 || write(a, "x", 1) != 1) {
		doctor_say(d, DOCTOR_ERROR, "make room, or mount it writable",
			   "cannot write below '%s': %s", d->conf->cache_dir,
			   strerror(errno));
		return;
	}
	has_hard = linkat(cache, TRY "-1", cache, TRY "-2", 0) == 0;
	(void)unlinkat(cache, TRY "-2", 0);
	b = openat(cache, TRY "-2",
		   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (b >= 0)
		has_ref = ioctl(b, FICLONE, a) == 0;
	(void)unlinkat(cache, TRY "-1", 0);
	(void)unlinkat(cache, TRY "-2", 0);
	if (has_hard || has_ref)
		doctor_say(d, DOCTOR_OK, NULL, "environments share files by %s",
			   has_hard && has_ref ? "hard links, or reflinks" :
			   has_hard	       ? "hard links" :
						 "reflinks");
	else
		doctor_say(d, DOCTOR_WARNING,
			   "put cache_dir on ext4, xfs or btrfs: without links every environment is a whole copy",
			   "'%s' has neither hard links nor reflinks",
			   d->conf->cache_dir);
}

void doctor_links(struct doctor *d)
{
	cleanup_close int cache = -1;
	char trash[PATH_SIZE];

	snprintf(trash, sizeof(trash), "%s/trash", d->conf->cache_dir);
	if (access(trash, F_OK) < 0 ||
	    aq_open_dir(AT_FDCWD, d->conf->cache_dir, &cache, NULL) != 0)
		doctor_say(d, DOCTOR_OK, NULL, "nothing was built here yet, so nothing is tried");
	else
		try_links(d, cache);
}

/* -- space -- */

void doctor_space(struct doctor *d)
{
	char there[PATH_SIZE], has[UNITS_SIZE], wants[UNITS_SIZE];
	struct statvfs fs;
	uint64_t bytes;

	existing(d->conf->cache_dir, there);
	if (statvfs(there, &fs) < 0) {
		doctor_say(d, DOCTOR_ERROR, "see what is the matter with the disk",
			   "'%s': %s", there, strerror(errno));
		return;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes < d->conf->min_free)
		doctor_say(d, DOCTOR_WARNING,
			   "'aq gc' collects what it can; give cache_dir more room, or lower min_free",
			   "%s are free for cache_dir, less than min_free (%s)",
			   units_bytes(bytes, has),
			   units_bytes(d->conf->min_free, wants));
	else if (fs.f_files && fs.f_favail < INODES_LEAST)
		doctor_say(d, DOCTOR_WARNING,
			   "'aq gc' collects what it can; make a file system with more inodes",
			   "%llu inodes are left for cache_dir: one environment may need more",
			   (unsigned long long)fs.f_favail);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%s are free for cache_dir",
			   units_bytes(bytes, has));
}

/* -- the cage -- */

static int enter(void *arg, struct aq_err *err)
{
	(void)arg;
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID |
		    CLONE_NEWNET) < 0)
		return aq_fail_errno(err, "no namespaces");
	return 0;
}

void doctor_namespaces(struct doctor *d)
{
	struct aq_err err = { 0 };

	if (aq_worker_run(enter, NULL, DOCTOR_LIMIT_MS, -1, &err) == 0)
		doctor_say(d, DOCTOR_OK, NULL, "builds get namespaces of their own");
	else
		doctor_say(d, DOCTOR_ERROR,
			   "let root unshare mount, pid, ipc, uts and network namespaces here (in a container: CAP_SYS_ADMIN; see also /proc/sys/user/max_*_namespaces): nothing is built without",
			   "%s", err.text);
}

/* As a build does, in a worker: it is moved, and back. */
static int enter_group(void *arg, struct aq_err *err)
{
	const struct aq_conf *conf = arg;
	const struct cgroup_limits limits = { conf->build_memory,
					      conf->build_cpus };
	struct aq_err why = { 0 };
	struct cgroup *c = NULL;
	char lacks[CGROUP_LACKS_SIZE], name[64];
	int rc;

	snprintf(name, sizeof(name), "aq-doctor-%d", getpid());
	rc = cgroup_enter(name, &limits, &c, &why);
	if (rc)
		return aq_fail(err, rc, "%s", why.text);
	cgroup_say_lacks(c, &limits, lacks);
	cgroup_leave(c);
	return !*lacks ? 0 :
			 aq_fail(err, AQ_MISS, "no control group can hold builds to their limit of %s%s%s",
				 lacks, why.text[0] ? ": " : "", why.text);
}

void doctor_groups(struct doctor *d)
{
	struct aq_err err = { 0 };

	if (aq_worker_run(enter_group, (void *)(uintptr_t)d->conf,
			  DOCTOR_LIMIT_MS, -1, &err) == 0)
		doctor_say(d, DOCTOR_OK, NULL, "builds get control groups of their own");
	else
		doctor_say(d, DOCTOR_WARNING,
			   "let root make groups where slurmd is (slurmd.service: Delegate=yes; in a container: a writable /sys/fs/cgroup); until then each process of a build is limited instead",
			   "%s", err.text);
}
