/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/bytecode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/inherit.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/sha256.h"

/* Of one package, in bytes: 50,000 modules. */
#define INDEX_MAX (8 * 1024 * 1024)
#define SOURCE_MAX (16 * 1024 * 1024) /* a generated module */
/* For what nobody waits for, in milliseconds: a slow disk, all of a big stack. */
#define CATCH_UP_MS (15 * 60 * 1000)
#define NICE 19

static const char script[] =
	"import csv, hashlib, importlib.util, json, os, py_compile, re, shutil, sys\n"
	"prefix, out = sys.argv[1:]\n"
	"site = f'lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'\n"
	"infos = {}\n"
	"for d in os.listdir(f'{prefix}/{site}'):\n"
	"    if d.endswith('.dist-info'):\n"
	"        infos[re.sub('[-_.]+', '-', d.split('-')[0]).lower()] = f'{site}/{d}'\n"
	"def files(kind, name, version, build):\n"
	"    if kind == 'conda':\n"
	"        with open(f'{prefix}/conda-meta/{name}-{version}-{build}.json') as f:\n"
	"            return json.load(f)['files']\n"
	"    info = infos[re.sub('[-_.]+', '-', name).lower()]\n"
	"    with open(f'{prefix}/{info}/RECORD', newline='') as f:\n"
	"        return [f'{site}/{row[0]}' for row in csv.reader(f) if row]\n"
	"jobs, packages = [], []\n"
	"for line in sys.stdin:\n"
	"    kind, sha, name, version, build = line.split()\n"
	"    new, index = f'{out}/{sha}.new', []\n"
	"    shutil.rmtree(new, ignore_errors=True)\n"
	"    os.mkdir(new)\n"
	"    try: paths = files(kind, name, version, build)\n"
	"    except (OSError, KeyError, ValueError): paths = []\n"
	"    own = {*paths}\n"
	"    for path in paths:\n"
	"        source = f'{prefix}/{path}'\n"
	"        if not re.match(r'lib/[^\\n]*\\.py$', path) or '..' in path.split('/'): continue\n"
	"        if os.path.islink(source) or not os.path.isfile(source): continue\n"
	"        if importlib.util.cache_from_source(path) in own: continue\n"
	"        jobs.append((source, path, f'{new}/{len(index)}.pyc'))\n"
	"        index.append((path, os.stat(source), f'{new}/{len(index)}.pyc'))\n"
	"    packages.append((sha, new, index))\n"
	"def work(mine):\n"
	"    for source, path, pyc in mine:\n"
	"        try: py_compile.compile(source, pyc, path, True, invalidation_mode=\n"
	"            py_compile.PycInvalidationMode.UNCHECKED_HASH)\n"
	"        except (py_compile.PyCompileError, ValueError, RecursionError): pass\n"
	"n = os.cpu_count() or 1\n"
	"children = []\n"
	"for i in range(n):\n"
	"    pid = os.fork()\n"
	"    if not pid:\n"
	"        try: work(jobs[i::n])\n"
	"        except BaseException: os._exit(1)\n"
	"        os._exit(0)\n"
	"    children.append(pid)\n"
	"if any(os.waitpid(pid, 0)[1] for pid in children): sys.exit('a compiler died')\n"
	"for sha, new, index in packages:\n"
	"    with open(f'{new}/index', 'w') as f:\n"
	"        for path, st, pyc in index:\n"
	"            if not os.path.exists(pyc): continue\n"
	"            kind = 'shared' if st.st_nlink > 1 else 'copied'\n"
	"            with open(f'{prefix}/{path}', 'rb') as source:\n"
	"                digest = hashlib.sha256(source.read()).hexdigest()\n"
	"            f.write(f'{os.path.basename(pyc)} {kind} {st.st_ino} {st.st_size}'\n"
	"                    f' {st.st_mtime_ns} {digest} {path}\\n')\n"
	"    shutil.rmtree(f'{out}/{sha}', ignore_errors=True)\n"
	"    os.rename(new, f'{out}/{sha}')\n";

bool bytecode_is_shared(const struct build *b)
{
	char python[AQ_BASE_PYTHON_SIZE];

	if (!b->base_manifest || !b->lock->python)
		return false;
	aq_base_name_of(b->lock->python, python);
	return strcmp(python, b->base.python) == 0;
}

