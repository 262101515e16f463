/* SPDX-License-Identifier: Apache-2.0 */
/* Domains: who may use what is built.  A request that asks only for what the
 * administrator's channels and index have is shared.  One that asks for more,
 * as far as aq.conf's `policy` lets it, is private: built as its user, in a
 * cache of that user's own (common/private.h), and used for nobody else.
 * Which it is the canonical bytes alone tell.
 */
#ifndef AQ_DOMAIN_H
#define AQ_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

struct aq_domain {
	enum { AQ_SHARED, AQ_PRIVATE } kind;
	uid_t uid;        /* private: whose */
	const char *user; /* private: their name; a recycled uid is not them */
};

/* What a request may ask for beyond channels and index. */
enum aq_input {
	AQ_INPUT_VCS,    /* a requirement "NAME @ git+URL" */
	AQ_INPUT_LOCAL,  /* "NAME @ file:///PATH", a wheel that its user can read */
	AQ_INPUT_SOURCE, /* a package that is built from its source */
	AQ_INPUT_SCRIPT, /* a conda package that needs its link script */
	AQ_INPUT_N
};
enum aq_policy { AQ_POLICY_REFUSE, AQ_POLICY_PRIVATE };

/* As `policy` has it: "vcs". */
const char *aq_input_name(enum aq_input input);
/* For people: "a repository". */
const char *aq_input_what(enum aq_input input);

/* Read aq.conf's "vcs=private local=refuse"; what is not named is refused.
 * AQ_USER: a kind or word that there is not, or that would let others use what
 * runs its own code while it is built; 'ret' is then unfinished.
 */
AQ_CHECK int aq_policy_parse(const char *value, enum aq_policy ret[AQ_INPUT_N],
			     struct aq_err *err);

/* Which kinds these canonical bytes (docs/format.md) ask for: a bit for each,
 * 1 << enum aq_input; 0: it is shared.  Pure, and fast: hits ask it.  The bytes
 * may be anything.
 */
unsigned int aq_domain_inputs(const char *canonical, size_t len);

/* AQ_USER, with the rule and whom to ask, if 'policy' refuses 'input', which
 * 'text' asks for.
 */
AQ_CHECK int aq_policy_check(const enum aq_policy policy[AQ_INPUT_N],
			     enum aq_input input, const char *text,
			     struct aq_err *err);
/* The same of all 'inputs'. */
AQ_CHECK int aq_policy_check_all(const enum aq_policy policy[AQ_INPUT_N],
				 unsigned int inputs, struct aq_err *err);

#endif
