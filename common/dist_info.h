/* SPDX-License-Identifier: Apache-2.0 */
/* What an installed wheel says of itself: NAME-VERSION.dist-info, and RECORD in it, its
 * files (packaging.python.org: "Recording installed projects").  Hostile.
 */
#ifndef AQ_DIST_INFO_H
#define AQ_DIST_INFO_H

#include "common/lock.h"
#include "common/walk.h"

#define AQ_DIST_INFO_SIZE 256 /* of a name, which a file has, and of a version */

/* "NAME-VERSION.dist-info": the name as PEP 503 has it, and the version.  False: it is
 * none.
 */
AQ_CHECK bool aq_dist_info_split(const char *info,
				 char ret_name[AQ_DIST_INFO_SIZE],
				 char ret_version[AQ_DIST_INFO_SIZE]);

/* The lock's wheel of the package 'name', 'len' bytes in whatever spelling; or NULL. */
const struct aq_lock_item *aq_dist_info_wheel(const struct aq_lock *lock,
					      const char *name, size_t len);

/* The next file of a RECORD of the prefix's directory 'site', read in place from *text
 * on: its path below the prefix, and its digest, or "".  False: there is no more; files
 * outside of the prefix are passed over.
 */
AQ_CHECK bool aq_dist_info_next(char **text, const char *site,
				char ret_path[AQ_WALK_PATH_MAX],
				char ret_sha256[AQ_SHA256_HEX_SIZE]);

#endif