/* -- linking -- */

struct linking {
	const struct build *b;
	int prefix;        /* the environment */
	int dir;           /* of the last source; or -1 */
	int cache;         /* its __pycache__; or -1 */
	char path[BUILD_PATH_MAX]; /* its path */
	char tag[32];      /* "cpython-39": of the files' names (PEP 3147) */
	bool *missing;     /* of the package: it has none, or another file's */
};

struct entry {
	char file[32], kind[16], sha256[AQ_SHA256_HEX_SIZE];
	uint64_t ino, size, mtime_ns;
	const char *path;
};

/* One line of an index, which builder_user wrote; cut out in place. */
static bool read_entry(char *line, struct entry *ret)
{
	int at = 0;

	if (sscanf(line, "%31s %15s %" SCNu64 " %" SCNu64 " %" SCNu64
			 " %64s %n",
		   ret->file, ret->kind, &ret->ino, &ret->size, &ret->mtime_ns,
		   ret->sha256, &at) != 6 || !at)
		return false;
	ret->path = line + at;
	return !strchr(ret->file, '/') && aq_ends_with(ret->file, ".pyc") &&
	       aq_starts_with(ret->path, "lib/") &&
	       aq_ends_with(ret->path, ".py") && !strstr(ret->path, "..") &&
	       strlen(ret->path) < BUILD_PATH_MAX;
}

/* The directory 'path', part by part: none of them may be a link. */
static int open_below(int dirfd, const char *path)
{
	int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);

	while (fd >= 0 && *path) {
		char part[256];
		size_t len = strcspn(path, "/");
		int next;

		if (len >= sizeof(part)) {
			close(fd);
			return -1;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						O_CLOEXEC);
		close(fd);
		fd = next;
		path += len + (path[len] == '/');
	}
	return fd;
}

static void leave_dir(struct linking *l)
{
	aq_close_fd(&l->cache);
	aq_close_fd(&l->dir);
}

/* Open l->cache, which is made if need be: no link, wherever one may lead.  In
 * a cache of one's own the sealed directories are one's own too, and are closed
 * to oneself.
 */
static bool enter_cache(struct linking *l)
{
	if (l->cache >= 0)
		return true;
	if (l->b->is_personal)
		(void)fchmod(l->dir, 0755);
	if (mkdirat(l->dir, "__pycache__", 0755) < 0 && errno != EEXIST)
		return false;
	l->cache = openat(l->dir, "__pycache__",
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->b->is_personal && l->cache >= 0)
		(void)fchmod(l->cache, 0755);
	return l->cache >= 0;
}

static bool enter_dir_of(struct linking *l, const char *path)
{
	size_t len = (size_t)(strrchr(path, '/') - path);

	if (l->dir >= 0 && strlen(l->path) == len &&
	    strncmp(l->path, path, len) == 0)
		return true;
	leave_dir(l);
	memcpy(l->path, path, len);
	l->path[len] = '\0';
	l->dir = open_below(l->prefix, l->path);
	return l->dir >= 0;
}

static uint64_t mtime_ns_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000 +
	       (uint64_t)st->st_mtim.tv_nsec;
}

/* Where files are copied or reflinked, not hard-linked. */
static bool has_content(int dir, const char *name, const struct entry *e)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SOURCE_MAX);
	char is[AQ_SHA256_HEX_SIZE];

	return aq_read_file(dir, name, &text, NULL) == 0 &&
	       aq_sha256(aq_str_get(&text), text.len, is, NULL) == 0 &&
	       strcmp(is, e->sha256) == 0;
}

