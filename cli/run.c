/* SPDX-License-Identifier: Apache-2.0 */
/* A command in an environment, as a task would see it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/obtain.h"
#include "cli/term.h"

extern char **environ;

static int change_environment(const struct aq_answer *a, struct aq_err *err)
{
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	int rc = aq_envops_plan(environ, a->ops, a->ops_len, &set, &unset, err);

	for (size_t i = 0; !rc && i < unset.n; i++)
		if (unsetenv(unset.v[i]) < 0)
			rc = aq_fail_errno(err, "cannot unset '%s'", unset.v[i]);
	for (size_t i = 0; !rc && i < set.n; i++) {
		char *eq = strchr(set.v[i], '=');

		*eq = '\0';
		if (setenv(set.v[i], eq + 1, 1) < 0)
			rc = aq_fail_errno(err, "cannot set '%s'", set.v[i]);
	}
	return rc;
}

/* Does not come back if the command can be executed. */
static int execute(char **command)
{
	int errnum;

	execvp(command[0], command);
	errnum = errno;
	fputs("aq: cannot run '", stderr);
	term_print(stderr, command[0]);
	fprintf(stderr, "': %s\n", strerror(errnum));
	return errnum == ENOENT ? CLI_NO_COMMAND : CLI_CANNOT_EXECUTE;
}

int cli_run(struct cli *cli)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_answer struct aq_answer *answer = NULL;
	struct aq_err err = { 0 };

	if (cli_read_request(cli, cli->argv[0], &req, &warnings) != 0)
		return CLI_NO_ENVIRONMENT;
	if (obtain(cli, req, &answer, &err) != 0 ||
	    change_environment(answer, &err) != 0) {
		(void)cli_fail(&err);
		return CLI_NO_ENVIRONMENT;
	}
	return execute(cli->argv + 1);
}
