/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of private channels and indexes (common/credentials.h), for the
 * programs that fetch from them and nobody else.
 */
#ifndef AQ_BUILDER_SECRETS_H
#define AQ_BUILDER_SECRETS_H

#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"

struct build;
struct command;

/* Whose hosts a program fetches from. */
enum secrets_of {
	SECRETS_OF_NOTHING,
	SECRETS_OF_CHANNELS, /* that the request may use */
	SECRETS_OF_WHEELS,   /* pip_index and find_links */
};

/* How it takes credentials. */
enum secrets_how {
	SECRETS_NONE,    /* it must not be given any: it runs packages' code */
	SECRETS_NETRC,   /* a file that NETRC names: no tokens */
	SECRETS_RATTLER, /* a file that RATTLER_AUTH_FILE names */
};

struct secrets {
	enum secrets_of of;
	enum secrets_how how;
	struct aq_strv hosts; /* that it fetches from */
	struct aq_strv given; /* those of them that it has credentials for */
	bool is_alone; /* and nothing of packages' beside it */
	struct aq_strv known; /* what must not be in its output */
	struct aq_str file;   /* as the program reads it */
};

/* A program fetches from these, and takes credentials so. */
void secrets_for(struct secrets *s, enum secrets_of of, enum secrets_how how);

/* Whether a program that fetches from these would get any, or a proxy's
 * password: then nothing below cache_dir can be executed meanwhile.
 */
bool secrets_are_wanted(struct build *b, enum secrets_of of);

/* What 'cmd' gets, and the variable that names it.  AQ_SYS: the file of
 * credentials is wrong, or has some for a host that the program must not be
 * given; never remembered.
 */
AQ_CHECK int secrets_take(struct build *b, struct command *cmd,
			  struct aq_err *err);

/* In the program's own mount namespace, as root, before it is executed.  False:
 * errno.
 */
AQ_CHECK bool secrets_place(const struct build *b, const struct secrets *s);

/* 'cmd' has failed: AQ_SYS, the node's fault, if a server refused it. */
AQ_CHECK int secrets_judge(struct build *b, const struct command *cmd,
			   struct aq_err *err);

/* Overwrites what it frees. */
void secrets_free(struct secrets *s);

#endif
