/* SPDX-License-Identifier: Apache-2.0 */
#include "common/trust.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int check(const struct stat *st, const char *path, struct aq_err *err)
{
	if (st->st_uid != 0)
		return aq_fail(err, AQ_SYS,
			       "'%s' is not owned by root: chown root it", path);
	if (!(st->st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
		return 0;
	return aq_fail(err, AQ_SYS,
		       "'%s' can be written by others than root: chmod go-w it",
		       path);
}

int aq_trust_file(int fd, const char *path, struct aq_err *err)
{
	cleanup_free char *real = realpath(path, NULL);
	struct stat by_fd, st;
	char *slash;
	int rc;

	if (!real || fstat(fd, &by_fd) < 0 || stat(real, &st) < 0)
		return aq_fail_errno(err, "cannot examine '%s'", path);
	if (by_fd.st_dev != st.st_dev || by_fd.st_ino != st.st_ino)
		return aq_fail(err, AQ_SYS, "'%s' is being changed", path);
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is not a regular file", path);
	rc = check(&st, real, err);
	while (!rc && (slash = strrchr(real, '/'))) {
		/* "/a/b" -> "/a" -> "/" -> done */
		if (slash == real && !real[1])
			break;
		slash[slash == real] = '\0';
		if (stat(real, &st) < 0)
			return aq_fail_errno(err, "cannot examine '%s'", real);
		rc = check(&st, real, err);
	}
	return rc;
}
