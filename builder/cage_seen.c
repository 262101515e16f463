/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/cage.h"

#include <fcntl.h>
#include <stdio.h>

#include "common/io.h"

int cage_open_seen(const struct build *b, const char *name, int *ret_fd,
		   struct aq_err *err)
{
	cleanup_close int work = -1;
	char path[2 * BUILD_PATH_MAX];
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	snprintf(path, sizeof(path), "%s%s%s", b->view, b->view[0] ? "/" : "", name);
	return rc ? rc : aq_open_below(work, path, ret_fd, err);
}
