/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/db_raw.h"

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

/* The journal goes first: beside the next database, SQLite would roll it back
 * into that.  A crash between the two leaves a damaged database without a
 * journal: it is set aside by the next who comes.
 */
int aq_db_set_aside(const char *path, struct aq_err *err)
{
	char aside[PATH_MAX], journal[PATH_MAX], aside_journal[PATH_MAX];

	choose_name(path, aside);
	if (snprintf(journal, PATH_MAX, "%s-journal", path) >= PATH_MAX ||
	    snprintf(aside_journal, PATH_MAX, "%s-journal", aside) >= PATH_MAX)
		return aq_fail(err, AQ_SYS, "'%s' is too long a path", path);
	(void)unlink(aside_journal);
	if (rename(journal, aside_journal) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot set '%s' aside", journal);
	if (rename(path, aside) < 0)
		return aq_fail_errno(err, "cannot set '%s' aside", path);
	return 0;
}
