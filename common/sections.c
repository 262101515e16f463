/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sections.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/canonical.h"
#include "common/channel.h"
#include "common/matchspec.h"
#include "common/nearest.h"
#include "common/text.h"

static struct aq_place place(const struct aq_reading *r,
			     const struct aq_yaml *n)
{
	return (struct aq_place){ r->file, n->line, n->column };
}

static struct aq_place key_place(const struct aq_reading *r,
				 const struct aq_yaml *n)
{
	return (struct aq_place){ r->file, n->key_line, n->key_column };
}

/* Whether 'n' is a list; an absent one is no problem, another thing is. */
static bool is_list(struct aq_reading *r, const struct aq_yaml *n)
{
	if (n->kind == AQ_YAML_LIST)
		return true;
	if (!aq_yaml_is_null(n))
		aq_problem(&r->problems, place(r, n),
			   "'%s' needs a list: write each item behind a '-' "
			   "on a line of its own",
			   n->key);
	return false;
}

/* Whether 'n' is a scalar that says something. */
static bool is_item(struct aq_reading *r, const struct aq_yaml *n,
		    const char *what)
{
	if (n->kind == AQ_YAML_SCALAR && !aq_yaml_is_null(n) &&
	    n->text[strspn(n->text, " \t")])
		return true;
	if (n->kind == AQ_YAML_SCALAR)
		aq_problem(&r->problems, place(r, n),
			   "empty item: write %s or remove it", what);
	else
		aq_problem(&r->problems, place(r, n),
			   "a %s stands where %s belongs",
			   n->kind == AQ_YAML_LIST ? "list" : "map", what);
	return false;
}

/* -- channels -- */

static void add_channel(struct aq_reading *r, const char *name)
{
	if (!aq_strv_has(&r->req->channels, name))
		aq_strv_add(&r->req->channels, name);
}

static void read_channel(struct aq_reading *r, const struct aq_yaml *n)
{
	const struct aq_channel *channel;
	struct aq_err err;

	if (!is_item(r, n, "a channel's name") ||
	    strcmp(n->text, "nodefaults") == 0)
		return; /* nothing is added that a request does not name */
	if (aq_channel_find(r->conf, n->text, &channel, &err) == 0)
		add_channel(r, channel->name);
	else if (strcmp(n->text, "defaults") == 0)
		r->defaults = place(r, n); /* check_defaults() */
	else
		aq_problem_err(&r->problems, place(r, n), &err);
}

static void read_channels(struct aq_reading *r, const struct aq_yaml *n)
{
	if (!is_list(r, n))
		return;
	for (n = n->child; n; n = n->next)
		read_channel(r, n);
}

/* -- dependencies -- */

static int fail_python(const char *version, const char *example,
		       struct aq_err *err)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(err, AQ_USER,
		       "python version '%s' is not one: write for example '%s'",
		       aq_show(version, show), example);
}

/* "python3.9", "pypy3.9": of no Python. */
static int check_python(const char *version, struct aq_err *err)
{
	return isalpha((unsigned char)*version) ?
		       fail_python(version, "3.12", err) : 0;
}

void aq_sections_python(struct aq_reading *r, struct aq_place at,
			const char *version)
{
	char *both = NULL;
	struct aq_err err;
	int rc;

	if (r->is_python_bad)
		return;
	rc = check_python(version, &err);
	if (!rc)
		rc = aq_vspec_and(r->req->python ? r->req->python : "*",
				  version, &both, &err);
	if (rc) {
		aq_problem_err(&r->problems, at, &err);
		r->is_python_bad = true;
		return;
	}
	r->is_python_bad = aq_vspec_contradicts_itself(both);
	if (r->is_python_bad && r->req->python)
		aq_problem(&r->problems, at,
			   "python '%s' contradicts '%s' said before: keep one "
			   "of them",
			   version, r->req->python);
	else if (r->is_python_bad)
		aq_problem(&r->problems, at,
			   "python '%s' contradicts itself: no version is both",
			   version);
	free(r->req->python);
	r->req->python = both;
}

/* The channel of "channel::package", by the administrator's name. */
static int resolve_channel(struct aq_reading *r, struct aq_matchspec *spec,
			   struct aq_err *err)
{
	const struct aq_channel *channel;
	char *name;
	int rc;

	if (!spec->channel)
		return 0;
	rc = aq_channel_find(r->conf, spec->channel, &channel, err);
	if (rc)
		return rc;
	name = strdup(channel->name);
	if (!name)
		return aq_fail(err, AQ_SYS, "out of memory for a channel");
	free(spec->channel);
	spec->channel = name;
	return 0;
}

void aq_sections_spec(struct aq_reading *r, struct aq_place at,
		      const char *text)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	struct aq_err err;
	int rc = aq_matchspec_parse(text, &spec, &err);

	if (!rc)
		rc = resolve_channel(r, &spec, &err);
	if (!rc) {
		aq_matchspec_print(&spec, &out);
		rc = aq_text_done(&out, "a package spec", &err);
	}
	if (rc) {
		aq_problem_err(&r->problems, at, &err);
		return;
	}
	if (strcmp(spec.name, "python") == 0) {
		aq_sections_python(r, at, spec.version);
		if (!aq_matchspec_is_special(&spec))
			return;
	}
	aq_strv_add(&r->req->conda, aq_str_get(&out));
}

