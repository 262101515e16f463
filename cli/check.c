/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/json.h"
#include "cli/term.h"

static void print_list(const char *name, const struct aq_strv *list)
{
	for (size_t i = 0; i < list->n; i++) {
		printf("%-12s", i ? "" : name);
		term_print(stdout, list->v[i]);
		putchar('\n');
	}
}

static void print_text(const struct aq_request *req)
{
	printf("%-12s%s\n", "digest", req->digest);
	printf("%-12s", "python");
	term_print(stdout, req->python ? req->python : "none");
	putchar('\n');
	print_list("channels", &req->channels);
	print_list("conda", &req->conda);
	print_list("pip", &req->pip);
	print_list("constraints", &req->constraints);
	print_list("no-binary", &req->sources);
	print_list("variables", &req->variables);
	domains_print_request(req);
}

static void write_variables(struct json *j, const struct aq_strv *list)
{
	json_open(j, "variables", '{');
	for (size_t i = 0; i < list->n; i++) {
		size_t len = strcspn(list->v[i], "=");
		cleanup_free char *name = strndup(list->v[i], len);

		if (name && list->v[i][len])
			json_text(j, name, list->v[i] + len + 1);
	}
	json_close(j, '}');
}

static void write_json(const struct aq_request *req,
		       const struct aq_strv *warnings)
{
	struct json j;

	json_begin(&j, stdout);
	json_text(&j, "digest", req->digest);
	json_text(&j, "python", req->python);
	json_list(&j, "channels", &req->channels);
	json_list(&j, "conda", &req->conda);
	json_list(&j, "pip", &req->pip);
	json_list(&j, "constraints", &req->constraints);
	json_list(&j, "no_binary", &req->sources);
	write_variables(&j, &req->variables);
	domains_write_request(&j, req);
	json_list(&j, "warnings", warnings);
	json_end(&j);
}

int cli_check(struct cli *cli)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	int code = cli_read_request(cli, cli->argv[0], &req, &warnings);

	if (code)
		return code;
	if (cli->has_json)
		write_json(req, &warnings);
	else
		print_text(req);
	return CLI_OK;
}
