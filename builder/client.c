/* SPDX-License-Identifier: Apache-2.0 */
/* Which conda client resolves and links: the administrator's choice. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/sources.h"

#define SPECS_MAX 4096

static const struct dialect *const dialects[] = {
	&dialect_rattler, &dialect_micromamba, &dialect_mamba,
	&dialect_conda,   &dialect_bundled,
};

static int choose(struct build *b, const struct dialect **ret,
		  char *program, size_t size, struct aq_err *err)
{
	const char *name;
	int rc;

	/* a word in aq.conf is no verdict: the next task may find it mended */
	b->verdict = BUILD_NOT_KEPT;
	rc = client_choose(b->conf->client, &name, program, size, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
		if (strcmp(name, dialects[i]->name) == 0)
			*ret = dialects[i];
	b->verdict = BUILD_FAULT;
	return 0;
}

/* The map may lack a channel that a request from another host names. */
static int check_sources(const struct build *b, struct aq_err *err)
{
	cleanup_strv struct aq_strv urls = AQ_STRV_INIT(SPECS_MAX);
	cleanup_strv struct aq_strv specs = AQ_STRV_INIT(SPECS_MAX);
	int rc = aq_sources_channels(b->req, b->conf, &urls, err);

	return rc ? rc : aq_sources_specs(b->req, b->conf, &specs, err);
}

int client_solve(struct build *b, struct aq_str *lines, struct aq_err *err)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	int rc = choose(b, &d, program, sizeof(program), err);

	if (!rc)
		rc = check_sources(b, err);
	if (rc)
		return rc;
	say(b, "resolving with %s", d->name);
	return d->solve(b, program, lines, err);
}

bool client_can_constrain(struct build *b)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];

	return choose(b, &d, program, sizeof(program), NULL) == 0 &&
	       d->can_constrain;
}

int client_link(struct build *b, struct aq_err *err)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	int rc = choose(b, &d, program, sizeof(program), err);

	if (rc)
		return rc;
	say(b, "installing %zu packages",
	    aq_lock_count(b->lock, AQ_LOCK_CONDA));
	return d->link(b, program, err);
}

/* check_sources() has said what may be wrong with these. */
void client_add_channels(const struct build *b, struct command *cmd)
{
	cleanup_strv struct aq_strv urls = AQ_STRV_INIT(SPECS_MAX);

	if (aq_sources_channels(b->req, b->conf, &urls, NULL) != 0)
		cmd->argv.broken = ENOMEM; /* run() says so */
	for (size_t i = 0; i < urls.n; i++) {
		aq_strv_add(&cmd->argv, "--channel");
		aq_strv_add(&cmd->argv, urls.v[i]);
	}
}

void client_add_specs(const struct build *b, struct command *cmd)
{
	cleanup_strv struct aq_strv specs = AQ_STRV_INIT(SPECS_MAX);

	if (aq_sources_specs(b->req, b->conf, &specs, NULL) != 0)
		cmd->argv.broken = ENOMEM;
	for (size_t i = 0; i < specs.n; i++)
		aq_strv_add(&cmd->argv, specs.v[i]);
}

void client_add_constraints(const struct build *b, struct command *cmd,
			    const char *option, bool has_build)
{
	const struct aq_lock *lock;

	if (b->kind != AQ_ENV_LINKED)
		return;
	lock = b->base_manifest->lock;
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind != AQ_LOCK_CONDA)
			continue;
		aq_strv_add(&cmd->argv, option);
		aq_strv_add_fmt(&cmd->argv, "%s ==%s%s%s", item->name,
				item->version, has_build ? " " : "",
				has_build ? item->build : "");
	}
}

bool client_says(const char *text, const char *const patterns[])
{
	for (; *patterns; patterns++)
		if (strcasestr(text, *patterns))
			return true;
	return false;
}