static void read_pip_list(struct aq_reading *r, const struct aq_yaml *n)
{
	if (aq_yaml_is_null(n) || n->kind != AQ_YAML_LIST) {
		aq_problem(&r->problems,
			   aq_yaml_is_null(n) ? key_place(r, n) : place(r, n),
			   "'%s' needs a list: write each requirement behind "
			   "a '-' on a line of its own",
			   n->key);
		return;
	}
	for (n = n->child; n; n = n->next)
		if (is_item(r, n, "a requirement"))
			aq_pip_item(&r->pip, place(r, n), n->text);
}

/* micromamba's selectors: a spec for some platforms.  Slurm's are Linux. */
static bool read_selector(struct aq_reading *r, const struct aq_yaml *n)
{
	static const struct {
		const char *key;
		bool ours;
	} selectors[] = { { "sel(linux)", true },
			  { "sel(unix)", true },
			  { "sel(osx)", false },
			  { "sel(win)", false } };

	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		if (strcmp(n->key, selectors[i].key) != 0)
			continue;
		if (is_item(r, n, "a package") && selectors[i].ours)
			aq_sections_spec(r, place(r, n), n->text);
		return true;
	}
	return false;
}

static void read_dependency_map(struct aq_reading *r, const struct aq_yaml *n)
{
	char show[AQ_SHOW_SIZE];

	if (!n->child)
		aq_problem(&r->problems, place(r, n),
			   "empty item: write a package or remove it");
	for (n = n->child; n; n = n->next) {
		if (strcmp(n->key, "pip") == 0)
			read_pip_list(r, n);
		else if (!read_selector(r, n))
			aq_problem(&r->problems, key_place(r, n),
				   "unknown key '%s' in dependencies: only "
				   "'pip:' has a list of its own, write "
				   "packages as items and 'name=version' "
				   "without ':'",
				   aq_show(n->key, show));
	}
}

static void read_dependencies(struct aq_reading *r, const struct aq_yaml *n)
{
	if (!is_list(r, n))
		return;
	for (n = n->child; n; n = n->next) {
		if (n->kind == AQ_YAML_MAP)
			read_dependency_map(r, n);
		else if (is_item(r, n, "a package"))
			aq_sections_spec(r, place(r, n), n->text);
	}
}

/* -- Aqueduct's keys -- */

static void read_requirements(struct aq_reading *r, const struct aq_yaml *n)
{
	if (!is_list(r, n))
		return;
	for (n = n->child; n; n = n->next)
		if (is_item(r, n, "a requirement"))
			aq_pip_item(&r->pip, place(r, n), n->text);
}

int aq_python_normalise(const char *text, char **ret, struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	cleanup_str struct aq_str whole = AQ_STR_INIT(AQ_SPEC_MAX + 16);
	int rc;

	text += strspn(text, " \t");
	if (*text == '^') /* poetry's */
		return fail_python(text, ">=3.9,<4", err);
	aq_str_add_fmt(&whole, "python%s%s",
		       strchr("=<>!~(", *text) ? " " : "=", text);
	rc = aq_text_done(&whole, "a version of Python", err);
	if (!rc)
		rc = aq_matchspec_parse(aq_str_get(&whole), &spec, err);
	if (rc)
		return rc;
	if (aq_matchspec_is_special(&spec))
		return fail_python(text, "3.12", err);
	rc = check_python(text, err);
	if (!rc)
		*ret = steal(&spec.version);
	return rc;
}

static void read_python_version(struct aq_reading *r, const struct aq_yaml *n)
{
	cleanup_free char *version = NULL;
	struct aq_err err;

	if (!is_item(r, n, "a version of Python"))
		return;
	if (aq_python_normalise(n->text, &version, &err))
		aq_problem_err(&r->problems, place(r, n), &err);
	else
		aq_sections_python(r, place(r, n), version);
}

/* -- variables -- */

static void read_variable(struct aq_reading *r, const struct aq_yaml *n)
{
	char show[AQ_SHOW_SIZE];

	if (!aq_is_variable_name(n->key, strlen(n->key)))
		aq_problem(&r->problems, key_place(r, n),
			   "variable '%s' cannot be set: letters, digits and "
			   "'_' make a name, SLURM*, SPANK* and AQ_* are "
			   "taken",
			   aq_show(n->key, show));
	else if (n->kind != AQ_YAML_SCALAR || aq_yaml_is_null(n))
		aq_problem(&r->problems, key_place(r, n),
			   "variable '%s' needs a value: write \"\" for an "
			   "empty one",
			   aq_show(n->key, show));
	else if (!aq_text_is_clean(n->text))
		aq_problem(&r->problems, place(r, n),
			   "variable '%s' has control characters in its "
			   "value: remove them",
			   aq_show(n->key, show));
	else
		aq_strv_add_fmt(&r->req->variables, "%s=%s", n->key, n->text);
}

