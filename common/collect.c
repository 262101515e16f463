/* SPDX-License-Identifier: Apache-2.0 */
#include "common/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/notes.h"
#include "common/tally.h"
#include "common/usage.h"

#define PATH_SIZE 1024
#define HOLD_POLLS 10 /* of AQ_FLOCK_POLL_MS: half a second */
#define NICE 19
#define NEXT_SECONDS 3600 /* another one is waited for; it may empty trash/ */
/* ioprio_set(2), whose constants no header of libc has. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_IDLE (3 << 13)

/* A file that collecting gives up when the disk is full, for the journal of
 * cache.db; in bytes.
 */
#define RESERVE "trash/.reserve"
#define RESERVE_SIZE (1024 * 1024)
/* A file whose time says when a collection ended last. */
#define ENDED "trash/.ended"

int aq_collect_open(const struct aq_conf *conf, const char *sub, int *ret,
		    struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", conf->cache_dir, sub);
	return aq_open_dir(AT_FDCWD, path, ret, err);
}

struct visible {
	aq_entry_fn *fn;
	void *arg;
};

static int call_visible(const char *name, void *arg, struct aq_err *err)
{
	const struct visible *v = arg;

	return *name == '.' ? 0 : v->fn(name, v->arg, err);
}

int aq_collect_each_entry(const struct aq_conf *conf, const char *sub,
			  aq_entry_fn *fn, void *arg, struct aq_err *err)
{
	struct visible v = { fn, arg };
	cleanup_close int fd = -1;
	int rc = aq_collect_open(conf, sub, &fd, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	return aq_each_entry(fd, sub, call_visible, &v, err);
}

/* -- beginning -- */

int aq_collect_get_free(const struct aq_conf *conf, uint64_t *ret,
			struct aq_err *err)
{
	struct statvfs fs;

	if (statvfs(conf->cache_dir, &fs) < 0)
		return aq_fail_errno(err, "'%s'", conf->cache_dir);
	*ret = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

/* Not there is no failure. */
static void give_up_reserve(const struct aq_conf *conf)
{
	cleanup_close int cache = -1;
	uint64_t n_free = 0;

	if (aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, NULL) == 0 &&
	    aq_collect_get_free(conf, &n_free, NULL) == 0 &&
	    n_free < RESERVE_SIZE)
		(void)unlinkat(cache, RESERVE, 0);
}

void aq_collect_keep_reserve(const struct aq_conf *conf)
{
	cleanup_close int cache = -1, fd = -1;

	if (aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, NULL) != 0)
		return;
	fd = openat(cache, RESERVE,
		    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && posix_fallocate(fd, 0, RESERVE_SIZE) != 0)
		(void)unlinkat(cache, RESERVE, 0);
}

static bool is_impatient(void *arg)
{
	(void)arg;
	return true;
}

int aq_collect_begin_after(const struct aq_conf *conf,
			   bool (*is_cancelled)(void *arg), void *arg,
			   int *ret_fd, struct aq_err *err)
{
	int rc = aq_flock_wait(conf, "collect", AQ_FLOCK_EXCLUSIVE,
			       is_cancelled, arg, ret_fd, err);

	if (!rc)
		give_up_reserve(conf);
	return rc;
}

int aq_collect_begin(const struct aq_conf *conf, int *ret_fd,
		     struct aq_err *err)
{
	return aq_collect_begin_after(conf, is_impatient, NULL, ret_fd, err);
}

static bool is_too_long(void *deadline)
{
	return time(NULL) > *(const time_t *)deadline;
}

int aq_collect_begin_next(const struct aq_conf *conf, int *ret_fd,
			  struct aq_err *err)
{
	time_t deadline = time(NULL) + NEXT_SECONDS;
	cleanup_close int next = -1;
	int rc = aq_flock_try(conf, "collect-next", AQ_FLOCK_EXCLUSIVE, &next,
			      err);

	return rc ? rc :
		    aq_collect_begin_after(conf, is_too_long, &deadline, ret_fd,
					   err);
}

/* -- ending -- */

void aq_collect_count(const struct aq_conf *conf, uint64_t n, uint64_t bytes)
{
	const struct aq_tally tally = { .n[AQ_TALLY_COLLECTED] = n,
					.n[AQ_TALLY_COLLECTED_BYTES] = bytes };
	cleanup_refs struct aq_refs *refs = NULL;

	if (aq_refs_open(conf, &refs, NULL) == 0)
		(void)!aq_refs_add_tally(refs, NULL, (uint64_t)time(NULL),
					 &tally, NULL);
}

void aq_collect_note_end(const struct aq_conf *conf)
{
	cleanup_close int cache = -1, fd = -1;

	if (aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, NULL) == 0 &&
	    aq_open_own(cache, ENDED, &fd, NULL) == 0)
		(void)futimens(fd, NULL);
}

