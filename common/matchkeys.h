/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a match spec, each checked and normalised: the inside of
 * matchspec.c, which alone uses this.  All return 0, AQ_USER or AQ_SYS.
 */
#ifndef AQ_MATCHKEYS_H
#define AQ_MATCHKEYS_H

#include "common/matchspec.h"

/* A spec being taken apart: the pieces lie in one copy of the text. */
struct aq_match {
	char *copy;
	char *brackets; /* inside of [...], or NULL */
	char *channel;	/* before "::", or NULL */
	char *name;
	char *rest;	  /* behind the name */
	const char *text; /* as written, for messages */
	struct aq_err *err;
};

/* AQ_USER with "'spec' why"; AQ_SYS. */
int aq_match_fail(struct aq_match *p, const char *why);
int aq_match_oom(struct aq_err *err);

/* Cut white space off both ends, in place. */
char *aq_match_trim(char *s);

/* A build string: its characters, with '*' once in a row; NULL for any. */
AQ_CHECK int aq_match_build(struct aq_match *p, const char *build, char **ret);

/* A version spec in normal form. */
AQ_CHECK int aq_match_version(struct aq_match *p, const char *version,
			      char **ret);

/* "channel" or "channel/linux-64", into spec's channel and subdir. */
AQ_CHECK int aq_match_channel(struct aq_match *p, const char *value,
			      struct aq_matchspec *spec);

/* p->brackets, "key=value,key='value',…", into 'spec'. */
AQ_CHECK int aq_match_brackets(struct aq_match *p, struct aq_matchspec *spec);

#endif
