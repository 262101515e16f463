/* SPDX-License-Identifier: Apache-2.0 */
/* aq workflow: list and show (workflow.c), remove (workflow_remove.c). */
#ifndef AQ_CLI_WORKFLOW_H
#define AQ_CLI_WORKFLOW_H

#include "cli/cli.h"
#include "common/workflows.h"

/* The workflow 'name' of cli->user, or of whoever asks; as root that of any user
 * in the node's cache, with what refs.db has noted, else in one's own file.
 * AQ_MISS: there is no such; AQ_USER: several users have one.
 */
AQ_CHECK int workflow_find(struct cli *cli, const char *name,
			   struct aq_workflow *ret, struct aq_err *err);

/* Forget cli->argv[1]; an exit code. */
int workflow_remove(struct cli *cli);

#endif
