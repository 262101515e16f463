/* SPDX-License-Identifier: Apache-2.0 */
/* aq build --nodes: in the nodes' own caches, by a job of the caller's on each. */
#ifndef AQ_CLI_BUILD_NODES_H
#define AQ_CLI_BUILD_NODES_H

#include "cli/cli.h"

/* Have what 'file' asks for built on cli->nodes, several at once, and say of each what
 * came of it, as it comes.  One srun a node: a node that is down, or full, is no
 * other's fault.  Returns an exit code: CLI_INPUT if the request is what failed, and
 * nothing else did.
 */
int build_on_nodes(const struct cli *cli, const char *file);

#endif
