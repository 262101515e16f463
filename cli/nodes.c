/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nodes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/program.h"

#define VARIABLES_MAX 10000 /* of the environment */
#define COMMAND_MS 60000    /* a busy slurmctld answers late */
#define OUTPUT_MAX (16 * 1024 * 1024) /* bytes; a line a node and partition */

/* Slurm sets none of these in a job. */
static bool is_callers_own(const char *variable)
{
	static const char *const own[] = { "SLURM_CONF=", "SLURM_ACCOUNT=",
					   "SLURM_QOS=", "SLURM_RESERVATION=" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (aq_starts_with(variable, own[i]))
			return true;
	return false;
}

int nodes_leave_job(struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(VARIABLES_MAX);

	for (char **p = environ; *p; p++)
		if (aq_starts_with(*p, "SLURM_") && !is_callers_own(*p))
			aq_strv_add_mem(&names, *p, strcspn(*p, "="));
	for (size_t i = 0; i < names.n; i++)
		unsetenv(names.v[i]);
	return aq_strv_done(&names, "the environment", err);
}

/* "NODE PARTITION up": the first partition that takes jobs counts. */
static void add_node(const char *line, size_t len, struct aq_strv *nodes)
{
	cleanup_free char *copy = strndup(line, len);
	char *partition = copy ? strchr(copy, ' ') : NULL;

	if (!partition || !aq_ends_with(copy, " up"))
		return;
	len = (size_t)(partition - copy) + 1;
	for (size_t i = nodes->n; i--;)
		if (strncmp(nodes->v[i], copy, len) == 0)
			return;
	aq_strv_add_mem(nodes, copy, strlen(copy) - strlen(" up"));
}

static bool has_node(const struct aq_strv *nodes, const char *name, size_t len)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (strncmp(nodes->v[i], name, len) == 0 &&
		    nodes->v[i][len] == ' ')
			return true;
	return false;
}

/* sinfo is silent about what it does not know. */
static int check_all(const char *list, const struct aq_strv *nodes,
		     struct aq_err *err)
{
	const char *const argv[] = { "scontrol", "show", "hostnames", list, NULL };
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	int rc = program_run_aloud(argv, COMMAND_MS, &out, err);

	for (const char *p = aq_str_get(&out); !rc && *p; p = aq_next_line(p)) {
		size_t len = strcspn(p, "\n");

		if (!has_node(nodes, p, len))
			rc = aq_fail(err, AQ_MISS,
				     "Slurm has no node '%.*s' in a partition that takes jobs",
				     (int)len, p);
	}
	return rc;
}

int nodes_find(const char *list, struct aq_strv *ret, struct aq_err *err)
{
	cleanup_str struct aq_str chosen = AQ_STR_INIT(64 * 1024);
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	const char *argv[] = { "sinfo", "--noheader", "--Node",
			       "--format=%N %R %a", "--responding", NULL };
	int rc;

	if (list) { /* what is named and does not respond is to be told */
		aq_str_add_fmt(&chosen, "--nodes=%s", list);
		argv[4] = aq_str_get(&chosen);
	}
	rc = aq_str_done(&chosen, "the list of nodes", err);
	if (!rc)
		rc = program_run_aloud(argv, COMMAND_MS, &out, err);
	for (const char *p = aq_str_get(&out); !rc && *p; p = aq_next_line(p))
		add_node(p, strcspn(p, "\n"), ret);
	if (!rc)
		rc = aq_strv_done(ret, "the list of nodes", err);
	if (!rc && list)
		rc = check_all(list, ret, err);
	if (!rc && !ret->n)
		rc = aq_fail(err, AQ_SYS, "sinfo lists no node that takes jobs");
	return rc;
}
