/* SPDX-License-Identifier: Apache-2.0 */
/* Trusted paths, as munge tests them: nobody but root can change what the
 * path names.
 */
#ifndef AQ_TRUST_H
#define AQ_TRUST_H

#include "common/err.h"

/* The open file 'fd' is a regular file owned by root that group and others
 * cannot write, and so is every directory above the canonical form of 'path',
 * except that a sticky directory (like /tmp) may be writable.
 * Returns 0, or AQ_SYS naming the first offender and the remedy.
 */
AQ_CHECK int aq_trust_file(int fd, const char *path, struct aq_err *err);

#endif
