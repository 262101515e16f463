/* SPDX-License-Identifier: Apache-2.0 */
/* aq fetch: what nodes without network need to build a request. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/obtain.h"
#include "cli/term.h"

/* A directory of one's own is made; the nodes', which is builder_user's, is there. */
static int find_directory(const struct cli *cli, char ret[PATH_MAX],
			  struct aq_err *err)
{
	const char *dir = cli->into ? cli->into : cli->conf->shared_dir;

	if (!*dir)
		return aq_fail(err, AQ_USER, "aq.conf has no shared_dir: say --into DIRECTORY");
	if (cli->into && cli->is_personal && mkdir(dir, 0755) < 0 && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", dir);
	return realpath(dir, ret) ? 0 : aq_fail_errno(err, "cannot find '%s'", dir);
}

static void write_json(const struct aq_answer *a, const struct aq_request *req,
		       const char *dir)
{
	unsigned int packages = 0, wheels = 0;
	struct json j;

	(void)!sscanf(a->text, "%u packages, %u", &packages, &wheels);
	json_begin(&j, stdout);
	json_text(&j, "directory", dir);
	json_text(&j, "key", a->key);
	json_text(&j, "lock", a->lock);
	json_text(&j, "digest", req->digest);
	json_number(&j, "packages", packages);
	json_number(&j, "wheels", wheels);
	json_end(&j);
}

int cli_fetch(struct cli *cli)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_answer struct aq_answer *answer = NULL;
	char dir[PATH_MAX];
	struct aq_err err = { 0 };
	int code = cli_read_request(cli, cli->argv[0], &req, &warnings);

	if (code)
		return code;
	if (find_directory(cli, dir, &err) != 0)
		return cli_fail(&err);
	cli->fetch = dir;
	if (obtain(cli, req, &answer, &err) != 0)
		return cli_fail(&err);
	if (cli->has_json) {
		write_json(answer, req, dir);
		return CLI_OK;
	}
	printf("fetched  %s  into ", answer->text);
	term_print_in(stdout, TERM_BOLD, dir);
	putchar('\n');
	return CLI_OK;
}
