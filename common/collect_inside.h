/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the collector; for no one else. */
#ifndef AQ_COLLECT_INSIDE_H
#define AQ_COLLECT_INSIDE_H

#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/io.h"

/* The directory 'sub' of cache_dir. */
AQ_CHECK int aq_collect_open(const struct aq_conf *conf, const char *sub,
			     int *ret, struct aq_err *err);
/* Call 'fn' for every entry of it that does not begin with a dot; not there is
 * no failure.
 */
AQ_CHECK int aq_collect_each_entry(const struct aq_conf *conf, const char *sub,
				   aq_entry_fn *fn, void *arg,
				   struct aq_err *err);
/* Move the files of environment 'name' to trash/; not there is no failure. */
AQ_CHECK int aq_collect_to_trash(const struct aq_conf *conf, const char *name,
				 struct aq_err *err);

/* What builds leave besides environments: logs that are old or take too much room, their
 * bytes added to *bytes; and, of those that were killed, locks and progress.
 */
AQ_CHECK int aq_collect_traces(const struct aq_conf *conf, uint64_t *bytes,
			       struct aq_err *err);

#endif
