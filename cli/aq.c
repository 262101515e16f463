/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/options.h"
#include "cli/term.h"

#define ARGUMENTS_MAX 1000000 /* more than execve(2) takes */

struct verb {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(struct cli *cli);
	int min, max; /* arguments */
	unsigned int options; /* OPTION_… */
	bool takes_command; /* its options end at the first argument */
	const char *help;
};

static const struct verb verbs[] = {
	{ "check", "FILE", "say what a request asks for, or what is wrong with it",
	  cli_check, 1, 1, OPTION_JSON, false,
	  "Read FILE ('-': standard input) as srun would, without building anything.\n" },
	{ "build", "FILE", "make the environment of a request, unless it is there",
	  cli_build, 1, 1,
	  OPTION_JSON | OPTION_ISOLATED | OPTION_REFRESH | OPTION_NODES, false,
	  "Build the environment that FILE asks for: as root in the node's cache, else in\n"
	  "your own; with --nodes as a job of yours in the caches of these nodes.\n" },
	{ "explain", "FILE", "say how a request's environment would come about",
	  cli_explain, 1, 1, OPTION_JSON | OPTION_ISOLATED, false,
	  "Resolve FILE without building: reused, inherited, linked or created, from which\n"
	  "base, what is missing from that, why not the cheaper way, and what it would cost.\n" },
	{ "fetch", "FILE", "get what nodes without network need to build a request",
	  cli_fetch, 1, 1,
	  OPTION_JSON | OPTION_INTO | OPTION_ISOLATED | OPTION_REFRESH, false,
	  "Resolve FILE and put its lock, packages and wheels into shared_dir, or a\n"
	  "directory that becomes one.\n" },
	{ "base", "add|list|remove|sync [PYTHON]",
	  "the environments that others inherit from", cli_base, 1, 2,
	  OPTION_JSON | OPTION_FILE, false,
	  "  add     build what --file FILE asks for, and make it the base of that Python\n"
	  "          (3.11)\n"
	  "  list    the bases, and how many inherit from each\n"
	  "  remove  let nothing inherit from it any more\n"
	  "  sync    add every base that aq.conf names\n" },
	{ "list", "", "the environments of the cache", cli_list, 0, 0,
	  OPTION_JSON | OPTION_SORT | OPTION_REVERSE | OPTION_SHARED |
	  OPTION_PRIVATE, false,
	  "Yours, or as root the node's, then what is private to its users.  --shared: the node's as its public index tells,\n"
	  "which has no uses and references.  A terminal shows what it has room for.\n" },
	{ "show", "KEY|NAME|FILE", "one environment: where, what is in it, since when",
	  cli_show, 1, 1,
	  OPTION_JSON | OPTION_LOCK | OPTION_ISOLATED | OPTION_PRIVATE, false,
	  "An environment is named by its key (64 digits), by its name or the beginning of\n"
	  "it, or by the FILE of a request that it serves.\n" },
	{ "pin", "NAME", "keep an environment, whatever is collected", cli_pin,
	  1, 1, OPTION_PRIVATE, false, "" },
	{ "unpin", "NAME", "let it be collected again", cli_unpin, 1, 1,
	  OPTION_PRIVATE, false, "" },
	{ "gc", "", "collect what nobody needs", cli_gc, 0, 0,
	  OPTION_JSON | OPTION_DRY_RUN | OPTION_RECONCILE | OPTION_MAX_FREED |
	  OPTION_WAIT, false,
	  "Environments that their workflow left or whose base was replaced go at once,\n"
	  "those that were not used for max_age too, and what was used least lately while\n"
	  "max_size or min_free of aq.conf ask for room; then entries of the package\n"
	  "caches that no environment shares.  Never what a job uses, what is pinned, or\n"
	  "a base.\n" },
	{ "doctor", "", "what is wrong with this installation, and what to do",
	  cli_doctor, 0, 0, OPTION_JSON, false,
	  "Slurm, the plugin, aq.conf, accounts, directories, clients, channels: what is\n"
	  "wrong, and the remedy.  As root it sees everything.  Exit: 3 if there are errors.\n" },
	{ "stats", "", "what the cache saves, and what it holds", cli_stats, 0,
	  0, OPTION_JSON | OPTION_PROMETHEUS | OPTION_OUTPUT | OPTION_PRIVATE,
	  false,
	  "Look-ups by how they came out, what builds took and reuse saved, sizes.\n" },
	{ "verify", "[NAME]", "compare what the cache holds with what it should",
	  cli_verify, 0, 1,
	  OPTION_JSON | OPTION_CONTENTS | OPTION_REPAIR | OPTION_PRIVATE, false,
	  "Rows against manifests against files: of all environments, or of the one whose\n"
	  "name begins so.  Exit: 0 all is well, or was repaired; 3 findings are left.\n" },
	{ "workflow", "list|show|remove [NAME]",
	  "what users run repeatedly (srun --aq-workflow)", cli_workflow, 1, 2,
	  OPTION_JSON | OPTION_USER | OPTION_NODES, false,
	  "  list    the workflows of this node: as root all users', else your own\n"
	  "  show    what NAME asks for now\n"
	  "  remove  forget NAME: as root on this node, else by a job on each node\n" },
	{ "freeze", "[PREFIX]", "write the request that matches an environment",
	  cli_freeze, 0, 1, 0, false,
	  "A req.yaml of what PREFIX holds, conda's, a virtual environment or another\n"
	  "Python's; without it, of the one that you work in.  Nothing of it is run.\n" },
	{ "run", "FILE -- COMMAND [ARGUMENT]...",
	  "run a command in a request's environment, without Slurm", cli_run, 2,
	  ARGUMENTS_MAX, OPTION_ISOLATED | OPTION_REFRESH, true,
	  "Exit: the command's own code; 125 if there is no environment for it, 126 if it\n"
	  "cannot be executed, 127 if it is not there.\n" },
};

