/* SPDX-License-Identifier: Apache-2.0 */
/* aq explain: how a request's environment would come about. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/obtain.h"
#include "cli/term.h"
#include "cli/units.h"

struct explanation {
	const struct aq_request *req;
	const struct aq_answer *answer;
	struct aq_env *env;          /* reused: which one it is */
	uint64_t n, build_ms, bytes; /* what its kind has cost so far */
};

static enum aq_env_kind kind_of(const char *resolution)
{
	for (enum aq_env_kind k = AQ_ENV_CREATED; k < AQ_ENV_BASE; k++)
		if (strcmp(aq_env_kind_name(k), resolution) == 0)
			return k;
	return AQ_ENV_CREATED;
}

/* What the store knows about it. */
static int look_around(const struct cli *cli, struct explanation *e,
		       struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	const char *name = aq_answer_env(e->answer);
	int rc = env_open_store(cli, &store, err);

	if (rc == AQ_MISS)
		return 0;
	if (!rc && *name)
		rc = aq_store_find_name(store, name, &e->env, err);
	else if (!rc)
		rc = aq_store_typical(store, kind_of(e->answer->resolution),
				      &e->n, &e->build_ms, &e->bytes, err);
	return rc;
}

/* Call 'fn' for each line "WORD REST" of the builder's text. */
static void each_line(const char *text, const char *word,
		      void (*fn)(const char *rest, size_t len, void *arg),
		      void *arg)
{
	size_t len = strlen(word);

	for (; *text; text = aq_next_line(text))
		if (strncmp(text, word, len) == 0 && text[len] == ' ')
			fn(text + len + 1, strcspn(text + len + 1, "\n"), arg);
}

/* -- text -- */

static void print_item(const char *name, const char *value, size_t len)
{
	printf("%-12s%.*s\n", name, (int)len, value);
}

static void print_line(const char *rest, size_t len, void *arg)
{
	print_item(*(const char **)arg, rest, len);
	*(const char **)arg = ""; /* once */
}

static void print_lines(const char *text, const char *word, const char *label)
{
	each_line(text, word, print_line, &label);
}

static void print_text(const struct explanation *e)
{
	const struct aq_answer *a = e->answer;
	char time[UNITS_SIZE], size[UNITS_SIZE];

	domains_print_request(e->req);
	if (e->env) {
		printf("%-12sreused: it is there, %s\n", "resolution",
		       aq_env_kind_name(e->env->kind));
		if (e->env->base[0])
			printf("%-12s%s\n", "base", e->env->base);
		if (e->env->reason[0])
			print_item("because", e->env->reason,
				   strlen(e->env->reason));
		print_item("prefix", a->prefix, strlen(a->prefix));
		return;
	}
	printf("%-12s%s: it would be built\n", "resolution", a->resolution);
	print_lines(a->text, "base", "base");
	print_lines(a->text, "because", "because");
	print_lines(a->text, "add", "adds");
	if (e->n)
		printf("%-12sabout %s and %s of its own, as %llu of its kind did here\n",
		       "costs", units_ms(e->build_ms, time),
		       units_bytes(e->bytes, size), (unsigned long long)e->n);
}

/* -- JSON -- */

static void write_line(const char *rest, size_t len, void *arg)
{
	char text[AQ_ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "%.*s", (int)len, rest);
	json_text(arg, NULL, text);
}

static void write_json(const struct explanation *e)
{
	const struct aq_answer *a = e->answer;
	struct json j;

	json_begin(&j, stdout);
	domains_write_request(&j, e->req);
	json_text(&j, "resolution", a->resolution);
	json_text(&j, "key", a->key);
	json_text(&j, "lock", a->lock);
	json_text(&j, "prefix", a->prefix[0] ? a->prefix : NULL);
	json_open(&j, "reasons", '[');
	if (e->env && e->env->reason[0])
		json_text(&j, NULL, e->env->reason);
	each_line(a->text, "because", write_line, &j);
	json_close(&j, ']');
	json_open(&j, "base", '[');
	each_line(a->text, "base", write_line, &j);
	json_close(&j, ']');
	json_open(&j, "adds", '[');
	each_line(a->text, "add", write_line, &j);
	json_close(&j, ']');
	json_number(&j, "typical_build_ms", e->build_ms);
	json_number(&j, "typical_size_own", e->bytes);
	json_end(&j);
}

int cli_explain(struct cli *cli)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_answer struct aq_answer *answer = NULL;
	struct explanation e = { 0 };
	struct aq_err err = { 0 };
	int code = cli_read_request(cli, cli->argv[0], &req, &warnings);

	if (code)
		return code;
	cli->is_explain = true;
	if (obtain(cli, req, &answer, &err) != 0)
		return cli_fail(&err);
	e.answer = answer;
	e.req = req;
	if (look_around(cli, &e, &err) != 0)
		return cli_fail(&err);
	if (cli->has_json)
		write_json(&e);
	else
		print_text(&e);
	aq_env_free(e.env);
	return CLI_OK;
}
