/* SPDX-License-Identifier: Apache-2.0 */
/* aq pin, aq unpin: what is not collected. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/env.h"
#include "common/collect.h"

static int pin(struct cli *cli, bool is_on)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_err err = { 0 };
	int rc = aq_store_open(cli->conf, AQ_STORE_WRITE, &store, &err);

	if (!rc)
		rc = aq_store_find_name(store, cli->argv[0], &env, &err);
	if (rc == AQ_MISS)
		(void)aq_fail(&err, AQ_MISS, "no environment is named '%s': 'aq list' has their names",
			      cli->argv[0]);
	if (!rc)
		rc = aq_store_pin(store, env->name, is_on, &err);
	if (rc)
		return cli_fail(&err);
	env_publish(cli);
	printf("%s is %s\n", env->name,
	       is_on ? "pinned: it is not collected" : "not pinned");
	return CLI_OK;
}

int cli_pin(struct cli *cli)
{
	return pin(cli, true);
}

int cli_unpin(struct cli *cli)
{
	return pin(cli, false);
}
