/* SPDX-License-Identifier: Apache-2.0 */
/* A layer (PEP 405): its own bin/ and site-packages, everything else the
 * base's.  Links to the base are relative: short ones take no block of the disk
 * (ext4(5) keeps 59 bytes in the inode), and envs/ may be seen at two paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/inherit.h"
#include "builder/run.h"
#include "common/io.h"

#define DEPTH_MAX 16 /* of directories that base and layer both have */
/* A program's text that is rewritten; what is longer is no entry point. */
#define PROGRAM_MAX (256 * 1024)

static int make_dirs(int prefix, const char *path, struct aq_err *err)
{
	char part[256];

	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		const char *end = strchr(p + 1, '/');

		snprintf(part, sizeof(part), "%.*s",
			 end ? (int)(end - path) : (int)strlen(path), path);
		if (mkdirat(prefix, part, 0755) < 0 && errno != EEXIST)
			return aq_fail_errno(err, "cannot make '%s'", part);
	}
	return 0;
}

static int write_text(int dir, const char *name, mode_t mode, const char *text,
		      size_t len, struct aq_err *err)
{
	cleanup_close int fd = -1;

	/* never into what may be a link to a file of the cache */
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot replace '%s'", name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				       O_CLOEXEC, mode);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	return aq_write_all(fd, text, len, err);
}

static int put_link(int dir, const char *name, const char *target,
		    struct aq_err *err)
{
	if (symlinkat(target, dir, name) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make link '%s'", name);
	return 0;
}

/* -- the empty layer -- */

/* In place of whatever a wheel put there. */
static int put_own_link(int prefix, const char *name, const char *target,
			struct aq_err *err)
{
	if (unlinkat(prefix, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot replace '%s'", name);
	return put_link(prefix, name, target, err);
}

int layer_write_cfg(const struct build *b, struct aq_str *ret,
		    struct aq_err *err)
{
	aq_str_add_fmt(ret, "home = %s/bin\n", b->base_prefix);
	aq_str_add(ret, "include-system-site-packages = true\n");
	aq_str_add_fmt(ret, "version = %s\n", b->base.full);
	return aq_str_done(ret, "pyvenv.cfg", err);
}

static int write_cfg(const struct build *b, int prefix, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * BUILD_PATH_MAX);
	int rc = layer_write_cfg(b, &text, err);

	return rc ? rc : write_text(prefix, "pyvenv.cfg", 0644,
				    aq_str_get(&text), text.len, err);
}

static int make_layer(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct build *b = arg;
	cleanup_close int prefix = -1;
	char path[BUILD_PATH_MAX + 64], name[64];
	int rc = aq_open_dir(AT_FDCWD, b->prefix, &prefix, err);

	(void)out;
	snprintf(path, sizeof(path), "lib/python%s/site-packages",
		 b->base.python);
	if (!rc)
		rc = make_dirs(prefix, path, err);
	if (!rc)
		rc = make_dirs(prefix, "bin", err);
	if (!rc)
		rc = write_cfg(b, prefix, err);
	snprintf(name, sizeof(name), "python%s", b->base.python);
	/* absolute: Python 3.9 says of sys.base_prefix what it finds here */
	snprintf(path, sizeof(path), "%s/bin/%s", b->base_prefix, name);
	if (!rc)
		rc = put_own_link(prefix, "bin/python", path, err);
	if (!rc)
		rc = put_own_link(prefix, "bin/python3", "python", err);
	snprintf(path, sizeof(path), "bin/%s", name);
	return rc ? rc : put_own_link(prefix, path, "python", err);
}

/* In the cage, as who owns the prefix. */
static int in_layer(struct build *b,
		    int (*fn)(void *arg, struct aq_str *out,
			      struct aq_err *err), struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(16);
	int rc = run_function(b, PHASE_LAYER, fn, b, &out, err);

	return rc ? aq_fail_prefix(err, "the layer") : 0;
}

int layer_start(struct build *b, struct aq_err *err)
{
	return in_layer(b, make_layer, err);
}

/* -- programs -- */

/* 'text' with the interpreter of the prefix 'old' in its first two lines replaced
 * by ours: "#!/…/python3.9", or the form for long paths,
 * "#!/bin/sh\n'''exec' /…/python3.9 "$0" "$@"" (pip's and uv's scripts).
 * False: it names none.
 */
static bool rewrite(const struct build *b, const char *old,
		    const struct aq_str *text, struct aq_str *out)
{
	cleanup_str struct aq_str from = AQ_STR_INIT(BUILD_PATH_MAX + 16);
	const char *s = aq_str_get(text), *two, *at;
	size_t rest;

	aq_str_add_fmt(&from, "%s/bin/python", old);
	if (!aq_starts_with(s, "#!"))
		return false;
	two = strchr(s, '\n');
	two = two ? strchr(two + 1, '\n') : NULL;
	at = strstr(s, aq_str_get(&from));
	if (!at || (two && at > two))
		return false;
	rest = from.len + strspn(at + from.len, "0123456789.");
	aq_str_add_mem(out, s, (size_t)(at - s));
	aq_str_add_fmt(out, "%s/bin/python", b->prefix);
	aq_str_add_mem(out, at + rest, text->len - (size_t)(at - s) - rest);
	return !out->broken;
}

/* Whether 'name' in 'dir' is a text that the interpreter of 'old' runs. */
static bool read_program(const struct build *b, const char *old, int dir,
			 const char *name, struct aq_str *ret)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PROGRAM_MAX);

