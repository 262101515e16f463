/* SPDX-License-Identifier: Apache-2.0 */
/* aq gc: collect what nobody needs. */
#include <stdio.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/reconcile.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/collect.h"
#include "common/layout.h"
#include "common/private.h"
#include "common/share.h"
#include "common/usage.h"
#include "common/user_size.h"
#include "common/workflows.h"

#define LINE_FORMAT "%-26s %-9s %9s  %s"

struct collection {
	struct cli *cli; /* its conf is of the domain that is collected */
	struct aq_collection run; /* in it */
	struct json json;
	struct aq_claims claims; /* what could go to make room, of all domains */
	uint64_t wanted;         /* bytes of it */
	bool has_head, has_private;
	/* of all domains */
	uint64_t n_gone, freed, caches, n_held, n_orphans, n_reconciled, lacks;
};

static void print_victim(const struct aq_victim *v, uint64_t frees, void *arg)
{
	struct collection *c = arg;
	char size[UNITS_SIZE], ago[UNITS_SIZE], owner[DOMAINS_OWNER_SIZE];
	const char *why = aq_collect_reason(v->why);
	bool is_private = c->cli->conf->domain.kind == AQ_PRIVATE;

	if (c->cli->has_json) {
		json_open(&c->json, NULL, '{');
		json_text(&c->json, "name", v->name);
		domains_write(&c->json, c->cli->conf);
		json_text(&c->json, "reason", why);
		json_number(&c->json, "last_used", v->last_used);
		json_number(&c->json, "frees", frees);
		json_close(&c->json, '}');
		return;
	}
	if (!c->has_head) {
		char head[128];

		snprintf(head, sizeof(head), LINE_FORMAT "\n", "NAME", "REASON",
			 "FREES", "LAST USED");
		term_print_in(stdout, TERM_BOLD, head);
		c->has_head = true;
	}
	printf(LINE_FORMAT, v->name, why, units_bytes(frees, size),
	       units_ago(v->last_used, c->run.state.now, ago));
	if (is_private)
		fputs(", private to ", stdout);
	term_print(stdout, domains_owner(c->cli->conf, owner));
	putchar('\n');
}

/* Users read what became of their workflows' environments. */
static void publish(const struct cli *cli)
{
	cleanup_store struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	env_publish(cli);
	if (geteuid() != 0 ||
	    aq_store_open(cli->conf, AQ_STORE_READ, &store, &err) != 0 ||
	    aq_workflows_publish_all(cli->conf, store, &err) == 0)
		return;
	term_print_in(stderr, TERM_YELLOW, "warning: ");
	term_print(stderr, err.text);
	fputc('\n', stderr);
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
		json_number(&c->json, "held", c->n_held);
		json_number(&c->json, "orphans", c->n_orphans);
		json_number(&c->json, "reconciled", c->n_reconciled);
		json_number(&c->json, "lacks", c->lacks);
		json_end(&c->json);
		return;
	}
	printf("%llu environments %scollected, %s %sfreed, and %s of the package caches; %llu are in use\n",
	       (unsigned long long)c->n_gone, will, units_bytes(c->freed, freed),
	       will, units_bytes(c->caches, caches),
	       (unsigned long long)c->n_held);
	if (c->n_orphans)
		printf("%llu that killed builds had left went too\n",
		       (unsigned long long)c->n_orphans);
	if (c->n_reconciled)
		printf("%llu jobs that Slurm does not know any more are forgotten\n",
		       (unsigned long long)c->n_reconciled);
	if (c->lacks)
		printf("max_size and min_free ask for %s more: the rest is in use, pinned, a base, or was used less than 'grace' ago\n",
		       units_bytes(c->lacks, lacks));
}

static void add_up(struct collection *c)
{
	c->n_gone += c->run.n_gone;
	c->freed += c->run.freed;
	c->caches += c->run.caches;
	c->n_held += c->run.plan.n_held;
	c->n_orphans += c->run.n_orphans;
	c->lacks = c->run.lacks;
}

/* One domain, whose collector's lock is ours. */
static int collect(struct collection *c, const struct aq_conf *limits,
		   struct aq_err *err)
{
	struct cli *cli = c->cli;
	uint64_t left = cli->max_freed - c->freed;
	int rc;

	c->run = (struct aq_collection){
		.is_dry_run = cli->is_dry_run,
		.is_idle = true,
		.max_freed = cli->max_freed == UINT64_MAX ? UINT64_MAX : left,
		.on_victim = print_victim,
		.arg = c,
	};
	rc = aq_collect_run(limits, &c->run, err);
	if (!cli->is_dry_run)
		publish(cli);
	add_up(c);
	aq_plan_free(&c->run.plan);
	return rc;
}

