/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "cli/units.h"

#define LINE_FORMAT "%-26s %-9s %-9s %9s %6s  %s\n"

struct listing {
	struct json json;
	bool has_json;
	uint64_t n;
	uint64_t now; /* Unix seconds */
};

static void print_line(struct listing *l, const struct aq_env *env)
{
	char size[UNITS_SIZE], ago[UNITS_SIZE], uses[UNITS_SIZE];

	if (!l->n) {
		char head[128];

		snprintf(head, sizeof(head), LINE_FORMAT, "NAME", "KIND",
			 "PYTHON", "SIZE", "USES", "LAST USED");
		term_print_in(stdout, TERM_BOLD, head);
	}
	snprintf(uses, sizeof(uses), "%llu", (unsigned long long)env->uses);
	printf(LINE_FORMAT, env->name, aq_env_kind_name(env->kind),
	       env->python[0] ? env->python : "none",
	       units_bytes(env->size_own + env->size_shared, size), uses,
	       units_ago(env->last_used, l->now, ago));
}

static int each(const struct aq_env *env, void *arg, struct aq_err *err)
{
	struct listing *l = arg;

	(void)err;
	if (l->has_json) {
		json_open(&l->json, NULL, '{');
		env_write_json(&l->json, env);
		json_close(&l->json, '}');
	} else {
		print_line(l, env);
	}
	l->n++;
	return 0;
}

int cli_list(struct cli *cli)
{
	cleanup_store struct aq_store *store = NULL;
	struct listing l = { .has_json = cli->has_json,
			     .now = (uint64_t)time(NULL) };
	struct aq_err err = { 0 };
	int rc = env_open_store(cli, &store, &err);

	/* no cache yet is an empty one */
	if (rc && rc != AQ_MISS)
		return cli_fail(&err);
	if (cli->has_json) {
		json_begin(&l.json, stdout);
		json_text(&l.json, "cache_dir", cli->conf->cache_dir);
		json_open(&l.json, "environments", '[');
	}
	if (store)
		rc = aq_store_each(store, each, &l, &err);
	else
		rc = 0;
	if (cli->has_json) {
		json_close(&l.json, ']');
		json_end(&l.json);
	} else if (!rc && !l.n) {
		printf("no environments in '%s' yet: 'aq build FILE' makes one\n",
		       cli->conf->cache_dir);
	}
	return rc ? cli_fail(&err) : CLI_OK;
}