static void read_variables(struct aq_reading *r, const struct aq_yaml *n)
{
	if (aq_yaml_is_null(n))
		return;
	if (n->kind != AQ_YAML_MAP) {
		aq_problem(&r->problems, place(r, n),
			   "'variables' needs 'NAME: value' lines");
		return;
	}
	for (n = n->child; n; n = n->next)
		read_variable(r, n);
}

/* -- the whole -- */

static void ignore(struct aq_reading *r, const struct aq_yaml *n)
{
	(void)r;
	(void)n;
}

static void warn(struct aq_reading *r, const struct aq_yaml *n)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "key '%s' is another tool's: it has no effect here", n->key);
	aq_place_note(r->warnings, key_place(r, n), text);
}

static void refuse_lock(struct aq_reading *r, const struct aq_yaml *n)
{
	aq_problem(&r->problems, key_place(r, n),
		   "key '%s' is of a lock file: give the environment file "
		   "that it was made from",
		   n->key);
}

static void refuse_devenv(struct aq_reading *r, const struct aq_yaml *n)
{
	aq_problem(&r->problems, key_place(r, n),
		   "key '%s' is conda-devenv's: write %s", n->key,
		   strcmp(n->key, "includes") == 0
			   ? "what that file has into this one"
			   : "'variables:'");
}

static void refuse_project(struct aq_reading *r, const struct aq_yaml *n)
{
	aq_problem(&r->problems, key_place(r, n),
		   "key '%s' is anaconda-project's: give an environment file "
		   "with 'dependencies:'",
		   n->key);
}

static void refuse_pip(struct aq_reading *r, const struct aq_yaml *n)
{
	aq_problem(&r->problems, key_place(r, n),
		   "'pip' belongs into 'dependencies', as '- pip:' with a "
		   "list; or write 'requirements:'");
}

/* Ours first: these are what a typo may have meant. */
#define N_OWN_KEYS 7
static const struct key {
	const char *name;
	void (*read)(struct aq_reading *r, const struct aq_yaml *n);
} keys[] = {
	{ "name", ignore },
	{ "prefix", ignore },
	{ "python_version", read_python_version },
	{ "requirements", read_requirements },
	{ "channels", read_channels },
	{ "dependencies", read_dependencies },
	{ "variables", read_variables },
	{ "platforms", warn },
	{ "platform", warn },
	{ "category", warn },
	{ "channel_priority", warn },
	{ "channel-priority", warn },
	{ "description", warn },
	{ "author", warn },
	{ "authors", warn },
	{ "maintainers", warn },
	{ "license", warn },
	{ "labels", warn },
	{ "user_fields", warn },
	{ "package", refuse_lock },
	{ "metadata", refuse_lock },
	{ "environment", refuse_devenv },
	{ "includes", refuse_devenv },
	{ "env_specs", refuse_project },
	{ "packages", refuse_project },
	{ "commands", refuse_project },
	{ "downloads", refuse_project },
	{ "services", refuse_project },
	{ "pip", refuse_pip },
};

static void refuse_key(struct aq_reading *r, const struct aq_yaml *n)
{
	const char *own[N_OWN_KEYS], *meant;
	char show[AQ_SHOW_SIZE];

	for (size_t i = 0; i < N_OWN_KEYS; i++)
		own[i] = keys[i].name;
	meant = aq_nearest(n->key, own, N_OWN_KEYS);
	if (meant)
		aq_problem(&r->problems, key_place(r, n),
			   "unknown key '%s', did you mean '%s'?",
			   aq_show(n->key, show), meant);
	else
		aq_problem(&r->problems, key_place(r, n),
			   "unknown key '%s': remove it, or write one of name, "
			   "channels, dependencies, python_version, "
			   "requirements, variables",
			   aq_show(n->key, show));
}

static const struct aq_yaml *find_key(const struct aq_yaml *root, const char *name)
{
	const struct aq_yaml *n = root->child;

	while (n && strcmp(n->key, name) != 0)
		n = n->next;
	return n;
}

/* conda-lock's, or pixi's. */
static bool is_lock(const struct aq_yaml *root)
{
	return find_key(root, "version") &&
	       (find_key(root, "package") || find_key(root, "packages"));
}

void aq_sections_read(struct aq_reading *r, const struct aq_yaml *root)
{
	if (root->kind != AQ_YAML_MAP) {
		aq_problem(&r->problems, place(r, root),
			   "not an environment file: a line 'dependencies:' "
			   "with packages below it is expected; a file of pip's "
			   "requirements has a name that ends with '.txt', a "
			   "Python file one that ends with '.py'");
		return;
	}
	if (is_lock(root)) {
		aq_problem(&r->problems, place(r, root),
			   "a lock file of another tool: give the environment "
			   "file that it was made from");
		return;
	}
	for (const struct aq_yaml *n = root->child; n; n = n->next) {
		size_t i = 0;

		while (i < ARRAY_LEN(keys) && strcmp(n->key, keys[i].name) != 0)
			i++;
		if (i < ARRAY_LEN(keys))
			keys[i].read(r, n);
		else
			refuse_key(r, n);
	}
}
