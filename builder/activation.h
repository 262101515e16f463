/* SPDX-License-Identifier: Apache-2.0 */
/* What activation scripts do to an environment, decided from two runs in two
 * different worlds, and whether it may be.  Pure, but that activation_check()
 * looks at who owns directories.
 */
#ifndef AQ_ACTIVATION_H
#define AQ_ACTIVATION_H

#include "common/envmap.h"
#include "common/err.h"
#include "common/str.h"

struct world {
	struct aq_envmap before, after;
};

/* Read text[0..len), what a run printed of its world, into 'ret': NAME=VALUE, each
 * ended by NUL, as env -0 prints them.  It may be anything.
 */
void activation_read_env(const char *text, size_t len, struct aq_envmap *ret);

/* The other world for the second run: another HOME and USER, and for each
 * variable that the first run changed a former value of its own.
 */
void activation_other_world(const struct world *a, struct aq_envmap *ret);

/* Append to 'ops' (common/envops.h) what turns 'before' into 'after' in both
 * worlds: what is the same is set; what follows HOME, USER, LOGNAME or a
 * variable's own former value becomes a template, a prepend or an append.
 * AQ_USER: a variable depends on anything else.
 */
AQ_CHECK int activation_decide(const struct world *a, const struct world *b,
			       struct aq_str *ops, struct aq_err *err);

/* Where an environment will be; "": no base. */
struct places {
	const char *prefix, *base, *cache;
};

/* Whether others may use 'ops': search paths name only the environment, its base
 * or what nobody but root can change, what is loaded unasked is the
 * environment's own, and nothing names another place below 'cache'.  AQ_USER: no,
 * with the variable and the value.
 */
AQ_CHECK int activation_check(const struct places *where,
			      const struct aq_str *ops, struct aq_err *err);

#endif
