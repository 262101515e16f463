/* SPDX-License-Identifier: Apache-2.0 */
/* aq gc: collect what nobody needs. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/reconcile.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/collect.h"
#include "common/layout.h"
#include "common/usage.h"
#include "common/workflows.h"

#define LINE_FORMAT "%-26s %-9s %9s  %s\n"

struct collection {
	struct cli *cli;
	struct aq_collection run;
	struct json json;
	uint64_t n_reconciled;
};

static void print_victim(const struct aq_victim *v, uint64_t frees, void *arg)
{
	struct collection *c = arg;
	char size[UNITS_SIZE], ago[UNITS_SIZE];
	const char *why = aq_collect_reason(v->why);

	if (c->cli->has_json) {
		json_open(&c->json, NULL, '{');
		json_text(&c->json, "name", v->name);
		json_text(&c->json, "reason", why);
		json_number(&c->json, "last_used", v->last_used);
		json_number(&c->json, "frees", frees);
		json_close(&c->json, '}');
		return;
	}
	if (!c->run.n_gone) {
		char head[128];

		snprintf(head, sizeof(head), LINE_FORMAT, "NAME", "REASON",
			 "FREES", "LAST USED");
		term_print_in(stdout, TERM_BOLD, head);
	}
	printf(LINE_FORMAT, v->name, why, units_bytes(frees, size),
	       units_ago(v->last_used, c->run.state.now, ago));
}

/* Users read what became of their workflows' environments. */
static void publish(const struct aq_conf *conf)
{
	cleanup_store struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	if (geteuid() != 0 ||
	    aq_store_open(conf, AQ_STORE_READ, &store, &err) != 0 ||
	    aq_workflows_publish_all(conf, store, &err) == 0)
		return;
	term_print_in(stderr, TERM_YELLOW, "warning: ");
	term_print(stderr, err.text);
	fputc('\n', stderr);
}

static void summarise(struct collection *c)
{
	const struct aq_collection *run = &c->run;
	const char *will = run->is_dry_run ? "would be " : "";
	char freed[UNITS_SIZE], caches[UNITS_SIZE], lacks[UNITS_SIZE];

	if (c->cli->has_json) {
		json_close(&c->json, ']');
		json_bool(&c->json, "dry_run", run->is_dry_run);
		json_number(&c->json, "freed", run->freed);
		json_number(&c->json, "caches_freed", run->caches);
		json_number(&c->json, "held", run->plan.n_held);
		json_number(&c->json, "orphans", run->n_orphans);
		json_number(&c->json, "reconciled", c->n_reconciled);
		json_number(&c->json, "lacks", run->lacks);
		json_end(&c->json);
		return;
	}
	printf("%llu environments %scollected, %s %sfreed, and %s of the package caches; %llu are in use\n",
	       (unsigned long long)run->n_gone, will,
	       units_bytes(run->freed, freed), will,
	       units_bytes(run->caches, caches),
	       (unsigned long long)run->plan.n_held);
	if (run->n_orphans)
		printf("%llu that killed builds had left went too\n",
		       (unsigned long long)run->n_orphans);
	if (c->n_reconciled)
		printf("%llu jobs that Slurm does not know any more are forgotten\n",
		       (unsigned long long)c->n_reconciled);
	if (run->lacks)
		printf("max_size and min_free ask for %s more: the rest is in use, pinned, a base, or was used less than 'grace' ago\n",
		       units_bytes(run->lacks, lacks));
}

int cli_gc(struct cli *cli)
{
	struct collection c = {
		.cli = cli,
		.run = { .is_dry_run = cli->is_dry_run, .is_idle = true,
			 .max_freed = cli->max_freed,
			 .on_victim = print_victim, .arg = &c },
	};
	struct aq_err err = { 0 };
	cleanup_close int lock = -1;
	int code = CLI_OK, rc = aq_layout_prepare(cli->conf, &err);

	if (!rc)
		rc = cli->is_waiting ?
			     aq_collect_begin_next(cli->conf, &lock, &err) :
			     aq_collect_begin(cli->conf, &lock, &err);
	if (rc == AQ_BUSY) {
		fputs("aq: somebody collects already\n", stderr);
		return CLI_OK;
	}
	if (rc)
		return cli_fail(&err);
	/* what is collectable without an answer is so all the same */
	if (cli->is_reconcile &&
	    reconcile(cli->conf, &c.n_reconciled, &err) != 0)
		code = cli_fail(&err);
	if (cli->has_json) {
		json_begin(&c.json, stdout);
		json_open(&c.json, "collected", '[');
	}
	rc = aq_collect_run(cli->conf, &c.run, &err);
	if (!cli->is_dry_run) {
		env_publish(cli);
		publish(cli->conf);
	}
	summarise(&c);
	aq_plan_free(&c.run.plan);
	return rc ? cli_fail(&err) : code;
}