/* The very file that was compiled, or one with the same content. */
static bool is_the_same(const struct linking *l, const char *name,
			const struct entry *e)
{
	struct stat st;

	if (fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
		return false;
	return (st.st_ino == e->ino && mtime_ns_of(&st) == e->mtime_ns) ||
	       has_content(l->dir, name, e);
}

/* What was linked is a file as builder_user makes them: what is in its trees
 * is looked at where only root can exchange it.
 */
static bool is_plain(const struct linking *l, const char *name)
{
	struct stat st;

	return fstatat(l->cache, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_uid == l->b->builder.uid &&
	       !(st.st_mode & (S_ISUID | S_ISGID));
}

/* Byte-code is optional: what cannot be linked is compiled once more. */
static void link_one(struct linking *l, int tree, const struct entry *e)
{
	const char *name = strrchr(e->path, '/') + 1;
	char to[512];

	if (!enter_dir_of(l, e->path) || !is_the_same(l, name, e)) {
		*l->missing |= strcmp(e->kind, "shared") == 0;
		return;
	}
	if (!enter_cache(l))
		return;
	snprintf(to, sizeof(to), "%.*s.%s.pyc", (int)(strlen(name) - 3), name,
		 l->tag);
	if (linkat(tree, e->file, l->cache, to, 0) < 0) {
		/* gone, or with as many links as a file can have: made anew */
		*l->missing |= errno != EEXIST;
		return;
	}
	if (is_plain(l, to))
		return;
	(void)unlinkat(l->cache, to, 0);
	*l->missing = true;
}

static int link_package(struct linking *l, int trees, const char *sha256,
			struct aq_err *err)
{
	cleanup_str struct aq_str index = AQ_STR_INIT(INDEX_MAX);
	cleanup_close int tree = -1;
	char *save = NULL;
	int rc = aq_open_dir(trees, sha256, &tree, err);

	if (!rc)
		rc = aq_read_file(tree, "index", &index, err);
	if (rc == AQ_MISS)
		*l->missing = true;
	if (rc || !index.len)
		return rc == AQ_MISS ? 0 : rc;
	for (char *line = strtok_r(index.s, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct entry e;

		if (!read_entry(line, &e)) {
			*l->missing = true; /* damaged: made anew */
			return 0;
		}
		link_one(l, tree, &e);
	}
	return 0;
}

static void name_trees(const struct build *b, const char *work,
		       char ret[BUILD_PATH_MAX])
{
	snprintf(ret, BUILD_PATH_MAX, "%s/bytecode/%s", work, b->base.python);
}

/* All of b->lock's, from the trees below 'work' to the prefix at 'site'.
 * missing[i]: package i of the lock wants compiling.
 */
static int link_all(const struct build *b, const char *work, const char *site,
		    bool *missing, struct aq_err *err)
{
	struct linking l = { .b = b, .dir = -1, .cache = -1 };
	cleanup_close int prefix = -1, trees = -1;
	char path[BUILD_PATH_MAX];
	int rc = aq_open_dir(AT_FDCWD, site, &prefix, err);

	name_trees(b, work, path);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, path, &trees, err);
	l.prefix = prefix;
	snprintf(l.tag, sizeof(l.tag), "cpython-%.*s%s",
		 (int)strcspn(b->base.python, "."), b->base.python,
		 strchr(b->base.python, '.') + 1);
	for (size_t i = 0; !rc && i < b->lock->n_items; i++) {
		missing[i] = false;
		l.missing = &missing[i];
		rc = link_package(&l, trees, b->lock->items[i].sha256, err);
	}
	leave_dir(&l);
	return rc;
}

static int link_as_builder(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct build *b = arg;
	bool missing[AQ_LOCK_ITEMS_MAX];
	int rc = link_all(b, b->inside, b->prefix, missing, err);

	for (size_t i = 0; !rc && i < b->lock->n_items; i++)
		if (missing[i])
			aq_str_add(out, "missing\n");
	return rc;
}

/* -- marks -- */

/* work/bytecode/X.Y, builder_user's; work/bytecode/pending, root's. */
static int make_dirs(const struct build *b, struct aq_err *err)
{
	char path[BUILD_PATH_MAX];

	snprintf(path, sizeof(path), "%s/bytecode", b->work);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", path);
	(void)chmod(path, 0755);
	snprintf(path, sizeof(path), "%s/bytecode/pending", b->work);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", path);
	name_trees(b, b->work, path);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", path);
	if (chmod(path, 0755) < 0 ||
	    chown(path, b->builder.uid, b->builder.gid) < 0)
		return aq_fail_errno(err, "cannot set '%s' up", path);
	return 0;
}

static int mark(const struct build *b, struct aq_err *err)
{
	char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/bytecode/pending/%s", b->work,
		 b->name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make '%s'", path);
	close(fd);
	return 0;
}

int bytecode_link(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(16 * AQ_LOCK_ITEMS_MAX);
	int rc = make_dirs(b, err);

	if (!rc)
		rc = run_function(b, &b->builder, link_as_builder, b, &out,
				  err);
	return rc || !out.len ? rc : mark(b, err);
}

/* -- catching up -- */

static void add_missing(const struct build *b, const bool *missing,
			struct aq_str *out)
{
	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (missing[i])
			aq_str_add_fmt(out, "%s %s %s %s %s\n",
			       item->kind == AQ_LOCK_CONDA ? "conda" : "wheel",
			       item->sha256, item->name, item->version,
			       item->build ? item->build : "-");
	}
}

static int compile(struct build *b, const bool *missing, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str in = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc;

	add_missing(b, missing, &in);
	if (!in.len)
		return 0;
	rc = aq_str_done(&in, "the packages to compile", err);
	if (rc)
		return rc;
	aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->base_prefix);
	aq_strv_add(&cmd.argv, "-I");
	aq_strv_add(&cmd.argv, "-S");
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add(&cmd.argv, script);
	aq_strv_add(&cmd.argv, b->prefix);
	aq_strv_add_fmt(&cmd.argv, "%s/bytecode/%s", b->inside, b->base.python);
	cmd.input = aq_str_get(&in);
	cmd.input_len = in.len;
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "byte-code", BUILD_FAULT, err);
}