static int begin(struct collection *c, int *ret_lock, struct aq_err *err)
{
	int rc = aq_layout_prepare(c->cli->conf, err);

	if (!rc)
		rc = c->cli->is_waiting ?
			     aq_collect_begin_next(c->cli->conf, ret_lock, err) :
			     aq_collect_begin(c->cli->conf, ret_lock, err);
	return rc;
}

/* What is collectable without an answer of Slurm's is so all the same. */
static int reconcile_in(struct collection *c)
{
	struct aq_err err = { 0 };

	return c->cli->is_reconcile &&
			       reconcile(c->cli->conf, &c->n_reconciled, &err) != 0 ?
		       cli_fail(&err) : CLI_OK;
}

static int claim(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	struct collection *c = arg;

	c->has_private = true;
	/* one that is damaged is no reason to leave the others */
	if (aq_claims_add(&c->claims, conf, err) != 0)
		(void)cli_fail(err);
	return 0;
}

/* How much room is wanted, and what of all domains could go for it. */
static int find_claims(struct collection *c, struct aq_err *err)
{
	const struct aq_conf *conf = c->cli->conf;
	struct aq_collect_state state;
	uint64_t size, room;
	int rc = aq_private_each(conf, claim, c, err);

	if (rc || !c->has_private)
		return rc;
	rc = aq_collect_measure(conf, &state, err);
	if (rc)
		return rc;
	size = conf->max_size && state.size > conf->max_size ?
		       state.size - conf->max_size : 0;
	room = conf->min_free > state.free ? conf->min_free - state.free : 0;
	c->wanted = size > room ? size : room;
	return aq_claims_add(&c->claims, conf, err);
}

/* Of several domains each gives its share. */
static int collect_share(struct collection *c, struct aq_err *err)
{
	const struct aq_conf *conf = c->cli->conf;
	struct aq_conf limits = *conf;
	uint64_t n_free = 0, share = aq_claims_share(&c->claims,
						     conf->domain.uid, c->wanted);

	limits.max_size = limits.min_free = 0;
	limits.user_quota = aq_user_quota(conf);
	if (share && aq_collect_get_free(conf, &n_free, NULL) == 0)
		limits.min_free = n_free + share;
	return collect(c, &limits, err);
}

static int collect_private(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	struct collection *c = arg;
	struct aq_conf *node = c->cli->conf;
	cleanup_close int lock = -1;
	int rc;

	c->cli->conf = conf;
	rc = begin(c, &lock, err);
	if (!rc) {
		(void)reconcile_in(c);
		rc = collect_share(c, err);
	}
	c->cli->conf = node;
	/* somebody else does it; and one is no reason to leave the others */
	if (rc && rc != AQ_BUSY)
		(void)cli_fail(err);
	return 0;
}

/* What is shared first: nobody's own keeps others waiting for room. */
static int collect_all(struct collection *c, struct aq_err *err)
{
	const struct aq_conf *conf = c->cli->conf;
	uint64_t gone;
	int rc = c->cli->is_personal ? 0 : find_claims(c, err);

	if (rc || !c->has_private)
		return rc ? rc : collect(c, conf, err);
	rc = collect_share(c, err);
	if (!rc)
		rc = aq_private_each(conf, collect_private, c, err);
	gone = c->freed + c->caches;
	c->lacks = c->wanted > gone ? c->wanted - gone : 0;
	return rc;
}

int cli_gc(struct cli *cli)
{
	cleanup_close int lock = -1;
	struct collection c = { .cli = cli };
	struct aq_err err = { 0 };
	int code, rc = begin(&c, &lock, &err);

	if (rc == AQ_BUSY) {
		fputs("aq: somebody collects already\n", stderr);
		return CLI_OK;
	}
	if (rc)
		return cli_fail(&err);
	code = reconcile_in(&c);
	if (cli->has_json) {
		json_begin(&c.json, stdout);
		json_open(&c.json, "collected", '[');
	}
	rc = collect_all(&c, &err);
	if (!cli->is_personal && !cli->is_dry_run)
		cgroup_remove_left();
	summarise(&c);
	aq_claims_free(&c.claims);
	if (rc == AQ_MISS) /* of a newer version */
		err.class = AQ_SYS;
	return rc ? cli_fail(&err) : code;
}