uint64_t aq_collect_last(const struct aq_conf *conf)
{
	char path[PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" ENDED, conf->cache_dir);
	return lstat(path, &st) == 0 ? (uint64_t)st.st_mtim.tv_sec : 0;
}

/* -- planning -- */

int aq_collect_measure(const struct aq_conf *conf,
		       struct aq_collect_state *ret, struct aq_err *err)
{
	cleanup_usage struct aq_usage usage = AQ_USAGE_INIT;
	int rc = aq_collect_get_free(conf, &ret->free, err);

	ret->now = (uint64_t)time(NULL);
	ret->max_freed = UINT64_MAX;
	/* the walk is long, and only this limit asks for it */
	if (!rc && conf->max_size)
		rc = aq_usage_add_tree(&usage, AT_FDCWD, conf->cache_dir, err);
	ret->size = usage.total;
	return rc;
}

int aq_collect_plan(const struct aq_conf *conf,
		    const struct aq_collect_state *state, struct aq_plan *ret,
		    struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_candidate *v = NULL;
	size_t n = 0;
	int rc = aq_refs_open(conf, &refs, err);

	if (!rc)
		rc = aq_refs_sweep_all(refs, err);
	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	if (!rc)
		rc = aq_store_take_notes(conf, store, refs, err);
	if (!rc)
		rc = aq_store_candidates(store, refs, &v, &n, err);
	if (!rc)
		rc = aq_plan_make(v, n, conf, state, ret, err);
	free(v);
	return rc;
}

/* -- one environment -- */

int aq_collect_to_trash(const struct aq_conf *conf, const char *name,
			struct aq_err *err)
{
	cleanup_close int cache = -1;
	char from[PATH_SIZE], to[PATH_SIZE];
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &cache, err);

	snprintf(from, sizeof(from), "envs/%s", name);
	snprintf(to, sizeof(to), "trash/%s", name);
	if (rc)
		return rc;
	/* one's own prefixes are sealed to oneself too: rename(2) of a directory
	 * writes its ".."
	 */
	if (geteuid() != 0)
		(void)!fchmodat(cache, from, 0755, 0);
	if (renameat(cache, from, cache, to) == 0 || errno == ENOENT)
		return 0;
	return aq_fail_errno(err, "cannot move '%s' to trash/", from);
}

static int drop_row(const struct aq_conf *conf, const struct aq_victim *v,
		    struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_refs_open(conf, &refs, err);

	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	if (!rc)
		rc = aq_refs_lock(refs, err); /* until they are closed */
	if (!rc)
		rc = aq_refs_check_leases(refs, err);
	return rc ? rc : aq_store_collect(store, refs, v, err);
}

static bool is_enough(void *polls)
{
	return --*(int *)polls <= 0;
}

/* A builder of something that inherits from it has it, one that compiles its byte-code,
 * or aq run: for long.
 */
static int take_hold(const struct aq_conf *conf, const char *name, int *ret_fd,
		     struct aq_err *err)
{
	int polls = HOLD_POLLS, rc;
	char lock[128];

	snprintf(lock, sizeof(lock), AQ_FLOCK_HOLD "%s", name);
	rc = aq_flock_wait(conf, lock, AQ_FLOCK_EXCLUSIVE, is_enough, &polls,
			   ret_fd, err);
	if (rc == AQ_BUSY)
		rc = aq_fail(err, AQ_BUSY, "a builder still uses it, or aq run: try again when that has ended");
	return rc;
}

int aq_collect_one(const struct aq_conf *conf, const struct aq_victim *victim,
		   struct aq_err *err)
{
	const char *name = victim->name;
	cleanup_close int hold = -1;
	int rc = take_hold(conf, name, &hold, err);

	if (!rc)
		rc = drop_row(conf, victim, err);
	if (!rc)
		rc = aq_manifest_remove(conf, name, err);
	return rc ? rc : aq_collect_to_trash(conf, name, err);
}

int aq_collect_files(const struct aq_conf *conf, const char *name,
		     struct aq_err *err)
{
	cleanup_close int trash = -1;
	int rc = aq_collect_open(conf, "trash", &trash, err);

	if (!rc) /* of an earlier one of that name */
		rc = aq_remove_tree(trash, name, err);
	if (!rc)
		rc = aq_collect_to_trash(conf, name, err);
	return rc ? rc : aq_remove_tree(trash, name, err);
}

int aq_collect_damaged(const struct aq_conf *conf, const char *name,
		       struct aq_err *err)
{
	struct aq_victim victim = { .why = AQ_COLLECT_DAMAGED };
	cleanup_close int hold = -1;
	int rc = take_hold(conf, name, &hold, err);

	if (!rc)
		rc = aq_copy_text(victim.name, sizeof(victim.name), name) ?
			     0 : aq_fail(err, AQ_MISS, "'%s' is not there", name);
	if (!rc)
		rc = drop_row(conf, &victim, err);
	return rc ? rc : aq_collect_files(conf, name, err);
}

/* -- trash -- */

static int remove_one(const char *name, void *arg, struct aq_err *err)
{
	return aq_remove_tree(*(const int *)arg, name, err);
}

int aq_collect_empty_trash(const struct aq_conf *conf, bool is_idle,
			   struct aq_err *err)
{
	cleanup_close int trash = -1;
	int rc = aq_collect_open(conf, "trash", &trash, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	if (is_idle) {
		(void)setpriority(PRIO_PROCESS, 0, NICE);
		(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			      IOPRIO_CLASS_IDLE);
	}
	rc = aq_collect_each_entry(conf, "trash", remove_one, &trash, err);
	aq_collect_keep_reserve(conf);
	return rc;
}
