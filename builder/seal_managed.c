/* SPDX-License-Identifier: Apache-2.0 */
/* For who tries to install into an environment: it is not theirs to change. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "builder/seal_inside.h"
#include "common/io.h"

#define NAME "EXTERNALLY-MANAGED"

static const char text[] = "[externally-managed]\n"
			   "Error=" BUILD_MANAGED_HINT "\n";

static int put(int dir, const char *path, struct aq_usage *usage,
	       struct aq_err *err)
{
	cleanup_close int fd = openat(dir, NAME,
				      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
					      O_CLOEXEC, 0444);
	struct stat st;
	int rc;

	if (fd < 0)
		return errno == EEXIST ?
			0 : aq_fail_errno(err, "cannot make '%s/" NAME "'", path);
	rc = aq_write_all(fd, text, sizeof(text) - 1, err);
	if (rc)
		return rc;
	if (fchmod(fd, 0444) < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot close '%s/" NAME "'", path);
	return aq_usage_add(usage, dir, NAME, &st) ?
		0 : aq_fail(err, AQ_SYS, "out of memory");
}

int seal_mark_managed(struct build *b, int root, struct aq_usage *usage,
		      struct aq_err *err)
{
	char python[AQ_BASE_PYTHON_SIZE], path[64];
	cleanup_close int dir = -1;
	int rc;

	if (!b->lock->python || b->kind == AQ_ENV_INHERITED)
		return 0;
	aq_base_name_of(b->lock->python, python);
	snprintf(path, sizeof(path), "lib/python%s", python);
	rc = aq_open_below(root, path, &dir, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	if (b->is_personal && fchmod(dir, 0755) < 0)
		return aq_fail_errno(err, "cannot open '%s'", path);
	rc = put(dir, path, usage, err);
	if (b->is_personal && fchmod(dir, 0555) < 0 && !rc)
		rc = aq_fail_errno(err, "cannot close '%s'", path);
	return rc;
}
