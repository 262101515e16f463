/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/build_nodes.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/obtain.h"
#include "cli/term.h"
#include "cli/units.h"

static void print_text(const struct aq_answer *a)
{
	char time[UNITS_SIZE], size[UNITS_SIZE];

	printf("%s  ", a->resolution);
	term_print_in(stdout, TERM_BOLD, a->prefix);
	if (a->build_ms)
		printf("  in %s, %s new", units_ms(a->build_ms, time),
		       units_bytes(a->new_bytes, size));
	putchar('\n');
}

static void write_json(const struct aq_answer *a, const struct aq_request *req)
{
	struct json j;

	json_begin(&j, stdout);
	json_text(&j, "resolution", a->resolution);
	json_text(&j, "prefix", a->prefix);
	json_text(&j, "key", a->key);
	json_text(&j, "lock", a->lock);
	json_text(&j, "digest", req->digest);
	json_number(&j, "build_ms", a->build_ms);
	json_number(&j, "new_bytes", a->new_bytes);
	json_text(&j, "log", a->log[0] ? a->log : NULL);
	json_end(&j);
}

int cli_build(struct cli *cli)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_answer struct aq_answer *answer = NULL;
	struct aq_err err = { 0 };
	int code = cli_read_request(cli, cli->argv[0], &req, &warnings);

	if (code)
		return code;
	if (cli->nodes)
		return build_on_nodes(cli, cli->argv[0]);
	if (obtain(cli, req, &answer, &err) != 0)
		return cli_fail(&err);
	if (cli->has_json)
		write_json(answer, req);
	else
		print_text(answer);
	return CLI_OK;
}
