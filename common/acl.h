/* SPDX-License-Identifier: Apache-2.0 */
/* Access control lists (acl(5)): something is root's, and one user may read it.
 * The group that a user has in passwd(5) may be everybody's.
 */
#ifndef AQ_ACL_H
#define AQ_ACL_H

#include <sys/types.h>

#include "common/err.h"

/* Let 'uid', and nobody else but its owner, read the open file 'fd', or search
 * and list the open directory.  AQ_SYS: the file system has no such lists.
 */
AQ_CHECK int aq_acl_let_read(int fd, uid_t uid, struct aq_err *err);

#endif
