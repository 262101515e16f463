/* SPDX-License-Identifier: Apache-2.0 */
/* Between run.c, the supervisor's side of a program, run_stay.c, that of one that stays,
 * and run_child.c, the program's own; for no one else.
 */
#ifndef AQ_BUILDER_RUN_INSIDE_H
#define AQ_BUILDER_RUN_INSIDE_H

#include <sys/types.h>

#include "builder/cage.h"

struct child {
	struct build *b;
	enum phase phase;
	bool hides_shells;
	int in, out, err;
	int fault; /* where it says that the cage cannot be had */
	char *const *argv, *const *env;
	const struct secrets *secrets; /* or */
	int (*fn)(void *arg, struct aq_str *out, struct aq_err *err);
	void *arg;
	struct aq_str *fn_out;
};

/* Fork, and be that program in the child, in the cage of its phase; it dies with the
 * caller.  Returns its pid, which leads a process group, or -1 and errno.  The
 * descriptors are the caller's to close.
 */
pid_t run_start(const struct child *c);

/* Kill it and, unless the build is personal, wait until nothing of it is left. */
void run_end(struct build *b, pid_t pid, int *ret_status);

/* Of one that stays: whether its output ends in RUN_STAYS, which goes. */
bool run_has_answered(struct aq_str *output);
/* Have b->staying, which *ret is from then on, do what 'cmd' says. */
AQ_CHECK int run_go_on(struct build *b, const struct command *cmd,
		       struct program *ret, struct aq_err *err);
void run_close(struct program *p);

/* A pipe, one end of which the child gets.  False with errno set. */
AQ_CHECK bool run_make_pipe(int *ret_read, int *ret_write);

#endif
