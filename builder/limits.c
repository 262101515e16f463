/* SPDX-License-Identifier: Apache-2.0 */
/* How much a program of a build may take: what the kernel counts as rlimits,
 * what it does not, the disk, watched by the supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "builder/cage.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/walk.h"

#define MIB ((uint64_t)1024 * 1024)
#define GIB (1024 * MIB)

/* Processes and threads of the account, on all of the node: a client has some
 * for each processor and up to 512 that wait for the disk, and two may build.
 */
#define CLIENT_PROCESSES_MAX 4096
/* A probe is a shell or an interpreter with a few children. */
#define PROBE_PROCESSES_MAX 512

/* One file, in bytes: the largest libraries and archives have 4 GiB. */
#define CLIENT_FILE_MAX (32 * GIB)
/* Byte-code, a check's temporary file. */
#define PROBE_FILE_MAX (256 * MIB)

/* Open files: clients unpack many at once. */
#define CLIENT_OPEN_MAX 65536
#define PROBE_OPEN_MAX 4096

/* What a program may add to the disk, in bytes and inodes: the largest
 * environments have 30 GiB and half a million files, here with their archives.
 */
#define CLIENT_DISK_MAX (128 * GIB)
#define CLIENT_INODES_MAX 4000000
/* A probe's scratch, and byte-code that it makes: 1 GiB is all of the largest
 * environment's sources compiled.
 */
#define PROBE_DISK_MAX (1 * GIB)
#define PROBE_INODES_MAX 200000

/* Looking may take a twentieth of the time. */
#define LOOK_SHARE 20

/* Between 0 and 1000, proc(5): before jobs, which are at 0 or below. */
#define OOM_SCORE "500"

void limits_offer_to_oom(void)
{
	cleanup_close int fd =
		open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* no /proc: then the kernel chooses by size, as it did before */
	if (fd >= 0)
		(void)!write(fd, OOM_SCORE, strlen(OOM_SCORE));
}

/* Where the node allows less, that. */
static bool set(int resource, uint64_t max)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return false;
	if (limit.rlim_max > max)
		limit.rlim_max = max;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

bool limits_set(const struct build *b, const struct phase_form *form)
{
	bool is_client = form->writes_prefix;
	uint64_t seconds = b->conf->build_timeout;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	/* a process's own time: of a client's threads on every processor */
	if (is_client && cpus > 1)
		seconds *= (uint64_t)cpus;
	return set(RLIMIT_CORE, 0) && set(RLIMIT_CPU, seconds + 1) &&
	       set(RLIMIT_FSIZE, is_client ? CLIENT_FILE_MAX :
					     PROBE_FILE_MAX) &&
	       set(RLIMIT_NOFILE, is_client ? CLIENT_OPEN_MAX :
					      PROBE_OPEN_MAX) &&
	       set(RLIMIT_NPROC, is_client ? CLIENT_PROCESSES_MAX :
					     PROBE_PROCESSES_MAX);
}

/* -- processes, which the kernel counts for an account on all of the node -- */

struct crowd {
	int proc;
	uid_t uid;
	uint64_t n; /* processes and threads */
};

static int count_threads(const char *name, void *arg, struct aq_err *err)
{
	struct crowd *c = arg;
	char path[64];
	struct stat st;

	(void)err;
	snprintf(path, sizeof(path), "%.20s/task", name);
	/* it has a link for each thread, and two */
	if (strspn(name, "0123456789") == strlen(name) &&
	    fstatat(c->proc, path, &st, 0) == 0 && st.st_uid == c->uid)
		c->n += st.st_nlink - 2;
	return 0;
}

bool limits_are_used_up(const struct build *b, enum phase phase)
{
	const struct phase_form *form = phase_form(phase);
	struct crowd c = { .uid = phase_identity(b, phase)->uid };
	cleanup_close int proc = -1;

	if (b->is_personal || aq_open_dir(AT_FDCWD, "/proc", &proc, NULL) != 0)
		return false;
	c.proc = proc;
	return aq_each_entry(proc, "/proc", count_threads, &c, NULL) == 0 &&
	       c.n > (form->writes_prefix ? CLIENT_PROCESSES_MAX :
					    PROBE_PROCESSES_MAX) / 2;
}

/* -- the disk -- */

/* What directories hold, until it is over a limit. */
struct count {
	uint64_t bytes, inodes, bytes_max, inodes_max;
};

static int add(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	struct count *c = arg;

	(void)err;
	if (e->is_end)
		return 0;
	c->inodes++;
	c->bytes += (uint64_t)e->st->st_blocks * 512;
	if (c->bytes > c->bytes_max || c->inodes > c->inodes_max)
		return AQ_BUSY;
	return e->is_too_deep ? AQ_WALK_SKIP : 0;
}

/* Whether 'path' below work/, what others of the build hold counted before, is
 * over a limit.
 */
static bool is_over_with(const struct build *b, const char *path,
			 struct count *c)
{
	char whole[2 * BUILD_PATH_MAX];

	if (!*path)
		return false;
	snprintf(whole, sizeof(whole), "%s/%s", b->work, path);
	return aq_walk(AT_FDCWD, whole, add, c, NULL) == AQ_BUSY;
}

/* Caches are everybody's: what the file system as a whole has lost. */
static bool has_lost_too_much(const struct build *b, struct disk_watch *w)
{
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(b->work, &fs) < 0)
		return false;
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (!w->is_begun) {
		w->is_begun = true;
		w->bytes = bytes;
		w->inodes = fs.f_favail;
	}
	return (bytes < w->bytes && w->bytes - bytes > CLIENT_DISK_MAX) ||
	       (fs.f_favail < w->inodes &&
		w->inodes - fs.f_favail > CLIENT_INODES_MAX);
}

const char *limits_look_at_disk(const struct build *b, enum phase phase,
				struct disk_watch *w)
{
	const struct phase_form *form = phase_form(phase);
	struct count c = { .bytes_max = PROBE_DISK_MAX,
			   .inodes_max = PROBE_INODES_MAX };
	char site[BUILD_PATH_MAX];
	int64_t now = aq_now_ms();
	bool is_over;

	if (b->is_personal || now < w->next_ms)
		return NULL;
	if (form->writes_prefix) {
		c.bytes_max = CLIENT_DISK_MAX;
		c.inodes_max = CLIENT_INODES_MAX;
	}
	snprintf(site, sizeof(site), "envs/%s", b->name);
	is_over = form->has_caches ?
		has_lost_too_much(b, w) :
		is_over_with(b, b->scratch, &c) ||
			is_over_with(b, b->open_dir, &c) ||
			(form->writes_prefix && b->name[0] &&
			 is_over_with(b, site, &c));
	w->next_ms = now + LOOK_SHARE * (aq_now_ms() - now);
	return is_over ? "the build fills the disk: it has written more than any environment needs" :
			 NULL;
}
