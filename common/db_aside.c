/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/db_raw.h"
#include "common/io.h"

/* Damaged databases kept; the last one's place is taken again and again. */
#define ASIDE_MAX 9

/* The first name that is free: PATH.corrupt-N. */
static void choose_name(const char *path, char ret[PATH_MAX])
{
	for (int i = 1; i <= ASIDE_MAX; i++) {
		snprintf(ret, PATH_MAX, "%s.corrupt-%d", path, i);
		if (access(ret, F_OK) != 0)
			return;
	}
}

const char *const aq_db_beside[AQ_DB_N_BESIDE] = { "-journal", "-wal", "-shm" };

/* Of one that was set aside before, in its place. */
static int move(const char *from, const char *to, struct aq_err *err)
{
	if (rename(from, to) == 0 || errno == ENOENT)
		return 0;
	if (aq_remove_tree(AT_FDCWD, to, NULL) == 0 && rename(from, to) == 0)
		return 0;
	return aq_fail_errno(err, "cannot set '%s' aside", from);
}

/* What is beside it goes first: beside the next database, SQLite would put what is in
 * it into that.  A crash in between leaves a damaged database without a
 * journal: it is set aside by the next who comes.
 */
int aq_db_set_aside(const char *path, struct aq_err *err)
{
	char aside[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	int rc = 0;

	choose_name(path, aside);
	for (size_t i = 0; !rc && i < AQ_DB_N_BESIDE; i++) {
		if (snprintf(from, PATH_MAX, "%s%s", path, aq_db_beside[i]) >=
			    PATH_MAX ||
		    snprintf(to, PATH_MAX, "%s%s", aside, aq_db_beside[i]) >=
			    PATH_MAX)
			return aq_fail(err, AQ_SYS, "'%s' is too long a path",
				       path);
		rc = aq_remove_tree(AT_FDCWD, to, err); /* of another */
		if (!rc)
			rc = move(from, to, err);
	}
	return rc ? rc : move(path, aside, err);
}
