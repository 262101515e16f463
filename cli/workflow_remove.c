/* SPDX-License-Identifier: Apache-2.0 */
/* aq workflow remove: root forgets one in the node's cache; others have it done
 * by a job on each node, as which Slurm knows whose it is.
 */
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/nodes.h"
#include "cli/program.h"
#include "cli/term.h"
#include "cli/workflow.h"
#include "common/collect.h"

#define SRUN_MS 120000 /* until there is room, and a moment's job */
#define OUTPUT_MAX (64 * 1024) /* bytes; it says nothing */

struct report {
	struct json json;
	bool has_json;
	size_t n_failed;
};

static void begin(struct report *r, const struct cli *cli)
{
	*r = (struct report){ .has_json = cli->has_json };
	if (!r->has_json)
		return;
	json_begin(&r->json, stdout);
	json_open(&r->json, "nodes", '[');
}

static void tell(struct report *r, const char *node, bool is_removed)
{
	r->n_failed += !is_removed;
	if (r->has_json) {
		json_open(&r->json, NULL, '{');
		json_text(&r->json, "node", node);
		json_bool(&r->json, "removed", is_removed);
		json_close(&r->json, '}');
		return;
	}
	term_print(stdout, node);
	puts(is_removed ? ": removed" : ": not removed");
	fflush(stdout); /* the next node may take its time */
}

static int end(struct report *r)
{
	if (r->has_json) {
		json_close(&r->json, ']');
		json_end(&r->json);
	}
	return r->n_failed ? CLI_SYSTEM : CLI_OK;
}

/* -- by a job on each node -- */

/* 'node' as nodes_find() has it; only its name is left. */
static int remove_from(char *node, const char *name, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	char *partition = strchr(node, ' ');
	const char *const argv[] = {
		"srun", "--quiet", "--nodes=1", "--ntasks=1",
		"--immediate=" NODES_IMMEDIATE, "--job-name=aq-workflow",
		"--nodelist", node, "--partition", partition + 1,
		"--aq-workflow", name, "--aq-workflow-remove", "true", NULL,
	};

	*partition = '\0';
	return program_run_aloud(argv, SRUN_MS, &out, err);
}

static int remove_by_jobs(const struct cli *cli, const char *name)
{
	cleanup_strv struct aq_strv nodes = AQ_STRV_INIT(NODES_MAX);
	struct aq_err err = { 0 };
	struct report report;
	int rc = nodes_leave_job(&err);

	if (!rc)
		rc = nodes_find(cli->nodes, &nodes, &err);
	if (rc)
		return cli_fail(&err);
	begin(&report, cli);
	for (size_t i = 0; i < nodes.n; i++) {
		rc = remove_from(nodes.v[i], name, &err);
		if (rc)
			(void)cli_fail(&err);
		tell(&report, nodes.v[i], !rc);
	}
	return end(&report);
}

/* -- in the node's cache -- */

static int forget(struct cli *cli, struct aq_workflow *w, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	uint64_t now = aq_workflow_now();
	int rc = aq_store_open(cli->conf, AQ_STORE_WRITE, &store, err);

	/* as if submitted now, whatever the clock said before */
	if (w->submitted < now)
		w->submitted = now;
	if (!rc)
		rc = aq_store_forget_workflow(store, w, err);
	return rc ? rc : aq_workflows_publish(cli->conf, store, w->uid,
					      AQ_WORKFLOWS_WAIT_MS, err);
}

static int remove_here(struct cli *cli, const char *name)
{
	struct aq_workflow w;
	struct aq_err err = { 0 };
	struct report report;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = workflow_find(cli, name, &w, &err);

	if (!rc)
		rc = forget(cli, &w, &err);
	if (!rc)
		rc = aq_refs_open(cli->conf, &refs, &err);
	if (!rc)
		rc = aq_collect_start_if_due(cli->conf, 0, refs, &err);
	if (rc)
		return cli_fail(&err);
	begin(&report, cli);
	tell(&report, cli->conf->node, true);
	return end(&report);
}

int workflow_remove(struct cli *cli)
{
	const char *name = cli->argv[1];

	if (!aq_workflow_is_name(name)) {
		struct aq_err err = { 0 };

		(void)aq_fail(&err, AQ_USER, "'%s' is no name of a workflow: letters, digits, '.', '_' and '-'",
			      name);
		return cli_fail(&err);
	}
	return cli->is_personal ? remove_by_jobs(cli, name) :
				  remove_here(cli, name);
}
