/* SPDX-License-Identifier: Apache-2.0 */
/* How one environment stands: who holds it, what inherits from it, whether it is
 * pinned, a base, or obsolete.
 */
#ifndef AQ_CLI_STANDING_H
#define AQ_CLI_STANDING_H

#include "cli/env.h"

/* One reference: a step, or a job as a whole. */
struct standing_ref {
	struct aq_step step;
	char node[256]; /* RFC 1035 */
	bool is_job;        /* the job as a whole */
	bool is_by_request; /* it holds all that serves its request */
};

struct standing {
	struct aq_listed listed;
	struct aq_strv children; /* names */
	struct standing_ref *refs;
	size_t n_refs;
};
#define STANDING_CHILDREN_MAX 1000000
#define STANDING_REFS_MAX 1000000
#define STANDING_INIT { .children = AQ_STRV_INIT(STANDING_CHILDREN_MAX) }
void standing_free(struct standing *s);
#define cleanup_standing __attribute__((cleanup(standing_free)))

/* 'env' must outlive it. */
AQ_CHECK int standing_read(const struct cli *cli, struct aq_store *store,
			   const struct aq_env *env, struct standing *ret,
			   struct aq_err *err);
/* For people, and as members of an object: "references", "children", …, then
 * "held_by" and "inherited_by", one by one.
 */
void standing_print(const struct standing *s);
void standing_write(struct json *j, const struct standing *s);

#endif
