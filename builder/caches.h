/* SPDX-License-Identifier: Apache-2.0 */
/* What is below work/ after a power cut.  Clients and compilers flush nothing, and
 * take what they find there for what they wrote.  So a mark is on disk while there
 * may be something that is not: work/unflushed, which says in which boot.  Where that
 * was another, the power went, or a builder was killed, and all of it is fetched anew.
 */
#ifndef AQ_BUILDER_CACHES_H
#define AQ_BUILDER_CACHES_H

#include "builder/builder.h"

/* Before anything of work/ is used or written: what cannot be trusted goes, and the
 * mark is there.  Waits for the lock of the caches, which *ret_fd holds shared.
 */
AQ_CHECK int caches_enter(struct build *b, int *ret_fd, struct aq_err *err);

/* Flush, and take the mark away, unless somebody else is at work there.  Holds no
 * lock of the caches any more.  Nobody should wait for it.
 */
void caches_settle(const struct build *b);

#endif
