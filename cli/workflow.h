/* SPDX-License-Identifier: Apache-2.0 */
/* aq workflow: list and show (workflow.c), remove (workflow_remove.c). */
#ifndef AQ_CLI_WORKFLOW_H
#define AQ_CLI_WORKFLOW_H

#include "cli/cli.h"
#include "common/workflows.h"

/* Call 'fn' for the workflows named 'name' (NULL: all) that cli->user, or
 * whoever asks, may see here: as root in the node's cache, with what refs.db has
 * noted, else in one's own file.  AQ_MISS: there is no such.
 */
AQ_CHECK int workflow_each(struct cli *cli, const char *name,
			   aq_workflow_fn *fn, void *arg, struct aq_err *err);

/* The account of that number, or the number. */
#define WORKFLOW_USER_SIZE 64
const char *workflow_user(uint32_t uid, char buf[WORKFLOW_USER_SIZE]);

/* Forget cli->argv[1]; an exit code. */
int workflow_remove(struct cli *cli);

#endif
