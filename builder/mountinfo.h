/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted, as /proc/PID/mountinfo says (proc(5)). */
#ifndef AQ_BUILDER_MOUNTINFO_H
#define AQ_BUILDER_MOUNTINFO_H

#include <stdbool.h>

#include "common/err.h"

/* One line of it, cut up.  False: it is none. */
struct mountinfo {
	const char *root; /* what of its file system is mounted */
	const char *path; /* where */
	const char *flags;
	const char *type, *options; /* of the file system */
};
AQ_CHECK bool mountinfo_split(char *line, struct mountinfo *ret);

/* Where the mount of this line is, and what it is mounted with, as MS_ flags of
 * mount(2) that a remount must say again.  The line is cut up.  False: it is none.
 */
AQ_CHECK bool mountinfo_read_line(char *line, const char **ret_path,
				  unsigned long *ret_flags);

/* Make every mount of this namespace read-only and nosuid, where mount_setattr(2)
 * is missing (before Linux 5.12).  False with errno: one could not be, and can be
 * reached.
 */
AQ_CHECK bool mountinfo_close_all(void);

#endif
