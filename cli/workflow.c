/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/workflow.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/layout.h"
#include "common/notes.h"

#define LINE_FORMAT "%-20s %-12s %-26s %-12s %-6s %s\n"
#define KEY_DIGITS 12 /* of a key in the list; show has it whole */
#define NANOSECONDS 1000000000ull
#define USER_NAME_SIZE 64

static int usage(const char *what)
{
	fprintf(stderr, "aq: %s\nusage: aq workflow list | show NAME | remove NAME\n",
		what);
	return CLI_USAGE;
}

/* The account of that number, or the number. */
static const char *user_name(uint32_t uid, char buf[USER_NAME_SIZE])
{
	const struct passwd *who = getpwuid(uid);

	if (!who || !aq_copy_text(buf, USER_NAME_SIZE, who->pw_name))
		snprintf(buf, USER_NAME_SIZE, "%u", uid);
	return buf;
}

/* -- reading -- */

/* --user, or everybody. */
static int find_user(const struct cli *cli, uint64_t *ret, struct aq_err *err)
{
	const struct passwd *who;

	*ret = AQ_WORKFLOWS_ALL;
	if (!cli->user || aq_parse_u64(cli->user, UINT32_MAX, ret))
		return 0;
	who = getpwnam(cli->user);
	if (!who)
		return aq_fail(err, AQ_USER, "there is no account '%s'",
			       cli->user);
	*ret = who->pw_uid;
	return 0;
}

/* What jobs asked for since their node's last epilog is among it. */
static int each_of_node(struct cli *cli, uint64_t uid, const char *name,
			aq_workflow_fn *fn, void *arg, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = env_open_store(cli, &store, err);

	if (rc)
		return rc;
	aq_store_close(steal(&store));
	rc = aq_layout_prepare(cli->conf, err);
	if (!rc)
		rc = aq_refs_open(cli->conf, &refs, err);
	if (!rc)
		rc = aq_store_open(cli->conf, AQ_STORE_WRITE, &store, err);
	if (!rc)
		rc = aq_store_take_notes(cli->conf, store, refs, err);
	return rc ? rc : aq_store_each_workflow(store, uid, name, fn, arg, err);
}

static int each_of_ones_own(const struct cli *cli, uint64_t uid,
			    const char *name, aq_workflow_fn *fn, void *arg,
			    struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL; /* the node's */
	int rc = aq_conf_load(cli->conf_path, cli->node, &conf, err);

	if (!rc && uid != AQ_WORKFLOWS_ALL && uid != getuid())
		rc = aq_fail(err, AQ_USER, "only root sees workflows of other users");
	return rc ? rc : aq_workflows_read(conf, getuid(), name, fn, arg, err);
}

struct counted {
	aq_workflow_fn *fn;
	void *arg;
	uint64_t n;
};

static int count(const struct aq_workflow_state *w, void *arg,
		 struct aq_err *err)
{
	struct counted *c = arg;

	c->n++;
	return c->fn(w, c->arg, err);
}

static int each_of(struct cli *cli, uint64_t uid, const char *name,
		   aq_workflow_fn *fn, void *arg, struct aq_err *err)
{
	struct counted c = { fn, arg, 0 };
	int rc = cli->is_personal ?
			 each_of_ones_own(cli, uid, name, count, &c, err) :
			 each_of_node(cli, uid, name, count, &c, err);

	if (rc == AQ_MISS || (!rc && !c.n))
		rc = name ? aq_fail(err, AQ_MISS, "there is no workflow '%s' on this node",
				    name) :
			    aq_fail(err, AQ_MISS, "no workflows on this node");
	return rc;
}

static int workflow_each(struct cli *cli, const char *name, aq_workflow_fn *fn,
			 void *arg, struct aq_err *err)
{
	uint64_t uid;
	int rc = find_user(cli, &uid, err);

	return rc ? rc : each_of(cli, uid, name, fn, arg, err);
}

static int keep(const struct aq_workflow_state *w, void *arg,
		struct aq_err *err)
{
	struct aq_workflow *only = arg;

	if (only->name[0])
		return aq_fail(err, AQ_USER, "several users have a workflow '%s': say whose by --user",
			       w->name);
	only->uid = w->uid;
	only->submitted = w->submitted;
	return aq_copy_text(only->name, sizeof(only->name), w->name) ?
		0 : aq_fail(err, AQ_CORRUPT, "the row of a workflow is damaged");
}

int workflow_find(struct cli *cli, const char *name, struct aq_workflow *ret,
		  struct aq_err *err)
{
	*ret = (struct aq_workflow){ .uid = 0 };
	return workflow_each(cli, name, keep, ret, err);
}

/* -- printing -- */

static const char *state_of(const struct aq_workflow_state *w)
{
	return *w->env ? "ready" : "gone";
}

static void write_members(struct json *j, const struct aq_workflow_state *w)
{
	char user[USER_NAME_SIZE];

	json_text(j, "name", w->name);
	json_text(j, "user", user_name(w->uid, user));
	json_number(j, "uid", w->uid);
	json_text(j, "environment", *w->env ? w->env : NULL);
	json_text(j, "key", w->key);
	json_text(j, "digest", w->digest);
	json_number(j, "submitted", w->submitted / NANOSECONDS);
	json_text(j, "state", state_of(w));
}

