/* SPDX-License-Identifier: Apache-2.0 */
/* aq base: the environments that others inherit from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/obtain.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/base.h"

static int usage(const char *what)
{
	fprintf(stderr, "aq: %s\nusage: aq base add PYTHON --file FILE | list | remove PYTHON | sync\n",
		what);
	return CLI_USAGE;
}

/* -- add, sync -- */

/* Build what 'file' asks for, unless it is there, and make it the base. */
static int add(struct cli *cli, const char *python, const char *file)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_answer struct aq_answer *answer = NULL;
	struct aq_err err = { 0 };
	int code;

	if (!aq_base_is_name(python))
		return usage("a base is named by a version of Python: '3.11'");
	code = cli_read_request(cli, file, &req, &warnings);
	if (code)
		return code;
	cli->as_base = python;
	if (obtain(cli, req, &answer, &err) != 0)
		return cli_fail(&err);
	printf("base %s  %s  ", python, answer->resolution);
	term_print_in(stdout, TERM_BOLD, answer->prefix);
	putchar('\n');
	return CLI_OK;
}

static int cli_base_add(struct cli *cli)
{
	if (cli->argc != 2 || !cli->file)
		return usage("'add' needs a version of Python and '--file FILE'");
	return add(cli, cli->argv[1], cli->file);
}

/* Every base of aq.conf, as its file says now; others stay as they are. */
static int cli_base_sync(struct cli *cli)
{
	const struct aq_strv *bases = &cli->conf->bases;
	int worst = CLI_OK;

	if (!bases->n)
		puts("aq.conf names no base: base = 3.11=/etc/slurm/aq-base-3.11.yaml");
	for (size_t i = 0; i < bases->n; i++) {
		const char *eq = strchr(bases->v[i], '=');
		cleanup_free char *python =
			eq ? strndup(bases->v[i], (size_t)(eq - bases->v[i])) :
			     NULL;
		int code = python ? add(cli, python, eq + 1) :
				    usage("'base' in aq.conf takes PYTHON=FILE");

		if (code > worst)
			worst = code;
	}
	return worst;
}

/* -- list -- */

static void print_base(const struct aq_base *base, const struct aq_env *env,
		       uint64_t children, bool is_first)
{
	char size[UNITS_SIZE];

	if (is_first) {
		char head[128];

		snprintf(head, sizeof(head), "%-8s %-26s %-9s %9s %9s\n", "BASE",
			 "NAME", "PYTHON", "SIZE", "CHILDREN");
		term_print_in(stdout, TERM_BOLD, head);
	}
	printf("%-8s %-26s %-9s %9s %9llu\n", base->python, env->name,
	       env->python, units_bytes(env->size_own + env->size_shared, size),
	       (unsigned long long)children);
}

static int list_one(struct aq_store *store, const struct aq_base *base,
		    struct json *json, bool is_first, struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	uint64_t children = 0;
	int rc = aq_store_find_name(store, base->env, &env, err);

	if (!rc)
		rc = aq_store_children(store, base->env, &children, err);
	if (rc)
		return rc;
	if (!json) {
		print_base(base, env, children, is_first);
		return 0;
	}
	json_open(json, NULL, '{');
	json_text(json, "version", base->python);
	env_write_json(json, env);
	json_number(json, "children", children);
	json_close(json, '}');
	return 0;
}

static int cli_base_list(struct cli *cli)
{
	cleanup_store struct aq_store *store = NULL;
	struct aq_bases bases = { 0 };
	struct aq_err err = { 0 };
	struct json json;
	int rc = env_open_store(cli, &store, &err);

	if (!rc)
		rc = aq_store_bases(store, &bases, &err);
	if (rc && rc != AQ_MISS) /* no cache yet has no bases */
		return cli_fail(&err);
	rc = 0;
	if (cli->has_json) {
		json_begin(&json, stdout);
		json_open(&json, "bases", '[');
	} else if (!bases.n) {
		puts("no bases yet: 'aq base add 3.11 --file FILE' makes one");
	}
	for (size_t i = 0; !rc && i < bases.n; i++)
		rc = list_one(store, &bases.v[i], cli->has_json ? &json : NULL,
			      i == 0, &err);
	if (cli->has_json) {
		json_close(&json, ']');
		json_end(&json);
	}
	return rc ? cli_fail(&err) : CLI_OK;
}

/* -- remove -- */

static int cli_base_remove(struct cli *cli)
{
	cleanup_store struct aq_store *store = NULL;
	struct aq_err err = { 0 };
	int rc;

	if (cli->argc != 2)
		return usage("'remove' needs a version of Python");
	rc = aq_store_open(cli->conf, AQ_STORE_WRITE, &store, &err);
	if (!rc)
		rc = aq_store_base_unset(store, cli->argv[1], &err);
	if (rc)
		return cli_fail(&err);
	env_publish(cli);
	printf("base %s is none any more; what inherited from it goes on working\n",
	       cli->argv[1]);
	return CLI_OK;
}

int cli_base(struct cli *cli)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *cli);
	} verbs[] = {
		{ "add", cli_base_add },
		{ "list", cli_base_list },
		{ "remove", cli_base_remove },
		{ "sync", cli_base_sync },
	};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(cli->argv[0], verbs[i].name) == 0)
			return verbs[i].run(cli);
	return usage("'base' takes add, list, remove or sync");
}
