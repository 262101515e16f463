/* SPDX-License-Identifier: Apache-2.0 */
/* Between db.c, which knows SQLite, and db_open.c, which knows what a database
 * of ours must be like.  For no one else.
 */
#ifndef AQ_DB_RAW_H
#define AQ_DB_RAW_H

#include "common/db.h"

/* Open the file 'path', which is there, hardened but unexamined. */
AQ_CHECK int aq_db_open_raw(const char *path, int busy_ms, struct aq_db **ret,
			    struct aq_err *err);

/* Close 'fd', a lock, with 'db'. */
void aq_db_keep(struct aq_db *db, int fd);

/* What SQLite keeps beside a database: it belongs to that alone. */
#define AQ_DB_N_BESIDE 3
extern const char *const aq_db_beside[AQ_DB_N_BESIDE];

/* Rename 'path' and what is beside it to PATH.corrupt-N, whatever they are; nobody may
 * have it open.
 */
AQ_CHECK int aq_db_set_aside(const char *path, struct aq_err *err);

#endif
