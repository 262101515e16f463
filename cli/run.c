/* SPDX-License-Identifier: Apache-2.0 */
/* A command in an environment, as a task would see it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/obtain.h"
#include "cli/term.h"
#include "common/flock.h"
#include "common/store.h"

#define TRIES 3 /* to have an environment before it is collected */

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

/* Until the command has ended nobody collects its environment: the lock's
 * descriptor is its own too.  AQ_MISS: that has happened already.
 */
static int hold(const struct cli *cli, const struct aq_answer *a,
		struct aq_err *err)
{
	char lock[128];
	int fd, rc;

	snprintf(lock, sizeof(lock), AQ_FLOCK_HOLD "%s", aq_answer_env(a));
	rc = aq_flock_wait(cli->conf, lock, AQ_FLOCK_SHARED, NULL, NULL, &fd,
			   err);
	if (rc)
		return rc;
	if (access(a->prefix, F_OK) < 0) {
		close(fd);
		return AQ_MISS;
	}
	return fcntl(fd, F_SETFD, 0) < 0 ?
		aq_fail_errno(err, "cannot hold the environment") : 0;
}

static int obtain_held(struct cli *cli, const struct aq_request *req,
		       struct aq_answer **ret, struct aq_err *err)
{
	int rc = AQ_MISS;

	for (int i = 0; rc == AQ_MISS && i < TRIES; i++) {
		obtain_free(steal(ret));
		rc = obtain(cli, req, ret, err);
		if (!rc)
			rc = hold(cli, *ret, err);
	}
	return rc == AQ_MISS ? aq_fail(err, AQ_SYS, "the environment is collected as soon as it is there: see max_size in aq.conf") : rc;
}

/* Only for `aq list` and the order of collecting: no reason to fail. */
static void count_use(const struct cli *cli, const struct aq_answer *a)
{
	cleanup_store struct aq_store *store = NULL;
	const char *name = aq_answer_env(a);

	if (*name && aq_store_open(cli->conf, AQ_STORE_WRITE, &store, NULL) == 0 &&
	    aq_store_used(store, name, (uint64_t)time(NULL), NULL) != 0)
		return;
}

/* Whether any directory of PATH has it: execvp(3) says EACCES, not ENOENT,
 * when it was not allowed to look into one of them.
 */
static bool is_anywhere(const char *command)
{
	const char *path = getenv("PATH");
	size_t len;

	if (strchr(command, '/'))
		return true;
	for (; path && *path; path += len + (path[len] == ':')) {
		char file[PATH_MAX];

		len = strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s/%s",
			     len ? (int)len : 1, len ? path : ".",
			     command) < (int)sizeof(file) &&
		    access(file, F_OK) == 0)
			return true;
	}
	return false;
}

/* Does not come back if the command can be executed. */
static int execute(char **command)
{
	int errnum;

	execvp(command[0], command);
	errnum = errno;
	if (errnum == EACCES && !is_anywhere(command[0]))
		errnum = ENOENT;
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
	if (obtain_held(cli, req, &answer, &err) != 0 ||
	    change_environment(answer, &err) != 0) {
		(void)cli_fail(&err);
		return CLI_NO_ENVIRONMENT;
	}
	count_use(cli, answer);
	return execute(cli->argv + 1);
}
