/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/build.h"

bool builder_options_read(int argc, char **argv, struct builder_options *ret)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "node", required_argument, NULL, 'n' },
		{ "personal", no_argument, NULL, 'p' },
		{ "prefetch", required_argument, NULL, 'd' },
		{ "private", no_argument, NULL, 'o' },
		{ "base", required_argument, NULL, 'b' },
		{ "explain", no_argument, NULL, 'e' },
		{ "fetch", required_argument, NULL, 'f' },
		{ "refresh", required_argument, NULL, 'r' },
		{ "again", required_argument, NULL, 'a' },
		{ "step", required_argument, NULL, 's' },
		{ "uid", required_argument, NULL, 'u' },
		{ "workflow", required_argument, NULL, 'w' },
		{ "nodes", required_argument, NULL, 'N' },
		{ 0 },
	};
	int c;

	*ret = (struct builder_options){ 0 };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->conf_path = optarg;
			break;
		case 'n':
			ret->node = optarg;
			break;
		case 'p':
			ret->is_personal = true;
			break;
		case 'b':
			ret->as_base = optarg;
			break;
		case 'e':
			ret->is_explain = true;
			break;
		case 'f':
			ret->fetch = optarg;
			break;
		case 'r':
			ret->refresh = optarg;
			break;
		case 'a':
			ret->again = optarg;
			break;
		case 's':
			ret->step = optarg;
			break;
		case 'u':
			ret->uid = optarg;
			break;
		case 'w':
			ret->workflow = optarg;
			break;
		case 'N':
			ret->nodes = optarg;
			break;
		case 'd':
			ret->prefetch = optarg;
			break;
		case 'o':
			ret->is_private = true;
			break;
		default:
			return false;
		}
	}
	return optind == argc;
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
