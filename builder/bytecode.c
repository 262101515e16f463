/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/bytecode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/bytecode_inside.h"
#include "builder/caches.h"
#include "builder/cage.h"
#include "builder/limits.h"
#include "builder/run.h"
#include "builder/seal.h"
#include "common/base.h"
#include "common/clock.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/sums.h"
#include "common/text.h"

/* For what nobody waits for, in milliseconds: a slow disk, all of a big stack. */
#define CATCH_UP_MS (15 * 60 * 1000)
/* Builders that try it: what fails for so many would fail again (a package whose
 * files cannot be compiled), and not for a passing fault of the disk.
 */
#define TRIES_MAX 8

/* Of an environment that shares nothing.  Others of probe_user's run at the same
 * time, which must not reach it: it has a name that nobody can guess, in a
 * directory that nobody can list.
 */
#define OWN_DIR "compile"
#define OWN_BYTES 16 /* of the name */

enum phase bytecode_compiler_phase(const struct build *b)
{
	return b->compiler[0] ? PHASE_CLIENT : PHASE_PROBE;
}

void bytecode_name_trees(const struct build *b, const char *work,
			 char ret[BUILD_PATH_MAX])
{
	char python[AQ_BASE_PYTHON_SIZE];

	aq_base_name_of(b->lock->python, python);
	if (b->compiler[0])
		snprintf(ret, BUILD_PATH_MAX, "%s/bytecode/%s", work, python);
	else
		snprintf(ret, BUILD_PATH_MAX, "%s/%s", work, b->open_dir);
}

/* -- the compiler -- */

