/* SPDX-License-Identifier: Apache-2.0 */
/* Which conda client resolves and links: the administrator's choice. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/packages.h"
#include "builder/shared.h"
#include "builder/shared_talk.h"
#include "common/io.h"
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

int client_tell(struct build *b, struct aq_str *lines, struct aq_err *err)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	int rc = choose(b, &d, program, sizeof(program), err);

	return rc ? rc : d->tell(b, program, lines, err);
}

static const struct dialect *chosen(struct build *b)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];

	return choose(b, &d, program, sizeof(program), NULL) == 0 ? d : NULL;
}

bool client_can_constrain(struct build *b)
{
	const struct dialect *d = chosen(b);

	return d && d->can_constrain;
}

bool client_runs_scripts(struct build *b)
{
	const struct dialect *d = chosen(b);

	return d && d->runs_scripts && (b->is_personal || d->needs_shells);
}

/* The bundled client's program in place of the path of d's. */
static bool find_bundled(const struct dialect *d, char *program, size_t size)
{
	return d == &dialect_bundled ||
	       client_find(dialect_bundled.name, program, size);
}

/* What d is to link comes from other nodes, or is fetched for them too: by the client, if
 * it can where all builds have their packages, else by the bundled one.
 */
static int share_packages(struct build *b, const struct dialect *d,
			  const char *client, struct aq_err *err)
{
	char program[BUILD_PATH_MAX];
	struct aq_err why = { 0 };
	int rc = 0;

	if (!shared_is_used(b) || b->sharing.is_off)
		return 0;
	snprintf(program, sizeof(program), "%s", client);
	if (d->download && !b->links_alone)
		return shared_archives(b, d, program, err);
	if (!find_bundled(d, program, sizeof(program)))
		rc = aq_fail(&why, AQ_SYS, "aq-rattler is not there, which fetches packages for others");
	else if (d != &dialect_bundled)
		rc = bundled_can_run(b, program, &why);
	if (!rc)
		return shared_archives(b, &dialect_bundled, program, err);
	if (b->is_fetch || b->verdict == BUILD_ENDED)
		return aq_fail(err, AQ_SYS, "%s", why.text);
	say(b, "shared_dir: %s", why.text);
	return 0;
}

/* In a work area of its own. */
static int link_in_view(struct build *b, const struct dialect *d,
			const char *program, struct aq_err *err)
{
	struct aq_err why = { 0 };
	int end, rc = cage_begin_alone(b, err);

	if (!rc && d->fetch) /* with credentials, which what links has none of */
		rc = d->fetch(b, program, err);
	if (!rc)
		rc = d->link(b, program, err);
	/* conda takes all of a prefix away whose script failed */
	if (rc && scripts_judge_unpacked(b, &why) == AQ_USER)
		rc = aq_fail(err, AQ_USER, "%s", why.text);
	end = cage_end_alone(b, rc ? &why : err);
	return rc ? rc : end;
}

/* What it fetches it links at once, and nobody can look at that before: where it can
 * harm none but its own build.
 */
static int link_alone(struct build *b, const struct dialect *d,
		      const char *program, struct aq_err *err)
{
	int rc;

	b->links_alone = true;
	rc = share_packages(b, d, program, err);
	if (!rc)
		rc = link_in_view(b, d, program, err);
	b->links_alone = false;
	return rc;
}

/* It failed: was it for what is in the cache? */
static int look_again(struct build *b, int rc, struct aq_err *err)
{
	enum build_verdict verdict = b->verdict;
	struct aq_err why = { 0 };
	int found;

	if (verdict != BUILD_FAULT)
		return rc;
	found = packages_check(b, true, &why);
	if (found != AQ_USER && b->verdict != BUILD_NOT_KEPT) {
		b->verdict = verdict;
		return rc;
	}
	return aq_fail(err, (enum aq_class)found, "%s", why.text);
}

/* In the package cache that all builds have: what is linked from there was looked at
 * before, or by the client itself, and then once more.
 */
static int link_shared(struct build *b, const struct dialect *d,
		       const char *program, struct aq_err *err)
{
	struct aq_err why = { 0 };
	bool is_in_the_way;
	int rc = packages_prepare(b, &is_in_the_way, err);

	if (!rc && is_in_the_way)
		return link_alone(b, d, program, err);
	if (!rc)
		rc = share_packages(b, d, program, err);
	if (!rc && d->fetch)
		rc = d->fetch(b, program, err);
	if (!rc && d->fetch)
		rc = packages_check(b, false, err);
	if (rc == AQ_MISS) { /* it has a place of its own for packages */
		say(b, "the package cache is not used: %s", err->text);
		return link_alone(b, d, program, err);
	}
	if (rc)
		return rc;
	rc = d->link(b, program, err);
	if (rc)
		return look_again(b, rc, err);
	rc = d->fetch ? 0 : packages_check(b, false, &why);
	return rc ? aq_fail(err, rc == AQ_MISS ? AQ_SYS : (enum aq_class)rc, "%s",
			    why.text) : 0;
}

/* A file in the cache is not what its package's index says: somebody changed it, or the
 * index was wrong all the time, as those of old packages are, which no client minds.
 * Fetched anew where nobody else writes it is what its archive has, whose SHA-256 the
 * lock has; and nobody else links it.
 */
static int link_anew(struct build *b, const struct dialect *d,
		     const char *program, const struct aq_err *why,
		     struct aq_err *err)
{
	say(b, "%.*s: all packages are fetched anew, for this environment alone",
	    (int)strcspn(why->text, ";"), why->text);
	b->verdict = BUILD_FAULT;
	return link_alone(b, d, program, err);
}

int client_link(struct build *b, struct aq_err *err)
{
	struct aq_err why = { 0 };
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	bool is_shared;
	int rc = choose(b, &d, program, sizeof(program), err);

	if (rc)
		return rc;
	say(b, "installing %zu packages",
	    aq_lock_count(b->lock, AQ_LOCK_CONDA));
	b->archives[0] = '\0';
	b->must_be_private = b->is_cache_bad = false;
	is_shared = b->is_personal || b->is_private || !client_is_alone(d->name);
	rc = is_shared ? link_shared(b, d, program, &why) :
			 link_alone(b, d, program, &why);
	if (rc == AQ_SYS && b->is_cache_bad)
		rc = link_anew(b, d, program, &why, err);
	else if (rc)
		rc = aq_fail(err, (enum aq_class)rc, "%s", why.text);
	shared_archives_end(b);
	if (rc && b->verdict == BUILD_ENDED) /* half of what it would be */
		return rc;
	/* whatever became of linking: a client that cannot run a script fails */
	return scripts_judge(b, &why) == AQ_USER ?
		aq_fail(err, AQ_USER, "%s", why.text) : rc;
}

int client_fetch(struct build *b, struct aq_err *err)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	int rc = choose(b, &d, program, sizeof(program), err);

	if (!rc)
		rc = share_packages(b, d, program, err);
	return rc ? rc : client_share_wheels(b, false, err);
}

int client_share_wheels(struct build *b, bool is_kept, struct aq_err *err)
{
	const struct dialect *d = NULL;
	char program[BUILD_PATH_MAX];
	int rc = choose(b, &d, program, sizeof(program), err);

	if (!rc && !find_bundled(d, program, sizeof(program)))
		return b->is_fetch ? aq_fail(err, AQ_SYS, "aq-rattler is not there, which fetches wheels for others") : 0;
	return rc ? rc : shared_wheels(b, program, is_kept, err);
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
