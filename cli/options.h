/* SPDX-License-Identifier: Apache-2.0 */
/* The options of aq: one table (options.c), from which they are read, checked
 * against what a verb has, and explained.
 */
#ifndef AQ_CLI_OPTIONS_H
#define AQ_CLI_OPTIONS_H

#include <stdio.h>

#include "cli/cli.h"

/* Options that not every verb has. */
enum {
	OPTION_FILE = 1u << 0,
	OPTION_ISOLATED = 1u << 1,
	OPTION_REFRESH = 1u << 2,
	OPTION_DRY_RUN = 1u << 3,
	OPTION_MAX_FREED = 1u << 4,
	OPTION_RECONCILE = 1u << 5,
	OPTION_JSON = 1u << 6,
	OPTION_LOCK = 1u << 7,
	OPTION_SORT = 1u << 8,
	OPTION_REVERSE = 1u << 9,
	OPTION_SHARED = 1u << 10,
	OPTION_PROMETHEUS = 1u << 11,
	OPTION_OUTPUT = 1u << 12,
	OPTION_CONTENTS = 1u << 13,
	OPTION_REPAIR = 1u << 14,
	OPTION_WAIT = 1u << 15,
	OPTION_USER = 1u << 16,
	OPTION_NODES = 1u << 17,
	OPTION_PRIVATE = 1u << 18,
	OPTION_INTO = 1u << 19,
};

enum options_outcome {
	OPTIONS_READ,
	OPTIONS_HELP,    /* --help was among them */
	OPTIONS_VERSION, /* --version was */
	OPTIONS_WRONG,   /* said on standard error */
};

/* Read options into 'cli' up to the first argument, or all of them ('permute');
 * optind (getopt(3)) says where arguments begin.
 */
enum options_outcome options_read(struct cli *cli, int argc, char **argv,
				  bool permute);
/* Whether the verb, which has 'options', has all that were given; else it is said
 * on standard error.
 */
bool options_check(const struct cli *cli, const char *verb,
		   unsigned int options);
/* What 'options', and those that every verb has, mean. */
void options_help(FILE *out, unsigned int options);

#endif