/* -- list -- */

struct listing {
	const struct cli *cli;
	struct json json;
	bool has_begun;
	uint64_t now; /* Unix seconds */
};

/* Not before it is known that there is something to say. */
static void begin(struct listing *l)
{
	char head[128];

	if (l->has_begun)
		return;
	l->has_begun = true;
	if (l->cli->has_json) {
		json_begin(&l->json, stdout);
		json_open(&l->json, "workflows", '[');
		return;
	}
	snprintf(head, sizeof(head), LINE_FORMAT, "NAME", "USER", "ENVIRONMENT",
		 "KEY", "STATE", "SUBMITTED");
	term_print_in(stdout, TERM_BOLD, head);
}

static int list_one(const struct aq_workflow_state *w, void *arg,
		    struct aq_err *err)
{
	char key[KEY_DIGITS + 1], ago[UNITS_SIZE], user[USER_NAME_SIZE];
	char when[UNITS_SIZE + sizeof(", private")];
	struct listing *l = arg;

	(void)err;
	begin(l);
	if (l->cli->has_json) {
		json_open(&l->json, NULL, '{');
		write_members(&l->json, w);
		domains_write(&l->json, l->cli->conf);
		json_close(&l->json, '}');
		return 0;
	}
	snprintf(key, sizeof(key), "%.*s", KEY_DIGITS, w->key);
	units_ago(w->submitted / NANOSECONDS, l->now, ago);
	snprintf(when, sizeof(when), "%s%s", ago,
		 l->cli->conf->domain.kind == AQ_PRIVATE ? ", private" : "");
	printf(LINE_FORMAT, w->name, user_name(w->uid, user),
	       *w->env ? w->env : "-", key, state_of(w), when);
	return 0;
}

/* A user has a workflow of the same name in each domain. */
static int list_domain(struct cli *cli, void *arg, struct aq_err *err)
{
	int rc = workflow_each(cli, NULL, list_one, arg, err);

	return rc == AQ_MISS ? 0 : rc;
}

static int list(struct cli *cli)
{
	struct listing l = { .cli = cli, .now = (uint64_t)time(NULL) };
	struct aq_err err = { 0 };
	int rc;

	if (cli->argc != 1)
		return usage("'list' takes no name");
	rc = domains_each(cli, list_domain, &l, &err);
	if (rc)
		return cli_fail(&err);
	if (cli->has_json) {
		begin(&l);
		json_close(&l.json, ']');
		json_end(&l.json);
	} else if (!l.has_begun) {
		puts("no workflows on this node");
	}
	return CLI_OK;
}

/* -- show -- */

static void print_text(const struct aq_workflow_state *w)
{
	char ago[UNITS_SIZE], user[USER_NAME_SIZE];

	printf("%-12s%s\n", "workflow", w->name);
	printf("%-12s%s\n", "user", user_name(w->uid, user));
	printf("%-12s%s\n", "environment", *w->env ? w->env : "gone");
	printf("%-12s%s\n", "submitted",
	       units_ago(w->submitted / NANOSECONDS, (uint64_t)time(NULL),
			 ago));
	printf("%-12s%s\n", "key", w->key);
	printf("%-12s%s\n", "digest", w->digest);
	for (const char *p = w->canonical; *p; p = aq_next_line(p)) {
		cleanup_free char *line = strndup(p, strcspn(p, "\n"));

		printf("%-12s", p == w->canonical ? "request" : "");
		term_print(stdout, line ? line : "out of memory");
		putchar('\n');
	}
}

static int show_one(const struct aq_workflow_state *w, void *arg,
		    struct aq_err *err)
{
	const struct cli *cli = arg;
	struct json j;

	(void)err;
	if (!cli->has_json) {
		print_text(w);
		return 0;
	}
	json_begin(&j, stdout);
	write_members(&j, w);
	json_text(&j, "request", *w->canonical ? w->canonical : NULL);
	json_end(&j);
	return 0;
}

static int show(struct cli *cli)
{
	struct aq_workflow only;
	struct aq_err err = { 0 };
	int rc;

	if (cli->argc != 2)
		return usage("'show' needs a workflow's name");
	rc = workflow_find(cli, cli->argv[1], &only, &err);
	if (!rc)
		rc = each_of(cli, only.uid, only.name, show_one, cli, &err);
	return rc ? cli_fail(&err) : CLI_OK;
}

static int remove_named(struct cli *cli)
{
	if (cli->argc != 2)
		return usage("'remove' needs a workflow's name");
	return workflow_remove(cli);
}

int cli_workflow(struct cli *cli)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *cli);
	} verbs[] = {
		{ "list", list },
		{ "show", show },
		{ "remove", remove_named },
	};
	const bool is_remove = strcmp(cli->argv[0], "remove") == 0;

	if (cli->nodes && (!is_remove || !cli->is_personal))
		return usage("--nodes is for 'remove' by those who are not root");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(cli->argv[0], verbs[i].name) == 0)
			return verbs[i].run(cli);
	return usage("'workflow' takes list, show or remove");
}
