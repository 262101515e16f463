/* SPDX-License-Identifier: Apache-2.0 */
/* aq freeze: the request that matches the environment one works in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/active.h"
#include "cli/cli.h"
#include "cli/term.h"
#include "common/channel.h"
#include "common/domain.h"
#include "common/text.h"
#include "common/url.h"

/* More than a request may have: aq_request_read_text() says so. */
#define TEXT_MAX (4 * 1024 * 1024)
#define UNMATCHED_MAX INSTALLED_MAX

struct freeze {
	const struct cli *cli;
	struct active active;
	struct installed in;
	struct aq_str conda, pip, comments;
	struct aq_strv channels; /* of the map, that packages are of */
	struct aq_strv unmatched;
	size_t n_system;
};

/* -- what becomes of a package -- */

/* The administrator's channel of that URL, or of the name at its end: another site's
 * mirror of conda-forge is conda-forge here too.
 */
static const char *match_channel(const struct freeze *f, const char *url)
{
	const struct aq_channel *c = NULL;
	const char *slash = strrchr(url, '/');

	if (aq_channel_find(f->cli->conf, url, &c, NULL) == 0 ||
	    (slash && aq_channel_find(f->cli->conf, slash + 1, &c, NULL) == 0))
		return c->name;
	if (strstr(url, "repo.anaconda.com/pkgs/") &&
	    aq_channel_find(f->cli->conf, "defaults", &c, NULL) == 0)
		return c->name;
	return NULL;
}

/* Or what may be one, as this is only for people. */
static bool has_secrets(const char *url)
{
	return aq_url_has_secret(url) || strstr(url, "/t/");
}

static void add_unmatched(struct freeze *f, const struct installed_package *p,
			  const char *why)
{
	bool is_shown = *p->where && !has_secrets(p->where);
	char show[AQ_SHOW_PATH_SIZE];

	aq_strv_add_fmt(&f->unmatched, "%s %s %s%s%s", p->name, p->version, why,
			is_shown ? ": " : "",
			is_shown ? aq_show_path(p->where, show) : "");
}

/* As a plain scalar if YAML cannot misread it. */
static void add_item(struct aq_str *out, const char *indent, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
				    "qrstuvwxyz0123456789._-+!=: /";

	aq_str_add(out, indent);
	if (text[strspn(text, plain)] || strstr(text, ": ")) {
		aq_str_add_char(out, '"');
		for (; *text; text++) {
			if (strchr("\"\\", *text))
				aq_str_add_char(out, '\\');
			aq_str_add_char(out, *text);
		}
		aq_str_add_char(out, '"');
	} else {
		aq_str_add(out, text);
	}
	aq_str_add_char(out, '\n');
}

/* With several channels each package says its own: versions alone would not keep them
 * apart.
 */
static void add_conda(struct freeze *f, const struct installed_package *p)
{
	cleanup_str struct aq_str spec = AQ_STR_INIT(4096);
	const char *channel = match_channel(f, p->where);

	if (!channel) {
		add_unmatched(f, p, "is of a channel that this site does not have");
		return;
	}
	if (f->channels.n > 1)
		aq_str_add_fmt(&spec, "%s::", channel);
	aq_str_add_fmt(&spec, "%s ==%s", p->name, p->version);
	add_item(&f->conda, "  - ", aq_str_get(&spec));
}

static bool may_have(const struct freeze *f, enum aq_input input)
{
	return aq_policy_check(f->cli->conf->policy, input, "", NULL) == 0;
}

static void add_pip(struct freeze *f, const struct installed_package *p)
{
	cleanup_str struct aq_str item = AQ_STR_INIT(4096);

	aq_str_add_fmt(&item, "%s==%s", p->name, p->version);
	add_item(&f->pip, "      - ", aq_str_get(&item));
}

static void add_direct(struct freeze *f, const struct installed_package *p)
{
	cleanup_str struct aq_str item = AQ_STR_INIT(8192);

	aq_str_add_fmt(&item, "%s @ %s", p->name, p->where);
	add_item(&f->pip, "      - ", aq_str_get(&item));
}

/* What pip freeze leaves out too: it makes environments, and is in each. */
static bool is_tool(const struct freeze *f, const struct installed_package *p)
{
	static const char *const tools[] = { "pip", "setuptools", "wheel",
					     "distribute" };
	uint64_t minor = 0;
	bool is_old = !aq_starts_with(f->active.python, "3.") ||
		      !aq_parse_u64(f->active.python + 2, 1000, &minor) ||
		      minor < 12;

	for (size_t i = 0; i < (is_old ? ARRAY_LEN(tools) : 1); i++)
		if (strcmp(p->name, tools[i]) == 0)
			return true;
	return false;
}

static void add_system(struct freeze *f, const struct installed_package *p)
{
	f->n_system++;
	aq_str_add_fmt(&f->comments, "# of the operating system: %s==%s\n",
		       p->name, p->version);
}

static void add_package(struct freeze *f, const struct installed_package *p)
{
	if (p->from != INSTALLED_CONDA && is_tool(f, p))
		return;
	switch (p->from) {
	case INSTALLED_CONDA:
		add_conda(f, p);
		break;
	case INSTALLED_INDEX:
		add_pip(f, p);
		break;
	case INSTALLED_SYSTEM:
		add_system(f, p);
		break;
	case INSTALLED_GIT:
		if (may_have(f, AQ_INPUT_VCS))
			add_direct(f, p);
		else
			add_unmatched(f, p, "is of a repository, which this "
					    "site refuses (vcs=refuse)");
		break;
	case INSTALLED_EDITABLE:
		add_unmatched(f, p, "is an editable install of code that the "
				    "nodes may not have");
		break;
	case INSTALLED_URL:
		if (may_have(f, AQ_INPUT_LOCAL) &&
		    aq_starts_with(p->where, "file:///") &&
		    aq_ends_with(p->where, ".whl"))
			add_direct(f, p);
		else
			add_unmatched(f, p, "was installed from a file, not from "
					    "an index");
		break;
	}
}

