/* SPDX-License-Identifier: Apache-2.0 */
/* A base's interpreter without the base's packages, work/bare/ENV: a venv (PEP
 * 405) in which none is installed.  Python's own library is all that it imports,
 * so no .pth file, sitecustomize or package of the base runs.  For uv, which
 * asks an interpreter what it is, and remembers that of one whose path stays and
 * is what it calls itself (90 ms each time otherwise).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/inherit.h"
#include "common/io.h"

/* An interrupted builder may have left it closed. */
static int open_dir(int dirfd, const char *name, int *ret_fd,
		    struct aq_err *err)
{
	int rc;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", name);
	rc = aq_open_dir(dirfd, name, ret_fd, err);
	if (!rc && fchmod(*ret_fd, 0755) < 0)
		rc = aq_fail_errno(err, "cannot set the mode of '%s'", name);
	return rc;
}

/* As long, and the same, whoever writes it: others may read it meanwhile. */
static int write_cfg(const struct build *b, const char *env, int dir,
		     struct aq_err *err)
{
	cleanup_close int fd = openat(dir, "pyvenv.cfg",
				      O_WRONLY | O_CREAT | O_NOFOLLOW |
					      O_CLOEXEC, 0644);
	char text[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 80];

	snprintf(text, sizeof(text), "home = %s/envs/%s/bin\ninclude-system-site-packages = false\n",
		 b->conf->cache_dir, env);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s/pyvenv.cfg'", env);
	return aq_write_all(fd, text, strlen(text), err);
}

/* The interpreter last: without that file it would import the base's packages. */
static int put_python(const struct build *b, const char *env, int dir,
		      struct aq_err *err)
{
	char target[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 32];
	cleanup_close int bin = -1;
	int rc;

	snprintf(target, sizeof(target), "%s/envs/%s/bin/python",
		 b->conf->cache_dir, env);
	rc = open_dir(dir, "bin", &bin, err);
	if (!rc && symlinkat(target, bin, "python") < 0 && errno != EEXIST)
		rc = aq_fail_errno(err, "cannot make '%s/bin/python'", env);
	return rc;
}

const char *bare_env(const struct build *b)
{
	return b->kind == AQ_ENV_INHERITED ? b->base.env : b->compiler;
}

void bare_name(const struct build *b, const char *env,
	       char ret_inside[BUILD_PATH_MAX])
{
	snprintf(ret_inside, BUILD_PATH_MAX, "%s/bare/%s", b->inside, env);
}

int bare_make(const struct build *b, const char *env, struct aq_err *err)
{
	char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8];
	cleanup_close int dir = -1;
	int rc;

	snprintf(path, sizeof(path), "%s/bare/%s", b->work, env);
	rc = open_dir(AT_FDCWD, path, &dir, err);
	if (!rc)
		rc = write_cfg(b, env, dir, err);
	return rc ? rc : put_python(b, env, dir, err);
}
