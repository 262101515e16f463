/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <getopt.h>
#include <string.h>

static bool set_config(struct cli *cli, const char *value)
{
	cli->conf_path = value;
	return true;
}

static bool set_node(struct cli *cli, const char *value)
{
	cli->node = value;
	return true;
}

static bool set_file(struct cli *cli, const char *value)
{
	cli->file = value;
	return true;
}

static bool set_isolated(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_isolated = true;
	return true;
}

static bool set_refresh(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_refresh = true;
	return true;
}

static bool set_dry_run(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_dry_run = true;
	return true;
}

static bool set_max_freed(struct cli *cli, const char *value)
{
	return aq_parse_size(value, UINT64_MAX / 2, &cli->max_freed);
}

static bool set_reconcile(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_reconcile = true;
	return true;
}

static bool set_wait(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_waiting = true;
	return true;
}

static bool set_user(struct cli *cli, const char *value)
{
	cli->user = value;
	return true;
}

static bool set_private(struct cli *cli, const char *value)
{
	cli->private_user = value;
	return true;
}

static bool set_into(struct cli *cli, const char *value)
{
	cli->into = value;
	return *value != '\0';
}

static bool set_nodes(struct cli *cli, const char *value)
{
	cli->nodes = value;
	return true;
}

static bool set_json(struct cli *cli, const char *value)
{
	(void)value;
	cli->has_json = true;
	return true;
}

static bool set_lock(struct cli *cli, const char *value)
{
	(void)value;
	cli->has_lock = true;
	return true;
}

static bool set_sort(struct cli *cli, const char *value)
{
	static const char *const names[] = {
		[AQ_STORE_BY_NAME] = "name",  [AQ_STORE_BY_SIZE] = "size",
		[AQ_STORE_BY_OWN] = "own",    [AQ_STORE_BY_USES] = "uses",
		[AQ_STORE_BY_USED] = "used",  [AQ_STORE_BY_CREATED] = "created",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(value, names[i]) == 0) {
			cli->order = (enum aq_store_order)i;
			return true;
		}
	return false;
}

static bool set_reverse(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_reverse = true;
	return true;
}

static bool set_shared(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_shared = true;
	return true;
}

static bool set_prometheus(struct cli *cli, const char *value)
{
	(void)value;
	cli->has_prometheus = true;
	return true;
}

static bool set_output(struct cli *cli, const char *value)
{
	cli->output = value;
	return *value != '\0';
}

static bool set_contents(struct cli *cli, const char *value)
{
	(void)value;
	cli->has_contents = true;
	return true;
}

static bool set_repair(struct cli *cli, const char *value)
{
	(void)value;
	cli->is_repair = true;
	return true;
}

