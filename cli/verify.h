/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AQ_CLI_VERIFY_H
#define AQ_CLI_VERIFY_H

#include "cli/cli.h"
#include "common/verify.h"

/* Repair what was found in environment 'name', building it anew if need be.
 * Returns 0 if nothing is found in it any more, or why not: AQ_BUSY: it is in
 * use.  What was found in those that inherit from it goes with it.
 */
AQ_CHECK int verify_repair(struct cli *cli, struct aq_verify *v,
			   const char *name, const struct aq_findings *f,
			   struct aq_err *err);

#endif
