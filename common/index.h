/* SPDX-License-Identifier: Apache-2.0 */
/* The public index: public_dir/index, from which users read what the node's
 * cache holds, whose database only root can open.  Root writes it when an
 * environment, a base or a pin comes or goes, not when one is used: it tells
 * nothing of uses or references, and nothing of requests or users.
 *
 *   aq-index 1 <written, Unix seconds>
 *   NAME KIND PYTHON PACKAGES CREATED OWN SHARED BASE MARKS
 *
 * a line each, separated by tabs, sorted by name; "-" for none; marks are of
 * "base", "pinned", "obsolete", with commas.
 */
#ifndef AQ_INDEX_H
#define AQ_INDEX_H

#include "common/store_list.h"

/* Write it anew, in one step for who reads.  Of several at once the last has
 * seen what the others have done.
 */
AQ_CHECK int aq_index_write(const struct aq_conf *conf, struct aq_err *err);

/* Call 'fn' for each environment of the index, in that order (AQ_USER: one by
 * uses; the index does not tell them); env->lock is "", and there are no uses,
 * references and children.  *ret_written is set before.
 * AQ_MISS: there is none; AQ_CORRUPT: it is damaged.
 */
AQ_CHECK int aq_index_read(const struct aq_conf *conf,
			   enum aq_store_order order, bool is_reverse,
			   uint64_t *ret_written, aq_listed_fn *fn, void *arg,
			   struct aq_err *err);

#endif
