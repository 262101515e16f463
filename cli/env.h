/* SPDX-License-Identifier: Apache-2.0 */
/* Environments of the cache, as list and show print them. */
#ifndef AQ_CLI_ENV_H
#define AQ_CLI_ENV_H

#include "cli/cli.h"
#include "cli/json.h"
#include "common/store.h"

/* The members of an object. */
void env_write_json(struct json *j, const struct aq_env *env);

/* Open the cache's database for reading.  AQ_MISS: there is none yet.  AQ_SYS:
 * also if it was written by a newer version.
 */
AQ_CHECK int env_open_store(const struct cli *cli, struct aq_store **ret,
			    struct aq_err *err);

#endif