/* -- the text -- */

/* In the map's order, whatever order they were installed in. */
static void find_channels(struct freeze *f)
{
	const struct aq_conf *conf = f->cli->conf;

	for (size_t c = 0; c < conf->n_channels; c++)
		for (size_t i = 0; i < f->in.n; i++) {
			const struct installed_package *p = &f->in.packages[i];
			const char *name = p->from != INSTALLED_CONDA ?
						   NULL :
						   match_channel(f, p->where);

			if (name && strcmp(name, conf->channels[c].name) == 0) {
				aq_strv_add(&f->channels, name);
				break;
			}
		}
}

/* Which Python, if no package of conda's says so: wheels are built for a minor
 * version, of which the site has the patch release that it has.
 */
static void add_python(struct freeze *f)
{
	const struct installed_package *p =
		installed_find(&f->in, true, "python");

	if (f->active.python[0] && !(p && match_channel(f, p->where)))
		aq_str_add_fmt(&f->conda, "  - python=%s\n", f->active.python);
}

static const char *what(const struct freeze *f)
{
	switch (f->active.kind) {
	case ACTIVE_CONDA:
		return "the conda environment";
	case ACTIVE_VENV:
		return "the virtual environment";
	case ACTIVE_OTHER:
		break;
	}
	return "the Python";
}

static int compose(struct freeze *f, struct aq_str *out, struct aq_err *err)
{
	char show[AQ_SHOW_PATH_SIZE];

	find_channels(f);
	add_python(f);
	for (size_t i = 0; i < f->in.n; i++)
		add_package(f, &f->in.packages[i]);
	aq_str_add_fmt(out, "# what %s in %s holds, by aq freeze\n", what(f),
		       aq_show_path(f->active.prefix, show));
	if (f->channels.n)
		aq_str_add(out, "channels:\n");
	for (size_t i = 0; i < f->channels.n; i++)
		add_item(out, "  - ", f->channels.v[i]);
	aq_str_add_fmt(out, "dependencies:%s\n%s", f->conda.len || f->pip.len ?
		       "" : " []", aq_str_get(&f->conda));
	if (f->pip.len)
		aq_str_add_fmt(out, "  - pip:\n%s", aq_str_get(&f->pip));
	for (size_t i = 0; i < f->unmatched.n; i++)
		aq_str_add_fmt(out, "# not matched: %s\n", f->unmatched.v[i]);
	aq_str_add(out, aq_str_get(&f->comments));
	if (f->conda.broken || f->pip.broken || f->comments.broken ||
	    f->unmatched.broken || f->channels.broken || f->in.problems.broken)
		return aq_fail(err, AQ_SYS, "out of memory for a request");
	return aq_str_done(out, "the request", err);
}

static void warn(const char *text)
{
	term_print_in(stderr, TERM_YELLOW, "warning: ");
	term_print(stderr, text);
	fputc('\n', stderr);
}

static void say_what_is_missing(const struct freeze *f)
{
	const char *path = getenv("PYTHONPATH");
	char text[160];

	for (size_t i = 0; i < f->in.problems.n; i++)
		warn(f->in.problems.v[i]);
	for (size_t i = 0; i < f->unmatched.n; i++) {
		cleanup_free char *line = NULL;

		if (asprintf(&line, "not matched: %s", f->unmatched.v[i]) >= 0)
			warn(line);
	}
	snprintf(text, sizeof(text),
		 "%zu packages of the operating system are in comments: write "
		 "those that your code needs below 'pip:'", f->n_system);
	if (f->n_system)
		warn(text);
	if (path && *path)
		warn("PYTHONPATH is set: what it leads to is not part of this");
}

/* It is a request, or it is not printed: what a file of that name would be. */
static int check(const struct freeze *f, const struct aq_str *text,
		 struct aq_err *err)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;

	return aq_request_read_text("req.yaml", aq_str_get(text), text->len,
				    f->cli->conf, &req, &warnings, err);
}

static int freeze(struct freeze *f, struct aq_str *out, struct aq_err *err)
{
	int rc = installed_begin(&f->in, err);

	if (!rc)
		rc = active_find(f->cli->argc ? f->cli->argv[0] : NULL,
				 &f->active, err);
	if (!rc)
		rc = active_read(&f->active, &f->in, err);
	if (!rc)
		rc = compose(f, out, err);
	if (rc)
		return rc;
	say_what_is_missing(f);
	return check(f, out, err);
}

int cli_freeze(struct cli *cli)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_MAX);
	struct freeze f = {
		.cli = cli,
		.conda = AQ_STR_INIT(TEXT_MAX),
		.pip = AQ_STR_INIT(TEXT_MAX),
		.comments = AQ_STR_INIT(TEXT_MAX),
		.channels = AQ_STRV_INIT(INSTALLED_MAX),
		.unmatched = AQ_STRV_INIT(UNMATCHED_MAX),
	};
	struct aq_err err = { 0 };
	int rc = freeze(&f, &text, &err);

	if (!rc)
		fputs(aq_str_get(&text), stdout);
	active_release(&f.active);
	installed_end(&f.in);
	aq_str_free(&f.conda);
	aq_str_free(&f.pip);
	aq_str_free(&f.comments);
	aq_strv_free(&f.channels);
	aq_strv_free(&f.unmatched);
	return rc ? cli_fail(&err) : CLI_OK;
}
