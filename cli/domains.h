/* SPDX-License-Identifier: Apache-2.0 */
/* The domains of a node (common/private.h), for verbs that are about all of them. */
#ifndef AQ_CLI_DOMAINS_H
#define AQ_CLI_DOMAINS_H

#include "cli/cli.h"
#include "cli/json.h"

/* Call 'fn' for cli->conf, and, as root and unless --private names one, with each
 * private domain in its place after that; until it returns non-zero, which is
 * returned.
 */
typedef int domains_fn(struct cli *cli, void *arg, struct aq_err *err);
AQ_CHECK int domains_each(struct cli *cli, domains_fn *fn, void *arg,
			  struct aq_err *err);

/* As --private has it: go over to the domain of cli->private_user.  AQ_MISS: that
 * user has none here.
 */
AQ_CHECK int domains_enter(struct cli *cli, struct aq_err *err);

/* "ann (1001)": whose cli->conf is, or "". */
#define DOMAINS_OWNER_SIZE 300
const char *domains_owner(const struct aq_conf *conf,
			  char buf[DOMAINS_OWNER_SIZE]);
/* Which domain a request is of, and by which rule. */
void domains_print_request(const struct aq_request *req);
void domains_write_request(struct json *j, const struct aq_request *req);

/* The member "private_to": a uid, or null. */
void domains_write(struct json *j, const struct aq_conf *conf);

#endif
