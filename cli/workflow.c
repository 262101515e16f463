/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/workflow.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/layout.h"
#include "common/notes.h"

#define LINE_FORMAT "%-20s %-12s %-26s %-12s %-6s %s\n"
#define KEY_DIGITS 12 /* of a key in the list; show has it whole */
#define NANOSECONDS 1000000000ull

static int usage(const char *what)
{
	fprintf(stderr, "aq: %s\nusage: aq workflow list | show NAME | remove NAME\n",
		what);
	return CLI_USAGE;
}

const char *workflow_user(uint32_t uid, char buf[WORKFLOW_USER_SIZE])
{
	const struct passwd *who = getpwuid(uid);

	if (!who || !aq_copy_text(buf, WORKFLOW_USER_SIZE, who->pw_name))
		snprintf(buf, WORKFLOW_USER_SIZE, "%u", uid);
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

int workflow_each(struct cli *cli, const char *name, aq_workflow_fn *fn,
		  void *arg, struct aq_err *err)
{
	struct counted c = { fn, arg, 0 };
	uint64_t uid;
	int rc = find_user(cli, &uid, err);

	if (!rc)
		rc = cli->is_personal ?
			     each_of_ones_own(cli, uid, name, count, &c, err) :
			     each_of_node(cli, uid, name, count, &c, err);
	if (rc == AQ_MISS || (!rc && !c.n))
		rc = name ? aq_fail(err, AQ_MISS, "there is no workflow '%s' on this node",
				    name) :
			    aq_fail(err, AQ_MISS, "no workflows on this node");
	return rc;
}

/* -- printing -- */

static const char *state_of(const struct aq_workflow_state *w)
{
	return *w->env ? "ready" : "gone";
}

static void write_members(struct json *j, const struct aq_workflow_state *w)
{
	char user[WORKFLOW_USER_SIZE];

	json_text(j, "name", w->name);
	json_text(j, "user", workflow_user(w->uid, user));
	json_number(j, "uid", w->uid);
	json_text(j, "environment", *w->env ? w->env : NULL);
	json_text(j, "key", w->key);
	json_text(j, "digest", w->digest);
	json_number(j, "submitted", w->submitted / NANOSECONDS);
	json_text(j, "state", state_of(w));
}

/* -- copying -- */

/* The databases are closed before anything is printed: who reads what we print
 * may take its time, and jobs wait for them.
 */
struct copy {
	struct aq_workflow_state w;
	char *texts[5];
};

static void copy_free(struct copy *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->texts); i++)
		free(c->texts[i]);
}

/* On failure too the caller frees *ret. */
static int copy(const struct aq_workflow_state *w, struct copy *ret,
		struct aq_err *err)
{
	const char *from[] = { w->name, w->key, w->digest, w->env,
			       w->canonical };

	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		ret->texts[i] = strdup(from[i]);
		if (!ret->texts[i])
			return aq_fail(err, AQ_SYS, "out of memory");
	}
	ret->w = (struct aq_workflow_state){
		.uid = w->uid, .submitted = w->submitted,
		.name = ret->texts[0], .key = ret->texts[1],
		.digest = ret->texts[2], .env = ret->texts[3],
		.canonical = ret->texts[4],
	};
	return 0;
}

/* -- list -- */

struct listing {
	struct copy *v;
	size_t n, size;
};

static int list_one(const struct aq_workflow_state *w, void *arg,
		    struct aq_err *err)
{
	struct aq_workflow_state brief = *w;
	struct listing *l = arg;

	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 64;
		struct copy *v = reallocarray(l->v, size, sizeof(*v));

		if (!v)
			return aq_fail(err, AQ_SYS, "out of memory");
		l->v = v;
		l->size = size;
	}
	brief.canonical = ""; /* long, and not listed */
	l->v[l->n] = (struct copy){ 0 };
	return copy(&brief, &l->v[l->n++], err);
}

static void print_json(const struct listing *l)
{
	struct json j;

	json_begin(&j, stdout);
	json_open(&j, "workflows", '[');
	for (size_t i = 0; i < l->n; i++) {
		json_open(&j, NULL, '{');
		write_members(&j, &l->v[i].w);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_end(&j);
}

static void print_table(const struct listing *l)
{
	char key[KEY_DIGITS + 1], ago[UNITS_SIZE], user[WORKFLOW_USER_SIZE];
	uint64_t now = (uint64_t)time(NULL);
	char head[128];

	snprintf(head, sizeof(head), LINE_FORMAT, "NAME", "USER", "ENVIRONMENT",
		 "KEY", "STATE", "SUBMITTED");
	term_print_in(stdout, TERM_BOLD, head);
	for (size_t i = 0; i < l->n; i++) {
		const struct aq_workflow_state *w = &l->v[i].w;

		snprintf(key, sizeof(key), "%.*s", KEY_DIGITS, w->key);
		printf(LINE_FORMAT, w->name, workflow_user(w->uid, user),
		       *w->env ? w->env : "-", key, state_of(w),
		       units_ago(w->submitted / NANOSECONDS, now, ago));
	}
}

static int list(struct cli *cli)
{
	struct listing l = { 0 };
	struct aq_err err = { 0 };
	int rc;

	if (cli->argc != 1)
		return usage("'list' takes no name");
	rc = workflow_each(cli, NULL, list_one, &l, &err);
	if (cli->has_json && (!rc || rc == AQ_MISS))
		print_json(&l);
	else if (!rc)
		print_table(&l);
	else if (rc == AQ_MISS)
		puts(err.text);
	for (size_t i = 0; i < l.n; i++)
		copy_free(&l.v[i]);
	free(l.v);
	return rc && rc != AQ_MISS ? cli_fail(&err) : CLI_OK;
}

/* -- show -- */

/* The only one of its name. */
static int keep(const struct aq_workflow_state *w, void *arg,
		struct aq_err *err)
{
	struct copy *only = arg;

	if (only->texts[0])
		return aq_fail(err, AQ_USER, "several users have a workflow '%s': say whose by --user",
			       w->name);
	return copy(w, only, err);
}

static void print_text(const struct aq_workflow_state *w)
{
	char ago[UNITS_SIZE], user[WORKFLOW_USER_SIZE];

	printf("%-12s%s\n", "workflow", w->name);
	printf("%-12s%s\n", "user", workflow_user(w->uid, user));
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

static int show(struct cli *cli)
{
	struct copy o = { 0 };
	struct aq_err err = { 0 };
	struct json j;
	int rc;

	if (cli->argc != 2)
		return usage("'show' needs a workflow's name");
	rc = workflow_each(cli, cli->argv[1], keep, &o, &err);
	if (!rc && cli->has_json) {
		json_begin(&j, stdout);
		write_members(&j, &o.w);
		json_text(&j, "request", *o.w.canonical ? o.w.canonical : NULL);
		json_end(&j);
	} else if (!rc) {
		print_text(&o.w);
	}
	copy_free(&o);
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
