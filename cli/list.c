/* SPDX-License-Identifier: Apache-2.0 */
/* aq list: a table of columns, from which a terminal gets those that fit. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/index.h"
#include "common/private.h"

struct listing {
	const struct cli *cli; /* its conf is of the domain that is listed */
	struct json json;
	bool has_begun;
	uid_t head_of; /* the domain whose head was printed last; 0: the node's */
	size_t width; /* of the terminal; 0: it is none */
	uint64_t now;     /* Unix seconds */
	uint64_t written; /* --shared: the index was, then */
};

enum what {
	NAME, KIND, PYTHON, PACKAGES, OWN, SHARED, USES, REFERENCES, USED, BUILT,
	MARKS,
};

#define BUFFER_SIZE ((size_t)64 * 1024) /* of what no terminal reads: tens of MB */
#define WIDE 100 /* columns of a terminal that has room for all */

static const struct column {
	enum what what;
	const char *head;
	int width;   /* negative: to the left */
	size_t from; /* shown from this width of a terminal on */
	bool is_in_index;
} columns[] = {
	{ NAME, "NAME", -22, 0, true },
	{ KIND, "KIND", -9, 0, true },
	{ PYTHON, "PYTHON", -7, 0, true },
	{ PACKAGES, "PACKAGES", 8, WIDE, true },
	{ OWN, "OWN", 6, 0, true },
	{ SHARED, "SHARED", 6, WIDE, true },
	{ USES, "USES", 5, 0, false },
	{ REFERENCES, "REFS", 4, 0, false },
	{ USED, "LAST USED", -12, 0, false },
	{ BUILT, "BUILT", -12, 0, true },
	{ MARKS, "", -1, 0, true }, /* what room is left */
};

static const char *number(uint64_t n, char buf[UNITS_SIZE])
{
	snprintf(buf, UNITS_SIZE, "%llu", (unsigned long long)n);
	return buf;
}

static const char *cell(const struct listing *l, const struct aq_listed *e,
			enum what what, char buf[UNITS_SIZE])
{
	const struct aq_env *env = e->env;

	switch (what) {
	case NAME:
		return env->name;
	case KIND:
		return aq_env_kind_name(env->kind);
	case PYTHON:
		return env->python[0] ? env->python : "none";
	case PACKAGES:
		return number(env->packages, buf);
	case OWN:
		return units_bytes(env->size_own, buf);
	case SHARED:
		return units_bytes(env->size_shared, buf);
	case USES:
		return number(env->uses, buf);
	case REFERENCES:
		return number(e->references, buf);
	case USED:
		return units_ago(env->last_used, l->now, buf);
	case BUILT:
		return units_ago(env->created, l->now, buf);
	case MARKS:
		return env_marks(e, buf);
	}
	return "";
}

/* When it was built matters less than when it was used, where that is known. */
static bool is_shown(const struct listing *l, const struct column *c)
{
	if (l->cli->is_shared)
		return c->is_in_index;
	return c->what != BUILT && (!l->width || l->width >= c->from);
}

static void print_head(const struct listing *l)
{
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		char text[64];

		if (!is_shown(l, &columns[i]))
			continue;
		snprintf(text, sizeof(text), "%s%*s", i ? " " : "",
			 columns[i].width, columns[i].head);
		term_print_in(stdout, TERM_BOLD, text);
	}
	putchar('\n');
}

/* As printf's %*s, which takes half of the time that a long list takes. */
static void put_cell(const char *text, int width)
{
	static const char blanks[] = "                                ";
	size_t wanted = (size_t)(width < 0 ? -width : width);
	size_t len = strlen(text), pad = wanted > len ? wanted - len : 0;

	if (width > 0)
		fwrite(blanks, 1, pad, stdout);
	fwrite(text, 1, len, stdout);
	if (width < 0)
		fwrite(blanks, 1, pad, stdout);
}

static void print_line(const struct listing *l, const struct aq_listed *e)
{
	char buf[UNITS_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		if (!is_shown(l, &columns[i]))
			continue;
		if (i)
			putchar(' ');
		put_cell(cell(l, e, columns[i].what, buf), columns[i].width);
	}
	putchar('\n');
}

/* What the index knows of one. */
static void write_public(struct json *j, const struct aq_listed *e)
{
	const struct aq_env *env = e->env;

	json_text(j, "name", env->name);
	json_text(j, "kind", aq_env_kind_name(env->kind));
	json_text(j, "base", env->base[0] ? env->base : NULL);
	json_text(j, "python", env->python[0] ? env->python : NULL);
	json_number(j, "created", env->created);
	json_number(j, "size_own", env->size_own);
	json_number(j, "size_shared", env->size_shared);
	json_bool(j, "pinned", env->pinned);
	json_number(j, "package_count", env->packages);
	json_bool(j, "current_base", e->is_base);
	json_bool(j, "obsolete", e->is_obsolete);
}

