/* SPDX-License-Identifier: Apache-2.0 */
/* What builders that were killed have left where no other builder lies: theirs was a job
 * or a service that others were not in.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "builder/mountinfo.h"
#include "common/io.h"
#include "common/str.h"
#include "common/walk.h"

#define MOUNTS_MAX (4 * 1024 * 1024) /* of /proc/self/mountinfo */

static int remove_one(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	/* the kernel removes none that has processes */
	if (e->is_end && aq_starts_with(e->name, CGROUP_OF_BUILD))
		(void)unlinkat(e->dirfd, e->name, AT_REMOVEDIR);
	return 0;
}

void cgroup_remove_left(void)
{
	cleanup_str struct aq_str mounts = AQ_STR_INIT(MOUNTS_MAX);
	char line[LINE_MAX];

	if (aq_read_file(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL) != 0)
		return;
	for (const char *p = aq_str_get(&mounts); *p; p = aq_next_line(p)) {
		struct mountinfo m;

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		if (mountinfo_split(line, &m) &&
		    (strcmp(m.type, "cgroup") == 0 || strcmp(m.type, "cgroup2") == 0))
			(void)!aq_walk(AT_FDCWD, m.path, remove_one, NULL, NULL);
	}
}
