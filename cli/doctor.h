/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor from inside: a table of checks (doctor.c), each of which says what it
 * finds.
 *
 *   doctor_slurm.c     Slurm, the plugin, plugstack.conf
 *   doctor_conf.c      aq.conf, accounts
 *   doctor_node.c      directories and what they lie on
 *   doctor_clients.c   clients, channels, indexes
 *   doctor_credentials.c  what private channels and indexes want
 *   doctor_shared.c    what nodes share
 *   doctor_state.c     what is left over or damaged
 *   doctor_parse.c     what others print and write, read; pure
 */
#ifndef AQ_CLI_DOCTOR_H
#define AQ_CLI_DOCTOR_H

#include "builder/identity.h"
#include "cli/cli.h"
#include "cli/json.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARNING, /* it works, but worse than it could */
	DOCTOR_ERROR,   /* jobs fail, or somebody may do what they must not */
};

struct doctor {
	const struct cli *cli;
	const struct aq_conf *conf; /* the node's; NULL: cannot be read */
	const char *conf_path;
	bool is_root;
	char *slurm;       /* scontrol show config; NULL: cannot be had */
	const char *check; /* the one that is made */
	struct json json;
	unsigned int n[DOCTOR_ERROR + 1]; /* findings of each level */
};

/* A finding: a sentence, and (NULL when all is well) what to do about it. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *remedy,
		const char *fmt, ...) AQ_PRINTF(4, 5);

/* The checks. */
void doctor_slurm(struct doctor *d);
void doctor_plugin(struct doctor *d);
void doctor_plugstack(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_conf(struct doctor *d);
void doctor_accounts(struct doctor *d);
void doctor_directories(struct doctor *d);
void doctor_file_systems(struct doctor *d);
void doctor_links(struct doctor *d);
void doctor_space(struct doctor *d);
void doctor_namespaces(struct doctor *d);
void doctor_groups(struct doctor *d);
void doctor_client(struct doctor *d);
void doctor_channels(struct doctor *d);
void doctor_pip(struct doctor *d);
void doctor_credentials(struct doctor *d);
void doctor_shared(struct doctor *d);
void doctor_state(struct doctor *d);

/* Be the account 'user' for good, in a child. */
AQ_CHECK int doctor_become(const char *user, struct identity *ret,
			   struct aq_err *err);

/* How long another program, or a host, is waited for. */
#define DOCTOR_LIMIT_MS 10000

#endif
