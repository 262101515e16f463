/* SPDX-License-Identifier: Apache-2.0 */
/* What `aq stats` says. */
#ifndef AQ_CLI_STATS_H
#define AQ_CLI_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/conf.h"
#include "common/tally.h"

struct stats {
	const struct aq_conf *conf;
	const char *version;
	struct aq_tally tally;
	struct aq_totals totals;
	uint64_t n_references;
	uint64_t n_private; /* domains that this is of too */
	bool has_free;
	uint64_t free;            /* bytes */
	uint64_t last_collection; /* Unix seconds; 0: never */
	uint64_t now;
};

/* Prometheus' text exposition format 0.0.4, as node_exporter's textfile
 * collector reads it.
 */
void prometheus_write(FILE *out, const struct stats *s);

#endif