	return aq_read_file(dir, name, &text, NULL) == 0 &&
	       rewrite(b, old, &text, ret);
}

/* A program of the base's, in the layer. */
static int put_program(const struct build *b, int from, int to,
		       const char *name, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * PROGRAM_MAX);
	cleanup_str struct aq_str target = AQ_STR_INIT(BUILD_PATH_MAX);
	int rc;

	if (read_program(b, b->base_prefix, from, name, &text))
		return write_text(to, name, 0755, aq_str_get(&text), text.len,
				  err);
	aq_str_add_fmt(&target, "../../%s/bin/%s", b->base.env, name);
	rc = aq_str_done(&target, "a link", err);
	return rc ? rc : put_link(to, name, aq_str_get(&target), err);
}

/* -- pip -- */

/* pip asks no EXTERNALLY-MANAGED of what it takes for a venv (PEP 668), so its
 * program does; options that install elsewhere are let through, as there.
 */
static const char pip_script[] =
	"import os, sys\n"
	"from pip._internal.cli.main import main\n"
	"words = [a for a in sys.argv[1:] if not a.startswith('-')]\n"
	"elsewhere = ('--target', '-t', '--prefix', '--root', '--dry-run',\n"
	"             '--break-system-packages', '--help', '-h')\n"
	"if words[:1] == ['install'] and not os.environ.get('PIP_TARGET') and not any(\n"
	"        a.split('=')[0] in elsewhere for a in sys.argv[1:]):\n"
	"    sys.exit('error: externally-managed-environment: " BUILD_MANAGED_HINT "')\n"
	"sys.exit(main())\n";