/* Keep it, unless it is gone or damaged. */
static void take_compiler(struct build *b, const struct aq_base *base)
{
	char python[2 * BUILD_PATH_MAX];
	cleanup_close int fd = -1;

	snprintf(python, sizeof(python), "%s/envs/%s/bin/python",
		 b->conf->cache_dir, base->env);
	if (aq_flock_hold(b->conf, base->env, &fd, NULL) != 0 ||
	    faccessat(AT_FDCWD, python, X_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	snprintf(b->compiler, sizeof(b->compiler), "%s", base->env);
	b->compiler_fd = steal_fd(&fd);
	cage_show(b, base->env);
}

void bytecode_choose_compiler(struct build *b, const struct aq_bases *bases)
{
	char python[AQ_BASE_PYTHON_SIZE];

	b->compiler[0] = '\0';
	aq_close_fd(&b->compiler_fd);
	if (!b->lock->python)
		return;
	aq_base_name_of(b->lock->python, python);
	for (size_t i = 0; i < bases->n; i++)
		if (strcmp(bases->v[i].python, python) == 0)
			take_compiler(b, &bases->v[i]);
}

/* -- marks -- */

static int make_dir(const char *path, const struct identity *who, mode_t mode,
		    struct aq_err *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", path);
	if (chmod(path, mode) < 0 ||
	    (who && chown(path, who->uid, who->gid) < 0))
		return aq_fail_errno(err, "cannot set '%s' up", path);
	return 0;
}

/* work/bytecode/X.Y, builder_user's; work/bytecode/pending, root's. */
static int make_dirs(const struct build *b, struct aq_err *err)
{
	char path[BUILD_PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/bytecode", b->work);
	rc = make_dir(path, NULL, 0755, err);
	snprintf(path, sizeof(path), "%s/" AQ_SUMS_PENDING, b->work);
	if (!rc)
		rc = make_dir(path, NULL, 0700, err);
	if (rc || !b->compiler[0])
		return rc;
	bytecode_name_trees(b, b->work, path);
	return make_dir(path, &b->builder, 0755, err);
}

static int mark(const struct build *b, struct aq_err *err)
{
	char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/" AQ_SUMS_PENDING "/%s", b->work,
		 b->name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make '%s'", path);
	close(fd);
	return 0;
}

static int link_as_builder(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct build *b = arg;
	bool missing[AQ_LOCK_ITEMS_MAX];

	(void)out;
	return bytecode_link_all(b, b->inside, b->prefix, missing, err);
}

int bytecode_link(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(16);
	int rc = make_dirs(b, err);

	if (!rc && b->compiler[0])
		rc = run_function(b, PHASE_CLIENT, link_as_builder, b, &out,
				  err);
	return rc ? rc : mark(b, err);
}

/* -- catching up -- */

/* Whoever was killed may have left some; the lock of byte-code is ours. */
static int drop_own_tree(const char *name, void *arg, struct aq_err *err)
{
	return aq_remove_tree(*(const int *)arg, name, err);
}

/* An empty directory for it that is new, and probe_user's. */
static int make_own_trees(struct build *b, int dirfd, struct aq_err *err)
{
	unsigned char bytes[OWN_BYTES];
	char name[2 * OWN_BYTES + 1];
	cleanup_close int fd = -1;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return aq_fail_errno(err, "cannot get a random name");
	for (size_t i = 0; i < OWN_BYTES; i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	if (mkdirat(dirfd, name, 0700) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, b->probe.uid, b->probe.gid) < 0 ||
	    fchmod(fd, 0700) < 0)
		return aq_fail_errno(err, "cannot set '%s' up", name);
	snprintf(b->open_dir, sizeof(b->open_dir), OWN_DIR "/%s", name);
	return 0;
}

static int prepare_own_trees(struct build *b, bool is_wanted, struct aq_err *err)
{
	char path[BUILD_PATH_MAX];
	cleanup_close int fd = -1;
	int rc;

	snprintf(path, sizeof(path), "%s/" OWN_DIR, b->work);
	rc = aq_open_dir(AT_FDCWD, path, &fd, err);
	if (!rc)
		rc = aq_each_entry(fd, OWN_DIR, drop_own_tree, &fd, err);
	return rc || !is_wanted ? rc : make_own_trees(b, fd, err);
}

static bool has_one(const bool *v, size_t n)
{
	while (n > 0)
		if (v[--n])
			return true;
	return false;
}

/* What an environment that is ready gets is on disk before it has its name there:
 * of half a file of byte-code an interpreter makes an error.
 */
static int compile(struct build *b, const bool *missing, struct aq_err *err)
{
	int rc = bytecode_compile(b, missing, err);

	if (!rc && !b->compiler[0])
		rc = bytecode_take(b, err);
	return rc ? rc : aq_layout_flush(b->conf, err);
}

static int link_compiled(struct build *b, struct aq_err *err)
{
	bool missing[AQ_LOCK_ITEMS_MAX];
	int rc = b->compiler[0] ? make_dirs(b, err) :
				  prepare_own_trees(b, true, err);

	if (!rc)
		rc = bytecode_link_all(b, b->work, b->prefix, missing, err);
	if (!rc && has_one(missing, b->lock->n_items)) {
		rc = compile(b, missing, err);
		if (!rc)
			rc = bytecode_link_all(b, b->work, b->prefix, missing,
					       err);
	}
	if (!b->compiler[0])
		(void)!prepare_own_trees(b, false, rc ? NULL : err);
	b->open_dir[0] = '\0';
	return rc;
}

/* The committed environment 'm', which is held, as its builder would see it. */
static int catch_up(struct build *b, struct aq_manifest *m, struct aq_err *err)
{
	int end, rc;

	if (m->env->base[0])
		cage_show(b, m->env->base);
	cage_show(b, m->env->name);
	snprintf(b->prefix, sizeof(b->prefix), "%s/envs/%s",
		 b->conf->cache_dir, b->name);
	b->deadline_ms = aq_now_ms() + CATCH_UP_MS;
	rc = cage_prepare(b, err);
	if (!rc && b->lock->python)
		rc = link_compiled(b, err);
	end = seal_note(b, m, rc ? NULL : err);
	return rc ? rc : end;
}

static int look_up(struct build *b, const char *name, struct aq_manifest **ret_m,
		   struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_bases bases;
	int rc = aq_store_open(b->conf, AQ_STORE_BUILD, &store, err);

	if (!rc)
		rc = aq_store_find_name(store, name, &env, err);
	if (!rc)
		rc = aq_store_bases(store, &bases, err);
	if (rc)
		return rc;
	if (aq_manifest_read(b->conf, name, ret_m, err) != 0)
		return AQ_CORRUPT;
	b->lock = (*ret_m)->lock;
	b->kind = (*ret_m)->env->kind;
	snprintf(b->name, sizeof(b->name), "%s", name);
	bytecode_choose_compiler(b, &bases);
	return 0;
}

/* AQ_BUSY: it is being built or collected; AQ_MISS: its builder was killed before the row.
 * It is held until we are through: the next one of its lock would have its name, and its
 * place below work/.
 */
static int catch_up_one(const struct build *from, const char *name)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	cleanup_close int hold = -1;
	struct build b = *from;
	struct aq_err err = { 0 };
	int rc;

	memset(b.shown, 0, sizeof(b.shown));
	b.compiler_fd = -1;
	b.verdict = BUILD_FAULT;
	/* a mark is older than its environment's row */
	rc = aq_flock_check_build(b.conf, name, &err);
	if (!rc)
		rc = aq_flock_hold(b.conf, name, &hold, &err);
	if (!rc)
		rc = look_up(&b, name, &m, &err);
	/* unless it has begun since, with the mark that it found */
	if (rc == AQ_MISS && aq_flock_check_build(b.conf, name, &err) != 0)
		rc = AQ_BUSY;
	if (!rc)
		rc = catch_up(&b, m, &err);
	/* who inherits from it holds it, too, and has its place in use: rmdir(2) takes
	 * mounts away
	 */
	if (m && flock(hold, LOCK_EX | LOCK_NB) == 0)
		cage_hide(&b, name);
	if (rc && b.room.is_crossed) /* which is no fault of the package's */
		rc = AQ_BUSY;
	aq_text_make_printable_text(err.text);
	if (rc && rc != AQ_MISS && b.log_fd >= 0)
		dprintf(b.log_fd, "byte-code: %s\n", err.text);
	aq_close_fd(&b.compiler_fd);
	return rc;
}

/* One more has tried and failed: a byte of its mark.  A full disk takes none, and is
 * no reason to give up.
 */
static bool is_given_up(int pending, const char *name)
{
	cleanup_close int fd = openat(pending, name,
				      O_WRONLY | O_APPEND | O_NOFOLLOW |
					      O_CLOEXEC);
	struct stat st;

	return fd >= 0 && write(fd, ".", 1) == 1 && fstat(fd, &st) == 0 &&
	       st.st_size >= TRIES_MAX;
}

struct marks {
	const struct build *b;
	int pending;
	bool has_done; /* with one of them */
};

static int catch_up_mark(const char *name, void *arg, struct aq_err *err)
{
	struct marks *m = arg;
	int rc;

	(void)err;
	if (!aq_env_is_name(name))
		return 0;
	rc = catch_up_one(m->b, name);
	if (!rc || rc == AQ_MISS ||
	    (rc != AQ_BUSY && is_given_up(m->pending, name)))
		m->has_done |= unlinkat(m->pending, name, 0) == 0;
	return 0;
}

static int find_mark(const char *name, void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	return aq_env_is_name(name) ? AQ_BUSY : 0;
}

void bytecode_catch_up(struct build *b)
{
	cleanup_close int lock = -1, pending = -1, caches = -1;
	struct marks marks = { .b = b };
	char path[BUILD_PATH_MAX];

	snprintf(path, sizeof(path), "%s/" AQ_SUMS_PENDING, b->work);
	if (aq_open_dir(AT_FDCWD, path, &pending, NULL) != 0 ||
	    aq_each_entry(pending, path, find_mark, NULL, NULL) != AQ_BUSY ||
	    caches_enter(b, &caches, NULL) != 0)
		return;
	aq_close_fd(&caches); /* a collector looks at the next lock, too */
	limits_be_last(b);
	umask(022); /* directories that it makes are for everybody */
	if (aq_flock_wait(b->conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE, NULL,
			  NULL, &lock, NULL) != 0)
		return;
	/* for all of them, which work with copies of 'b' */
	if (!b->is_personal)
		confine_begin(b, PHASE_PROBE);
	/* the key's are another builder's by now */
	snprintf(b->pass, sizeof(b->pass), "pass/" AQ_WORK_COMPILER);
	snprintf(b->scratch, sizeof(b->scratch), "probe/" AQ_WORK_COMPILER);
	marks.pending = pending;
	do { /* marks may come meanwhile */
		marks.has_done = false;
		(void)!aq_each_entry(pending, path, catch_up_mark, &marks,
				     NULL);
	} while (marks.has_done);
	cage_clean(b);
}