/* Not before it is known that there is something to say. */
static void begin(struct listing *l)
{
	if (l->has_begun)
		return;
	l->has_begun = true;
	if (!l->cli->has_json) {
		if (l->cli->conf->domain.kind == AQ_SHARED)
			print_head(l);
		return;
	}
	json_begin(&l->json, stdout);
	json_text(&l->json, "cache_dir", l->cli->conf->cache_dir);
	if (l->cli->is_shared)
		json_number(&l->json, "written", l->written);
	json_open(&l->json, "environments", '[');
}

/* A table of its own for each. */
static void begin_domain(struct listing *l)
{
	const struct aq_domain *domain = &l->cli->conf->domain;
	char owner[DOMAINS_OWNER_SIZE], text[DOMAINS_OWNER_SIZE + 16];

	if (l->cli->has_json || domain->kind == AQ_SHARED ||
	    l->head_of == domain->uid)
		return;
	snprintf(text, sizeof(text), "private to %s:\n",
		 domains_owner(l->cli->conf, owner));
	term_print_in(stdout, TERM_BOLD, text);
	print_head(l);
	l->head_of = domain->uid;
}

static int each(const struct aq_listed *e, void *arg, struct aq_err *err)
{
	struct listing *l = arg;

	(void)err;
	begin(l);
	begin_domain(l);
	if (l->cli->has_json) {
		json_open(&l->json, NULL, '{');
		domains_write(&l->json, l->cli->conf);
		if (l->cli->is_shared) {
			write_public(&l->json, e);
		} else {
			env_write_json(&l->json, e->env);
			env_write_standing(&l->json, e);
		}
		json_close(&l->json, '}');
	} else {
		print_line(l, e);
	}
	return 0;
}

/* The index of a private domain that its user may read. */
static int list_own_index(struct cli *cli, void *arg, struct aq_err *err)
{
	struct listing *l = arg;
	struct aq_conf *node = cli->conf;
	int rc = aq_private_enter(&cli->conf, getuid(), err);

	if (rc)
		return rc;
	rc = aq_index_read(cli->conf, cli->order, cli->is_reverse, &l->written,
			   each, l, err);
	cli->conf->site = NULL;
	aq_conf_free(cli->conf);
	cli->conf = node;
	return rc;
}

static int list(struct cli *cli, void *arg, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	struct listing *l = arg;
	int rc;

	if (cli->is_shared)
		return aq_index_read(cli->conf, cli->order, cli->is_reverse,
				     &l->written, each, l, err);
	rc = env_open_store(cli, &store, err);
	if (!rc)
		rc = aq_refs_open_to_look(cli->conf, &refs, err);
	if (!rc)
		rc = aq_store_list(store, refs, cli->order, cli->is_reverse,
				   each, l, err);
	return rc == AQ_MISS ? 0 : rc; /* no cache yet is an empty one */
}

static void print_none(const struct cli *cli)
{
	if (cli->is_shared)
		printf("the node has no public index yet, or nothing is in it: root's 'aq list' reads '%s'\n",
		       cli->conf->cache_dir);
	else if (cli->is_personal)
		printf("no environments in '%s' yet: 'aq build FILE' makes one; 'aq list --shared' has the node's\n",
		       cli->conf->cache_dir);
	else
		printf("no environments in '%s' yet: 'aq build FILE' makes one\n",
		       cli->conf->cache_dir);
}

int cli_list(struct cli *cli)
{
	struct listing l = { .cli = cli, .width = term_columns(stdout),
			     .now = (uint64_t)time(NULL) };
	struct aq_err err = { 0 };
	int rc;

	if (!l.width)
		setvbuf(stdout, NULL, _IOFBF, BUFFER_SIZE);
	rc = cli->is_shared ? list(cli, &l, &err) :
				  domains_each(cli, list, &l, &err);

	if ((!rc || rc == AQ_MISS) && cli->is_shared &&
	    aq_private_is_public(cli->conf, getuid()))
		rc = list_own_index(cli, &l, &err);
	if (rc && rc != AQ_MISS)
		return cli_fail(&err);
	if (cli->has_json) {
		begin(&l);
		json_close(&l.json, ']');
		json_end(&l.json);
	} else if (!l.has_begun) {
		print_none(cli);
	}
	return CLI_OK;
}
