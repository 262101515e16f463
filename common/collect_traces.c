/* SPDX-License-Identifier: Apache-2.0 */
/* What is there for each key that was ever asked for, and would be for ever: logs of
 * builds; and of builders that were killed, before they could remove them, locks and
 * progress, which are in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/grow.h"
#include "common/io.h"

#define PATH_SIZE 1024
/* Logs are read by who had the failure, soon; each has 16 MiB at most. */
#define LOGS_SECONDS (30 * 86400)
#define LOGS_BYTES (1024ull * 1024 * 1024)
#define LOGS_MAX 1000000
#define LOG ".log"
#define LOG_OF_GC "gc" LOG /* one, and not a build's */

/* -- locks and progress -- */

static bool is_of_a_key(const char *name)
{
	static const char *const kinds[] = { "key-", "wait-", "want-",
					     AQ_FLOCK_LOCK, AQ_FLOCK_HOLD };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (aq_starts_with(name, kinds[i]))
			return true;
	return false;
}

static int drop_lock(const char *name, void *arg, struct aq_err *err)
{
	const int *dir = arg;
	cleanup_close int fd = -1;

	(void)err;
	if (is_of_a_key(name))
		fd = openat(*dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		aq_flock_remove(*dir, name, fd);
	return 0;
}

struct progress {
	const struct aq_conf *conf;
	int dir;
};

/* Who builds a key has its lock, which is made first. */
static int drop_progress(const char *name, void *arg, struct aq_err *err)
{
	const struct progress *p = arg;
	char path[PATH_SIZE];

	(void)err;
	snprintf(path, sizeof(path), "%s/locks/key-%s", p->conf->run_dir, name);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		(void)unlinkat(p->dir, name, 0);
	return 0;
}

static int drop_locks(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_close int locks = -1, builds = -1;
	struct progress p = { .conf = conf };
	char path[PATH_SIZE];
	int rc;

	if (geteuid() != 0) /* as aq_flock_drop() */
		return 0;
	snprintf(path, sizeof(path), "%s/locks", conf->run_dir);
	rc = aq_open_dir(AT_FDCWD, path, &locks, err);
	if (!rc)
		rc = aq_each_entry(locks, path, drop_lock, &locks, err);
	snprintf(path, sizeof(path), "%s/builds", conf->public_dir);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, path, &builds, err);
	p.dir = builds;
	if (!rc)
		rc = aq_each_entry(builds, path, drop_progress, &p, err);
	return rc == AQ_MISS ? 0 : rc;
}

/* -- logs -- */

struct log {
	char name[32]; /* "0123456789abcdef.log" */
	time_t time;
	uint64_t bytes;
};

struct logs {
	struct log *v;
	size_t n;
	int dir;
};

static void free_logs(struct logs *l)
{
	free(l->v);
	aq_close_fd(&l->dir);
}

static int add_log(const char *name, void *arg, struct aq_err *err)
{
	struct logs *l = arg;
	struct log log;
	struct stat st;

	if (!aq_ends_with(name, LOG) || strcmp(name, LOG_OF_GC) == 0 ||
	    !aq_copy_text(log.name, sizeof(log.name), name) ||
	    fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	log.time = st.st_mtim.tv_sec;
	log.bytes = (uint64_t)st.st_size;
	if (!aq_grow(l->v, l->n, LOGS_MAX))
		return aq_fail_errno(err, "cannot count the logs");
	l->v[l->n++] = log;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct log *x = a, *y = b;

	return (x->time < y->time) - (x->time > y->time);
}

static int drop_logs(const struct aq_conf *conf, uint64_t *bytes,
		     struct aq_err *err)
{
	__attribute__((cleanup(free_logs))) struct logs l = { .dir = -1 };
	uint64_t kept = 0;
	time_t now = time(NULL);
	int rc = aq_collect_open(conf, "logs", &l.dir, err);

	if (!rc)
		rc = aq_each_entry(l.dir, "logs", add_log, &l, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), newest_first);
	for (size_t i = 0; i < l.n; i++) {
		kept += l.v[i].bytes;
		if ((kept > LOGS_BYTES || now - l.v[i].time > LOGS_SECONDS) &&
		    unlinkat(l.dir, l.v[i].name, 0) == 0)
			*bytes += l.v[i].bytes;
	}
	return 0;
}

int aq_collect_traces(const struct aq_conf *conf, uint64_t *bytes,
		      struct aq_err *err)
{
	int rc = drop_locks(conf, err);

	return rc ? rc : drop_logs(conf, bytes, err);
}
