/* SPDX-License-Identifier: Apache-2.0 */
/* Trusted paths, as munge tests them: nobody but root can change what the
 * path names.
 */
#ifndef AQ_TRUST_H
#define AQ_TRUST_H

#include "common/err.h"
#include "common/str.h"

/* Links on one way: as many as the kernel follows (path_resolution(7)). */
#define AQ_TRUST_LINKS_MAX 40

/* Nobody but root can change what the absolute 'path' names: every directory,
 * link and file on the way, links' targets too, is root's and cannot be written
 * by others (but sticky directories, and the files of devices).  What is not
 * there is trusted where nobody but root can make it.  Nothing in /proc is: it
 * is another for each process.
 * Returns 0, or AQ_SYS naming the first offender and the remedy.
 */
AQ_CHECK int aq_trust_path(const char *path, struct aq_err *err);

/* The same of what is to be used for a long time: no directory of it is sticky
 * and open to others, who could make anew what root removes there.
 */
AQ_CHECK int aq_trust_lasting(const char *path, struct aq_err *err);

/* The open file 'fd' is the regular file that 'path' names, and that is to be
 * trusted so.
 */
AQ_CHECK int aq_trust_file(int fd, const char *path, struct aq_err *err);

enum aq_trust {
	AQ_TRUST_ANY,    /* whoever's it is */
	AQ_TRUST_ROOTS,  /* as aq_trust_file() has it */
	AQ_TRUST_SECRET, /* and nobody but root can read it */
};

/* Append the text file 'path' to 'text', whose cap counts.  AQ_SYS: it cannot be
 * read, or not be trusted so far; AQ_USER: it has a NUL.
 */
AQ_CHECK int aq_trust_read(const char *path, enum aq_trust how,
			   struct aq_str *text, struct aq_err *err);

#endif