static int put_pip(const struct build *b, int bin, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PROGRAM_MAX);
	char names[3][32] = { "pip", "pip3" };
	int rc = 0;

	snprintf(names[2], sizeof(names[2]), "pip%s", b->base.python);
	/* the form for paths of any length, as pip's own scripts have it */
	aq_str_add_fmt(&text,
		       "#!/bin/sh\n'''exec' '%s/bin/python' \"$0\" \"$@\"\n' '''\n%s",
		       b->prefix, pip_script);
	for (size_t i = 0; !rc && i < ARRAY_LEN(names); i++)
		if (faccessat(bin, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			rc = write_text(bin, names[i], 0755, aq_str_get(&text),
					text.len, err);
	return rc;
}

/* -- everything else -- */

/* Directories that are merged entry by entry: from the base's to the layer's,
 * 'path' below both.
 */
struct merge {
	const struct build *b;
	int from, to;
	const char *path;
	int depth;
};

static int merge_dir(const struct merge *m, struct aq_err *err);

/* What the layer has itself, and what would be another's. */
static bool is_left_out(const struct merge *m, const char *name)
{
	static const char *const top[] = { "bin", "conda-meta", "pyvenv.cfg",
					   ".lock", "CACHEDIR.TAG" };
	char stdlib[64];

	for (size_t i = 0; m->depth == 0 && i < ARRAY_LEN(top); i++)
		if (strcmp(name, top[i]) == 0)
			return true;
	snprintf(stdlib, sizeof(stdlib), "python%s", m->b->base.python);
	return strcmp(m->path, "lib/") == 0 && strcmp(name, stdlib) == 0;
}

static int merge_entry(const struct merge *m, const char *name,
		       struct aq_err *err)
{
	cleanup_str struct aq_str target = AQ_STR_INIT(4096);
	struct merge below = { .b = m->b, .depth = m->depth + 1 };
	cleanup_close int from = -1, to = -1;
	char path[BUILD_PATH_MAX];
	struct stat st;

	if (fstatat(m->to, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		for (int i = 0; i < m->depth + 1; i++)
			aq_str_add(&target, "../");
		aq_str_add_fmt(&target, "%s/%s%s", m->b->base.env, m->path,
			       name);
		return aq_str_done(&target, "a link", err) ?
			AQ_SYS :
			put_link(m->to, name, aq_str_get(&target), err);
	}
	/* the layer's own comes first; directories have room for both */
	if (!S_ISDIR(st.st_mode) || m->depth >= DEPTH_MAX ||
	    aq_open_dir(m->from, name, &from, NULL) != 0)
		return 0;
	if (aq_open_dir(m->to, name, &to, err) != 0)
		return AQ_SYS;
	snprintf(path, sizeof(path), "%s%s/", m->path, name);
	below.from = from;
	below.to = to;
	below.path = path;
	return merge_dir(&below, err);
}

static int merge_one(const char *name, void *arg, struct aq_err *err)
{
	const struct merge *m = arg;

	return is_left_out(m, name) ? 0 : merge_entry(m, name, err);
}

static int merge_dir(const struct merge *m, struct aq_err *err)
{
	return aq_each_entry(m->from, *m->path ? m->path : "the base", merge_one,
			     (void *)(uintptr_t)m, err);
}

/* -- completing -- */

struct programs {
	const struct build *b;
	int from, to;
};

/* uv wrote it for the interpreter that it asked. */
static int own_program(const char *name, void *arg, struct aq_err *err)
{
	const struct programs *p = arg;
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * PROGRAM_MAX);
	char asked[BUILD_PATH_MAX];
	struct stat st;

	bare_name(p->b, bare_env(p->b), asked);
	if (fstatat(p->to, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) ||
	    !read_program(p->b, asked, p->to, name, &text))
		return 0;
	return write_text(p->to, name, 0755, aq_str_get(&text), text.len, err);
}

static int base_program(const char *name, void *arg, struct aq_err *err)
{
	const struct programs *p = arg;
	struct stat st;

	if (*name == '.' || fstatat(p->to, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return put_program(p->b, p->from, p->to, name, err);
}

static int complete(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct build *b = arg;
	cleanup_close int base = -1, prefix = -1, from = -1, to = -1;
	struct programs programs = { .b = b };
	struct merge top = { .b = b, .path = "" };
	/* wheels may bring a pyvenv.cfg or a python of theirs */
	int rc = make_layer(arg, out, err);

	if (!rc)
		rc = aq_open_dir(AT_FDCWD, b->base_prefix, &base, err);
	if (!rc)
		rc = aq_open_dir(AT_FDCWD, b->prefix, &prefix, err);
	if (!rc)
		rc = aq_open_dir(base, "bin", &from, err);
	if (!rc)
		rc = aq_open_dir(prefix, "bin", &to, err);
	if (rc)
		return rc;
	(void)unlinkat(prefix, ".lock", 0); /* uv's */
	programs.from = from;
	programs.to = to;
	rc = aq_each_entry(to, "bin", own_program, &programs, err);
	if (!rc)
		rc = aq_each_entry(from, "bin", base_program, &programs, err);
	if (!rc)
		rc = put_pip(b, to, err);
	top.from = base;
	top.to = prefix;
	return rc ? rc : merge_dir(&top, err);
}

int layer_complete(struct build *b, struct aq_err *err)
{
	return in_layer(b, complete, err);
}

/* -- a whole prefix -- */

static int own_programs(void *arg, struct aq_str *out, struct aq_err *err)
{
	struct programs p = { .b = arg };
	cleanup_close int prefix = -1, bin = -1;
	int rc = aq_open_dir(AT_FDCWD, p.b->prefix, &prefix, err);

	(void)out;
	if (!rc)
		rc = aq_open_dir(prefix, "bin", &bin, err);
	p.to = bin;
	return rc ? rc : aq_each_entry(bin, "bin", own_program, &p, err);
}

int layer_own_programs(struct build *b, struct aq_err *err)
{
	return in_layer(b, own_programs, err);
}