static const struct spec {
	unsigned int option; /* 0: of every verb */
	const char *name;
	bool (*set)(struct cli *cli, const char *value);
	const char *value; /* what it looks like; NULL: takes none */
	const char *help;  /* lines after the first begin below it */
} table[] = {
	{ OPTION_FILE, "file", set_file, "FILE", "the request" },
	{ OPTION_ISOLATED, "isolated", set_isolated, NULL,
	  "as with srun --aq-isolated: inherit from no base" },
	{ OPTION_REFRESH, "refresh", set_refresh, NULL,
	  "as with srun --aq-refresh: resolve afresh" },
	{ OPTION_DRY_RUN, "dry-run", set_dry_run, NULL,
	  "only say what would be done" },
	{ OPTION_MAX_FREED, "max-freed", set_max_freed, "SIZE",
	  "free no more environments than that (500M, 20G)" },
	{ OPTION_RECONCILE, "reconcile", set_reconcile, NULL,
	  "first forget jobs that squeue does not list any more" },
	{ OPTION_CONTENTS, "contents", set_contents, NULL,
	  "also what is in files: against what packages and locks say" },
	{ OPTION_REPAIR, "repair", set_repair, NULL,
	  "make what is damaged anew, unless it is used" },
	{ OPTION_WAIT, "wait", set_wait, NULL,
	  "wait for one that collects already, instead of leaving it to that" },
	{ OPTION_USER, "user", set_user, "USER", "whose, as a name or number" },
	{ OPTION_PRIVATE, "private", set_private, "USER",
	  "what is private to USER, a name or number" },
	{ OPTION_NODES, "nodes", set_nodes, "LIST",
	  "on these nodes (n[1-3],n7) of Slurm, by a job on each" },
	{ OPTION_INTO, "into", set_into, "DIRECTORY",
	  "put it there, instead of into aq.conf's shared_dir" },
	{ OPTION_JSON, "json", set_json, NULL, "for programs" },
	{ OPTION_LOCK, "lock", set_lock, NULL,
	  "its packages as conda clients take them: a lock file" },
	{ OPTION_SORT, "sort", set_sort, "WORD",
	  "by name, size, own, uses, used or created" },
	{ OPTION_REVERSE, "reverse", set_reverse, NULL,
	  "the other way round" },
	{ OPTION_SHARED, "shared", set_shared, NULL,
	  "the node's cache, as its public index tells" },
	{ OPTION_PROMETHEUS, "prometheus", set_prometheus, NULL,
	  "for Prometheus: node_exporter's textfile collector" },
	{ OPTION_OUTPUT, "output", set_output, "FILE",
	  "write that to FILE, which is replaced at once" },
	{ 0, "config", set_config, "FILE",
	  "read FILE instead of " AQ_CONF_PATH " ($AQ_CONF)" },
	{ 0, "node", set_node, "NAME",
	  "as on this node: what %n stands for in aq.conf" },
	{ 0, "help", NULL, NULL, "this" },
};

/* getopt's values: of the table's entries, and one that it does not list. */
enum { FIRST = 256, VERSION = FIRST + (int)ARRAY_LEN(table), END };

static void fill(struct option ret[END - FIRST + 1])
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		ret[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].value ? required_argument :
						    no_argument,
			.val = FIRST + (int)i,
		};
	ret[VERSION - FIRST] = (struct option){ "version", no_argument, NULL,
						VERSION };
	ret[END - FIRST] = (struct option){ 0 };
}

static enum options_outcome take(struct cli *cli, const struct spec *o,
				 const char *value)
{
	if (!o->set)
		return OPTIONS_HELP;
	cli->given |= o->option;
	if (o->set(cli, value))
		return OPTIONS_READ;
	fprintf(stderr, "aq: --%s takes a %s: %s\n", o->name, o->value, o->help);
	return OPTIONS_WRONG;
}

enum options_outcome options_read(struct cli *cli, int argc, char **argv,
				  bool permute)
{
	struct option options[END - FIRST + 1];
	enum options_outcome outcome = OPTIONS_READ;
	int c;

	fill(options);
	while (outcome == OPTIONS_READ &&
	       (c = getopt_long(argc, argv, permute ? "h" : "+h", options,
				NULL)) != -1) {
		if (c == 'h')
			outcome = OPTIONS_HELP;
		else if (c == VERSION)
			outcome = OPTIONS_VERSION;
		else if (c < FIRST)
			outcome = OPTIONS_WRONG;
		else
			outcome = take(cli, &table[c - FIRST], optarg);
	}
	return outcome;
}

bool options_check(const struct cli *cli, const char *verb,
		   unsigned int options)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (cli->given & ~options & table[i].option) {
			fprintf(stderr, "aq: '%s' has no --%s\n", verb,
				table[i].name);
			return false;
		}
	if (cli->has_json + cli->has_lock + cli->has_prometheus > 1) {
		fputs("aq: --json, --lock and --prometheus are forms of "
		      "output: give one of them\n", stderr);
		return false;
	}
	return true;
}

void options_help(FILE *out, unsigned int options)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct spec *o = &table[i];
		char words[48];

		if (o->option && !(options & o->option))
			continue;
		snprintf(words, sizeof(words), "--%s%s%s", o->name,
			 o->value ? " " : "", o->value ? o->value : "");
		fprintf(out, "  %-18s %s\n", words, o->help);
	}
}
