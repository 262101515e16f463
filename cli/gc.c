/* SPDX-License-Identifier: Apache-2.0 */
/* aq gc: collect what nobody needs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

#define LINE_FORMAT "%-26s %-9s %9s  %s\n"

struct collection {
	struct cli *cli;
	struct aq_collect_state state;
	struct aq_plan plan;
	struct aq_usage usage; /* of what goes */
	struct json json;
	uint64_t n_gone, n_orphans, n_reconciled;
	uint64_t freed, caches; /* bytes */
};

/* What it frees besides what goes before it. */
static int measure(struct collection *c, const struct aq_victim *v,
		   uint64_t *ret, struct aq_err *err)
{
	uint64_t before = c->usage.whole;
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/%s/%s", c->cli->conf->cache_dir,
		 c->cli->is_dry_run ? "envs" : "trash", v->name);
	rc = aq_usage_add_tree(&c->usage, AT_FDCWD, path, err);
	*ret = c->usage.whole - before;
	return rc;
}

static void print_victim(struct collection *c, const struct aq_victim *v,
			 uint64_t frees)
{
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
	if (!c->n_gone) {
		char head[128];

		snprintf(head, sizeof(head), LINE_FORMAT, "NAME", "REASON",
			 "FREES", "LAST USED");
		term_print_in(stdout, TERM_BOLD, head);
	}
	printf(LINE_FORMAT, v->name, why, units_bytes(frees, size),
	       units_ago(v->last_used, c->state.now, ago));
}

static int take_victim(struct collection *c, const struct aq_victim *v,
		       struct aq_err *err)
{
	uint64_t frees = 0;
	int rc = 0;

	if (!c->cli->is_dry_run)
		rc = aq_collect_one(c->cli->conf, v->name, err);
	if (rc) /* used again, or gone: nothing to tell */
		return rc == AQ_BUSY || rc == AQ_MISS ? 0 : rc;
	rc = measure(c, v, &frees, err);
	if (rc)
		return rc;
	print_victim(c, v, frees);
	c->n_gone++;
	c->freed += frees;
	return 0;
}

static int collect(struct collection *c, struct aq_err *err)
{
	const struct aq_conf *conf = c->cli->conf;
	int rc = aq_collect_measure(conf, &c->state, err);

	c->state.max_freed = c->cli->max_freed;
	if (!rc)
		rc = aq_collect_plan(conf, &c->state, &c->plan, err);
	for (size_t i = 0; !rc && i < c->plan.n; i++)
		rc = take_victim(c, &c->plan.v[i], err);
	if (!rc && !c->cli->is_dry_run)
		rc = aq_collect_orphans(conf, &c->n_orphans, err);
	if (!rc && !c->cli->is_dry_run)
		rc = aq_collect_empty_trash(conf, err);
	if (!rc)
		rc = aq_collect_caches(conf, c->cli->is_dry_run, &c->caches,
				       err);
	if (!c->cli->is_dry_run)
		aq_collect_count(conf, c->n_gone, c->freed + c->caches);
	if (!rc && !c->cli->is_dry_run)
		aq_collect_note_end(conf);
	return rc;
}

static void summarise(struct collection *c)
{
	const char *will = c->cli->is_dry_run ? "would be " : "";
	char freed[UNITS_SIZE], caches[UNITS_SIZE], lacks[UNITS_SIZE];

	if (c->cli->has_json) {
		json_close(&c->json, ']');
		json_bool(&c->json, "dry_run", c->cli->is_dry_run);
		json_number(&c->json, "freed", c->freed);
		json_number(&c->json, "caches_freed", c->caches);
		json_number(&c->json, "held", c->plan.n_held);
		json_number(&c->json, "orphans", c->n_orphans);
		json_number(&c->json, "reconciled", c->n_reconciled);
		json_number(&c->json, "lacks", c->plan.lacks);
		json_end(&c->json);
		return;
	}
	printf("%llu environments %scollected, %s %sfreed, and %s of the package caches; %llu are in use\n",
	       (unsigned long long)c->n_gone, will,
	       units_bytes(c->freed, freed), will, units_bytes(c->caches, caches),
	       (unsigned long long)c->plan.n_held);
	if (c->n_orphans)
		printf("%llu that killed builds had left went too\n",
		       (unsigned long long)c->n_orphans);
	if (c->n_reconciled)
		printf("%llu jobs that Slurm does not know any more are forgotten\n",
		       (unsigned long long)c->n_reconciled);
	if (c->plan.lacks)
		printf("max_size and min_free ask for %s more: the rest is in use, pinned, a base, or was used less than 'grace' ago\n",
		       units_bytes(c->plan.lacks, lacks));
}

int cli_gc(struct cli *cli)
{
	struct collection c = { .cli = cli };
	struct aq_err err = { 0 };
	cleanup_close int lock = -1;
	int rc = aq_layout_prepare(cli->conf, &err);

	if (!rc)
		rc = aq_collect_begin(cli->conf, &lock, &err);
	if (rc == AQ_BUSY) {
		fputs("aq: somebody collects already\n", stderr);
		return CLI_OK;
	}
	if (!rc && cli->is_reconcile)
		rc = reconcile(cli->conf, &c.n_reconciled, &err);
	if (rc)
		return cli_fail(&err);
	if (cli->has_json) {
		json_begin(&c.json, stdout);
		json_open(&c.json, "collected", '[');
	}
	rc = collect(&c, &err);
	if (!cli->is_dry_run)
		env_publish(cli);
	summarise(&c);
	aq_plan_free(&c.plan);
	aq_usage_free(&c.usage);
	return rc ? cli_fail(&err) : CLI_OK;
}