static void help(FILE *out)
{
	fputs("usage: aq [OPTION]... VERB [ARGUMENT]...\n"
	      "Environments for the functions of Slurm jobs; see also "
	      "'srun --aq-requirements'.\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		char words[48];

		snprintf(words, sizeof(words), "%s %s", verbs[i].name,
			 verbs[i].takes_command ? "FILE -- COMMAND" :
						  verbs[i].arguments);
		fprintf(out, "  %-26s %s\n", words, verbs[i].summary);
	}
	fputc('\n', out);
	options_help(out, 0);
	fputs("  --version          the version\n\n"
	      "'aq VERB --help' says more; aq(1) says all.\n", out);
}

static void help_verb(FILE *out, const struct verb *verb)
{
	fprintf(out, "usage: aq %s [OPTION]...%s%s\n%c%s.\n%s\n", verb->name,
		*verb->arguments ? " " : "", verb->arguments,
		toupper(verb->summary[0]), verb->summary + 1, verb->help);
	options_help(out, verb->options);
}

static int usage(const struct verb *verb)
{
	if (verb)
		fprintf(stderr, "usage: aq %s [OPTION]...%s%s\n", verb->name,
			*verb->arguments ? " " : "", verb->arguments);
	else
		fputs("usage: aq [OPTION]... VERB [ARGUMENT]...; 'aq --help' "
		      "lists the verbs\n", stderr);
	return CLI_USAGE;
}

/* Read options up to the first argument, or all of them ('permute').  Returns
 * -1 to go on, or an exit code.
 */
static int read_options(struct cli *cli, const struct verb *verb, int argc,
			char **argv, bool permute)
{
	switch (options_read(cli, argc, argv, permute)) {
	case OPTIONS_HELP:
		if (verb)
			help_verb(stdout, verb);
		else
			help(stdout);
		return CLI_OK;
	case OPTIONS_VERSION:
		puts("aq (slurm-aq) " PACKAGE_VERSION);
		return CLI_OK;
	case OPTIONS_WRONG:
		return usage(verb);
	case OPTIONS_READ:
		break;
	}
	if (verb && !options_check(cli, verb->name, verb->options))
		return usage(verb);
	return -1;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int load_conf(struct cli *cli)
{
	struct aq_err err = { 0 };
	int rc;

	cli->is_personal = geteuid() != 0 && !cli->is_shared;
	if (cli->is_personal)
		rc = aq_conf_load_personal(cli->conf_path, &cli->conf, &err);
	else
		rc = aq_conf_load(cli->conf_path, cli->node, &cli->conf, &err);
	if (rc) {
		(void)cli_fail(&err);
		/* the administrator's file is no request */
		return CLI_SYSTEM;
	}
	if (cli->private_user && (rc = domains_enter(cli, &err)))
		return cli_fail(&err);
	for (size_t i = 0; i < cli->conf->warnings.n; i++) {
		term_print_in(stderr, TERM_YELLOW, "warning: ");
		term_print(stderr, cli->conf->warnings.v[i]);
		fputc('\n', stderr);
	}
	return CLI_OK;
}

static int run_verb(struct cli *cli, const struct verb *verb, int argc,
		    char **argv)
{
	int code;

	optind = 0; /* getopt(3): start again, on another vector */
	code = read_options(cli, verb, argc, argv, !verb->takes_command);
	if (code >= 0)
		return code;
	cli->argc = argc - optind;
	cli->argv = argv + optind;
	/* run FILE -- COMMAND: what stands between is only a mark */
	if (verb->takes_command && cli->argc > 1 &&
	    strcmp(cli->argv[1], "--") == 0) {
		cli->argv[1] = cli->argv[0];
		cli->argv++;
		cli->argc--;
	}
	if (cli->argc < verb->min || cli->argc > verb->max)
		return usage(verb);
	/* what is wrong with aq.conf is what doctor is there to say */
	code = verb->run == cli_doctor ? CLI_OK : load_conf(cli);
	if (code)
		return verb->takes_command ? CLI_NO_ENVIRONMENT : code;
	code = verb->run(cli);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("aq: cannot write to standard output\n", stderr);
		return code ? code : CLI_SYSTEM;
	}
	return code;
}

int main(int argc, char **argv)
{
	struct cli cli = { .conf_path = getenv("AQ_CONF"),
			   .max_freed = UINT64_MAX };
	const struct verb *verb;
	int code;

	/* there is one thread: no lock is taken for each word of a long list */
	__fsetlocking(stdout, FSETLOCKING_BYCALLER);
	if (cli.conf_path && !*cli.conf_path)
		cli.conf_path = NULL;
	code = read_options(&cli, NULL, argc, argv, false);
	if (code >= 0)
		return code;
	if (optind == argc)
		return usage(NULL);
	verb = find_verb(argv[optind]);
	if (!verb) {
		fputs("aq: there is no verb '", stderr);
		term_print(stderr, argv[optind]);
		fputs("'\n", stderr);
		return usage(NULL);
	}
	code = run_verb(&cli, verb, argc - optind, argv + optind);
	aq_conf_free(cli.conf);
	return code;
}
