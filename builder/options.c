/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/build.h"

bool builder_options_read(int argc, char **argv, struct builder_options *ret)
{
	struct builder_options o = { 0 };
	const struct {
		const char *name;
		const char **value; /* or, of one that has none */
		bool *is_given;
	} table[] = {
		{ "config", &o.conf_path, NULL },
		{ "node", &o.node, NULL },
		{ "personal", NULL, &o.is_personal },
		{ "prefetch", &o.prefetch, NULL },
		{ "private", NULL, &o.is_private },
		{ "base", &o.as_base, NULL },
		{ "explain", NULL, &o.is_explain },
		{ "fetch", &o.fetch, NULL },
		{ "refresh", &o.refresh, NULL },
		{ "again", &o.again, NULL },
		{ "step", &o.step, NULL },
		{ "uid", &o.uid, NULL },
		{ "workflow", &o.workflow, NULL },
		{ "nodes", &o.nodes, NULL },
	};
	struct option known[ARRAY_LEN(table) + 1] = { 0 };
	int rc, at = 0;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		known[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].value ? required_argument :
						    no_argument,
		};
	while ((rc = getopt_long(argc, argv, "", known, &at)) == 0)
		if (table[at].value)
			*table[at].value = optarg;
		else
			*table[at].is_given = true;
	*ret = o;
	return rc == -1 && optind == argc;
}

void builder_options_apply(const struct builder_options *o, struct aq_step *step,
			   struct build *b)
{
	b->is_personal = o->is_personal;
	b->as_base = o->as_base;
	b->again = o->again;
	b->is_explain = o->is_explain;
	b->is_fetch = o->fetch;
	if (o->prefetch)
		b->prefetch = (uint32_t)strtoul(o->prefetch, NULL, 10);
	b->progress_fd = o->prefetch ? -1 : AQ_BUILDER_FD_PROGRESS;
	b->alive_fd = o->prefetch ? -1 : AQ_BUILDER_FD_ALIVE;
	if (o->uid)
		b->uid = (uint32_t)strtoul(o->uid, NULL, 10);
	if (o->nodes)
		b->nodes = (uint32_t)strtoul(o->nodes, NULL, 10);
	if (o->refresh) {
		b->is_refresh = true;
		b->job = (uint32_t)strtoul(o->refresh, NULL, 10);
	}
	if (o->step && sscanf(o->step, "%" SCNu32 ".%" SCNu32 ".%" SCNu32,
			      &step->job, &step->step, &step->het) == 3)
		b->step = step;
}