/* For the committed environment 'm', as its builder would.  AQ_MISS: it has
 * another Python than our base.
 */
static int catch_up_one(const struct build *from, struct aq_manifest *m,
			struct aq_err *err)
{
	struct build b = *from;
	bool missing[AQ_LOCK_ITEMS_MAX];
	int rc;

	b.lock = m->lock;
	snprintf(b.name, sizeof(b.name), "%s", m->env->name);
	snprintf(b.shown, sizeof(b.shown), "%s", m->env->name);
	snprintf(b.prefix, sizeof(b.prefix), "%s/envs/%s", b.conf->cache_dir,
		 b.name);
	b.deadline_ms = build_now_ms() + CATCH_UP_MS;
	if (!bytecode_is_shared(&b))
		return AQ_MISS;
	rc = cage_prepare(&b, err);
	if (!rc)
		rc = link_all(&b, b.work, b.prefix, missing, err);
	if (!rc)
		rc = compile(&b, missing, err);
	if (!rc)
		rc = link_all(&b, b.work, b.prefix, missing, err);
	cage_clean_up(&b);
	return rc;
}

/* Its mark is older than its manifest, which is whole once it has moved. */
static bool is_being_built(const struct build *b, const char *name)
{
	char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE];

	snprintf(path, sizeof(path), "%s/envs/%s", b->work, name);
	return access(path, F_OK) == 0;
}

static void catch_up_all(struct build *b, int pending)
{
	cleanup_closedir DIR *dir = fdopendir(dup(pending));
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		cleanup_manifest struct aq_manifest *m = NULL;
		struct aq_err err = { 0 };
		int rc;

		if (*e->d_name == '.' || is_being_built(b, e->d_name))
			continue;
		rc = aq_manifest_read(b->conf, e->d_name, &m, &err);
		if (!rc)
			rc = catch_up_one(b, m, &err);
		if (m && rc == AQ_MISS)
			continue;
		if (rc && b->log_fd >= 0)
			dprintf(b->log_fd, "byte-code: %s\n", err.text);
		/* a failure would come again */
		(void)unlinkat(pending, e->d_name, 0);
	}
}

void bytecode_catch_up(struct build *b)
{
	cleanup_close int lock = -1, pending = -1;
	char path[BUILD_PATH_MAX];

	snprintf(path, sizeof(path), "%s/bytecode/pending", b->work);
	if (!b->base_manifest ||
	    aq_open_dir(AT_FDCWD, path, &pending, NULL) != 0)
		return;
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	umask(022); /* directories that it makes are for everybody */
	if (aq_flock_wait(b->conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE, NULL, NULL,
			  &lock, NULL) == 0)
		catch_up_all(b, pending);
}
