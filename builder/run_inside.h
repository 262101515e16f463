/* SPDX-License-Identifier: Apache-2.0 */
/* Between run.c, the supervisor's side of a program, and run_child.c, the program's
 * own; for no one else.
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

/* A pipe, one end of which the child gets.  False with errno set. */
AQ_CHECK bool run_make_pipe(int *ret_read, int *ret_write);

#endif
