/* SPDX-License-Identifier: Apache-2.0 */
/* aq from inside.
 *
 *   aq.c       the table of verbs, help
 *   options.c  the table of options
 *   base.c build.c check.c doctor.c explain.c fetch.c freeze.c gc.c list.c pin.c
 *   run.c show.c stats.c verify.c workflow.c   a verb each; doctor.h has the parts of that
 *              one, prometheus.c is a form of stats, workflow_remove.c a part
 *              of workflow
 *   active.c   the environment that one works in, for freeze
 *   installed.c   what it holds
 *   obtain.c   an environment for a request: found, or built while we wait
 *   term.c     what a terminal gets that a pipe does not
 *   json.c     output for programs
 *   nodes.c    the nodes that a verb has jobs on; build_nodes.c is that of build
 *   domains.c  what is private to users
 *   env.c      environments of the cache
 *   program.c  other programs, asked for what they print
 *   standing.c who holds an environment, and what inherits from it
 *   say.c      warnings and failures
 *   units.c    sizes and times for people
 *
 * Output goes to standard output, what is said besides to standard error.
 */
#ifndef AQ_CLI_H
#define AQ_CLI_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/request.h"
#include "common/store.h"

/* Exit codes; `aq run` ends with its command's, or one of env(1)'s. */
enum cli_exit {
	CLI_OK = 0,
	CLI_INPUT = 1,     /* the request is wrong, or cannot be met */
	CLI_USAGE = 2,     /* the command line is */
	CLI_SYSTEM = 3,    /* the cache or the system failed */
	CLI_NOT_FOUND = 4, /* nothing by that name */
	CLI_NO_ENVIRONMENT = 125, /* run: the command was not started */
	CLI_CANNOT_EXECUTE = 126, /* run: the command is no program */
	CLI_NO_COMMAND = 127,     /* run: there is no such command */
};

/* Version of what --json prints, in each object's "schema": it grows when a
 * field changes its meaning or goes, not when one is added.
 */
#define CLI_JSON_SCHEMA 1

/* What one call of aq was asked. */
struct cli {
	const char *conf_path; /* --config, else $AQ_CONF, else NULL */
	const char *node;      /* --node, or NULL */
	unsigned int given;    /* OPTION_… (cli/options.h) */
	bool is_personal;      /* without root: one's own cache */
	bool has_json;         /* --json */
	bool has_lock;         /* --lock */
	bool has_prometheus;   /* --prometheus */
	const char *output;    /* --output, or NULL: standard output */
	bool is_explain;       /* nothing is built */
	bool is_refresh;       /* --refresh: resolve afresh */
	bool is_isolated;      /* --isolated: inherit from no base */
	bool is_dry_run;       /* --dry-run: say what would be done */
	bool is_reconcile;     /* --reconcile: ask Slurm which jobs exist */
	bool has_contents;     /* --contents: files too */
	bool is_repair;        /* --repair: what can be */
	bool is_waiting;       /* --wait: for another collector */
	const char *user;      /* --user, or NULL */
	const char *private_user; /* --private, or NULL */
	const char *nodes;     /* --nodes, or NULL */
	uint64_t max_freed;    /* --max-freed, bytes; UINT64_MAX: any */
	enum aq_store_order order; /* --sort */
	bool is_reverse;       /* --reverse */
	bool is_shared;        /* --shared: the node's cache, by its index */
	const char *into;      /* --into, or NULL */
	const char *fetch;     /* absolute: nothing is built, packages go there; or NULL */
	const char *file;      /* --file, or NULL */
	const char *again;     /* what is obtained is this one, made anew, or NULL */
	const char *as_base;   /* what is obtained becomes this base, or NULL */
	int argc;              /* the verb's arguments */
	char **argv;
	struct aq_conf *conf;
};

/* The verbs: each returns an exit code, having said what went wrong. */
int cli_base(struct cli *cli);
int cli_check(struct cli *cli);
int cli_build(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_fetch(struct cli *cli);
int cli_freeze(struct cli *cli);
int cli_gc(struct cli *cli);
int cli_list(struct cli *cli);
int cli_pin(struct cli *cli);
int cli_unpin(struct cli *cli);
int cli_show(struct cli *cli);
int cli_stats(struct cli *cli);
int cli_run(struct cli *cli);
int cli_verify(struct cli *cli);
int cli_workflow(struct cli *cli);

/* Say what 'err' holds on standard error, as "aq: TEXT"; lines that begin with
 * a place in a file as they are, so that editors find it.  Returns the exit
 * code that its class stands for.
 */
int cli_fail(const struct aq_err *err);

/* Read the request 'path', saying its warnings.  Returns 0 or an exit code,
 * having said why.
 */
AQ_CHECK int cli_read_request(const struct cli *cli, const char *path,
			      struct aq_request **ret, struct aq_strv *warnings);

/* Warnings of one request that are kept. */
#define CLI_WARNINGS_MAX 256

#endif
