/* SPDX-License-Identifier: Apache-2.0 */
/* Which conda client resolves and links: the administrator's choice. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/sources.h"

#define SPECS_MAX 4096

/* In the order in which `client = auto` looks for them. */
static const struct dialect *const dialects[] = {
	&dialect_rattler, &dialect_micromamba, &dialect_mamba,
	&dialect_conda,   &dialect_bundled,
};

bool client_find(const char *name, char *ret, size_t size)
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin",
					    "/bin", "/opt/conda/bin" };

	if (name[0] == '/')
		return access(name, X_OK) == 0 && aq_copy_text(ret, size, name);
	snprintf(ret, size, "%s/%s", AQ_PKGLIBEXECDIR, name);
	if (access(ret, X_OK) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(ret, size, "%s/%s", dirs[i], name);
		if (access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

static int choose(struct build *b, const struct dialect **ret,
		  char *program, size_t size, struct aq_err *err)
{
	const char *client = b->conf->client;
	const char *slash = strrchr(client, '/');
	const char *name = slash ? slash + 1 : client;
	bool is_auto = strcmp(client, "auto") == 0;

	/* a word in aq.conf is no verdict: the next task may find it mended */
	b->verdict = BUILD_ENDED;
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		const struct dialect *d = dialects[i];

		if (!is_auto && strcmp(name, d->name) != 0)
			continue;
		if (client_find(is_auto ? d->name : client, program, size)) {
			*ret = d;
			b->verdict = BUILD_FAULT;
			return 0;
		}
		if (!is_auto)
			return aq_fail(err, AQ_SYS, "the conda client '%s' is not there: see 'client' in aq.conf",
				       client);
	}
	if (is_auto)
		return aq_fail(err, AQ_SYS, "no conda client is installed on this node: see 'client' in aq.conf");
	return aq_fail(err, AQ_SYS,
		       "'%s' is no conda client that is known: 'client' in aq.conf takes rattler, micromamba, mamba, conda, aq-rattler, or a path that ends in one",
		       client);
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
