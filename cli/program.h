/* SPDX-License-Identifier: Apache-2.0 */
/* Another program, asked for what it prints. */
#ifndef AQ_CLI_PROGRAM_H
#define AQ_CLI_PROGRAM_H

#include <sys/types.h>

#include "common/err.h"
#include "common/str.h"

/* Run 'argv' (found in PATH unless it is a path), as 'user' if that is not NULL
 * and we are root, for at most 'limit_ms'; its standard output is appended to
 * 'out'.  AQ_SYS: it cannot be run, took longer, or ended with another code than
 * 0.
 */
AQ_CHECK int program_run(const char *const argv[], const char *user,
			 int limit_ms, struct aq_str *out, struct aq_err *err);
/* The same with 'input' on its standard input: for what must be in no argument. */
AQ_CHECK int program_run_fed(const char *const argv[], const char *user,
			     const char *input, int limit_ms,
			     struct aq_str *out, struct aq_err *err);
/* The same as ourselves, with our standard error, so that it says what is wrong. */
AQ_CHECK int program_run_aloud(const char *const argv[], int limit_ms,
			       struct aq_str *out, struct aq_err *err);
/* Start it as ourselves, with these as its standard output and error: *ret, which the
 * caller waits for.  It gets SIGTERM when we die.
 */
AQ_CHECK int program_start(const char *const argv[], int out, int errors,
			   pid_t *ret, struct aq_err *err);
/* What the end 'status' (waitpid(2)) of 'name' is: 0 or AQ_SYS, saying so. */
AQ_CHECK int program_judge(const char *name, int status, struct aq_err *err);

#endif
