/* SPDX-License-Identifier: Apache-2.0 */
/* Environments of the cache, as list and show print them. */
#ifndef AQ_CLI_ENV_H
#define AQ_CLI_ENV_H

#include "cli/cli.h"
#include "cli/json.h"
#include "common/store_list.h"

/* The members of an object; the second's as well. */
void env_write_json(struct json *j, const struct aq_env *env);
void env_write_standing(struct json *j, const struct aq_listed *listed);

/* "NAME        VALUE" for people. */
void env_print_item(const char *name, const char *value);

/* "base", "pinned", "obsolete" as they hold, separated by blanks. */
#define ENV_MARKS_SIZE 32
const char *env_marks(const struct aq_listed *listed, char buf[ENV_MARKS_SIZE]);

/* After a change of the node's cache: its public index says so too. */
void env_publish(const struct cli *cli);


/* Open the cache's database for reading.  AQ_MISS: there is none yet.  AQ_SYS:
 * also if it was written by a newer version.
 */
AQ_CHECK int env_open_store(const struct cli *cli, struct aq_store **ret,
			    struct aq_err *err);

#endif
