/* SPDX-License-Identifier: Apache-2.0 */
/* An environment for a request: found in the cache, or built while we wait. */
#ifndef AQ_CLI_OBTAIN_H
#define AQ_CLI_OBTAIN_H

#include "cli/cli.h"
#include "common/answer.h"

/* Programs of a test stand in for aq-builder by this variable. */
#define CLI_BUILDER_VARIABLE "AQ_BUILDER"

/* Look 'req' up; on a miss run aq-builder and show its progress.  When aq
 * dies (Control-C) the builder notices and cleans up.
 * Returns 0 and sets *ret (free with obtain_free()): an answer of class AQ_OK.
 * Fails with AQ_USER (the request cannot be met; with the client's last lines
 * and the log's path) or AQ_SYS.
 */
AQ_CHECK int obtain(const struct cli *cli, const struct aq_request *req,
		    struct aq_answer **ret, struct aq_err *err);

void obtain_free(struct aq_answer *answer);

static inline void obtain_cleanup_(struct aq_answer **answer)
{
	obtain_free(*answer);
}
#define cleanup_answer __attribute__((cleanup(obtain_cleanup_)))

#endif
