/* SPDX-License-Identifier: Apache-2.0 */
/* pip requirements: resolved by uv, else by the environment's own pip, to exact
 * wheels with their hashes; installed without dependencies, since the lock has
 * them.  No source is built.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/inherit.h"
#include "builder/pip.h"
#include "builder/prefix.h"
#include "builder/shared.h"
#include "common/io.h"

const char *const pip_refusals[] = {
	"no solution found", "no matching distribution", "resolutionimpossible",
	"conflicting dependencies", "not found in the package registry",
	"no usable wheels", "building source distributions is disabled", NULL
};

void pip_add_sources(const struct build *b, struct command *cmd,
		     const char *index_option)
{
	if (*b->conf->pip_index) {
		aq_strv_add(&cmd->argv, index_option);
		aq_strv_add(&cmd->argv, b->conf->pip_index);
	} else {
		aq_strv_add(&cmd->argv, "--no-index");
	}
	for (size_t i = 0; i < b->conf->find_links.n; i++) {
		aq_strv_add(&cmd->argv, "--find-links");
		aq_strv_add(&cmd->argv, b->conf->find_links.v[i]);
	}
}

void pip_add_lines(struct aq_str *out, const struct aq_strv *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		aq_str_add_fmt(out, "%s\n", lines->v[i]);
}

static bool is_in_conda(const struct aq_lock *lock, const char *name,
			const char *version)
{
	const struct aq_lock_item *item =
		aq_lock_find(lock, AQ_LOCK_CONDA, name);

	return item && strcmp(item->version, version) == 0;
}

void pip_add_missing(const struct aq_lock *lock, const char *all,
		     struct aq_str *lines)
{
	for (; *all; all = aq_next_line(all)) {
		char name[256], version[128];

		if (sscanf(all, "wheel %*s %*s %255s %127s", name, version) == 2 &&
		    is_in_conda(lock, name, version))
			continue;
		aq_str_add_mem(lines, all, strcspn(all, "\n"));
		aq_str_add_char(lines, '\n');
	}
}

/* -- the environment's own pip, which is package code: PHASE_PIP -- */

static void start_pip(const struct build *b, struct command *cmd)
{
	secrets_for(&cmd->secrets, SECRETS_OF_WHEELS, client_takes("pip"));
	aq_strv_add_fmt(&cmd->argv, "%s/bin/python", b->prefix);
	aq_strv_add(&cmd->argv, "-m");
	aq_strv_add(&cmd->argv, "pip");
	aq_strv_add(&cmd->argv, "install");
	aq_strv_add(&cmd->argv, "--isolated");
	aq_strv_add(&cmd->argv, "--no-input");
	aq_strv_add(&cmd->argv, "--disable-pip-version-check");
	aq_strv_add(&cmd->argv, "--only-binary=:all:");
	if (b->is_personal)
		aq_strv_add_fmt(&cmd->argv, "--cache-dir=%s/wheels/pip",
				b->inside);
	else
		aq_strv_add(&cmd->argv, "--no-cache-dir");
	aq_strv_add(&cmd->env, "PIP_CONFIG_FILE=/dev/null");
}

/* pip resolves only from inside: the conda part is linked to a place that is
 * thrown away, and pip says what it would install there.
 */
static int pip_resolve(struct build *b, void *arg, struct aq_err *err)
{
	struct aq_str *lines = arg;
	static const char query[] =
		"SELECT 'wheel ' || json_extract(value, '$.download_info.url')"
		" || ' ' || json_extract(value,"
		"   '$.download_info.archive_info.hashes.sha256')"
		" || ' ' || replace(replace(lower("
		"   json_extract(value, '$.metadata.name')), '_', '-'), '.', '-')"
		" || ' ' || json_extract(value, '$.metadata.version')"
		" FROM json_each(?1, '$.install')";
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_PIP);
	cleanup_str struct aq_str json = AQ_STR_INIT(16 * 1024 * 1024);
	cleanup_str struct aq_str in = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str constraints = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	char requirements[BUILD_PATH_MAX], file[BUILD_PATH_MAX];
	int rc = 0;

	pip_add_lines(&in, &b->req->pip);
	pip_add_lines(&constraints, &b->req->constraints);
	if (b->kind == AQ_ENV_INHERITED)
		rc = stubs_read(b, &known, &constraints, err);
	if (rc)
		return rc;
	rc = cage_pass_file(b, "requirements", "txt", aq_str_get(&in), in.len,
			     requirements, err);
	if (!rc)
		rc = cage_pass_file(b, "constraints", "txt",
				     aq_str_get(&constraints), constraints.len,
				     file, err);
	if (rc)
		return rc;
	start_pip(b, &cmd);
	pip_add_sources(b, &cmd, "--index-url");
	aq_strv_add(&cmd.argv, "--dry-run");
	aq_strv_add(&cmd.argv, "--quiet");
	aq_strv_add(&cmd.argv, "--report=-");
	aq_strv_add_fmt(&cmd.argv, "--requirement=%s", requirements);
	aq_strv_add_fmt(&cmd.argv, "--constraint=%s", file);
	cmd.output = &json;
	rc = run(b, &cmd, err);
	if (rc)
		return rc;
	if (cmd.exit_code != 0)
		return run_failed(b, &cmd, "the pip requirements cannot be resolved",
				  run_says(aq_str_get(&cmd.errors), pip_refusals) ?
					  BUILD_REFUSED : BUILD_FAULT, err);
	return records_from_json(b, &json, query, lines, err);
}

/* Those of the lock's wheels that are here as files, or the others; each of the former
 * gets a link that has the wheel's own name, by which pip knows what it is.
 */
static int list_wheels(const struct build *b, bool is_here, struct aq_str *text,
		       struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < b->lock->n_items; i++) {
		const struct aq_lock_item *w = &b->lock->items[i];
		char path[PYLOCK_PATH_SIZE], name[PYLOCK_NAME_SIZE];

		if (w->kind != AQ_LOCK_WHEEL ||
		    shared_find_wheel(w, path, name, b) != is_here)
			continue;
		if (is_here)
			rc = cage_pass_link(b, name, path, err);
		aq_str_add_fmt(text, "%s==%s --hash=sha256:%s\n", w->name,
			       w->version, w->sha256);
	}
	return rc;
}

static int install_wheels(struct build *b, bool is_here, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_PIP);
	cleanup_str struct aq_str text = AQ_STR_INIT(PIP_TEXT_MAX);
	char file[BUILD_PATH_MAX];
	int rc = list_wheels(b, is_here, &text, err);

	if (rc || !text.len)
		return rc;
	rc = cage_pass_file(b, "wheels", "txt", aq_str_get(&text), text.len, file,
			     err);
	if (rc)
		return rc;
	start_pip(b, &cmd);
	if (is_here) {
		secrets_for(&cmd.secrets, SECRETS_OF_NOTHING, SECRETS_NONE);
		aq_strv_add(&cmd.argv, "--no-index");
		aq_strv_add(&cmd.argv, "--find-links");
		aq_strv_add_fmt(&cmd.argv, "%s/%s", b->inside, b->pass);
	} else {
		pip_add_sources(b, &cmd, "--index-url");
	}
	aq_strv_add(&cmd.argv, "--no-deps");
	aq_strv_add(&cmd.argv, "--no-compile");
	aq_strv_add(&cmd.argv, "--require-hashes");
	aq_strv_add_fmt(&cmd.argv, "--requirement=%s", file);
	rc = cage_run_pip(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the pip requirements cannot be installed",
			  BUILD_FAULT, err);
}

/* What nodes share asks no index, which may be out of reach. */
static int pip_install_inside(struct build *b, struct aq_err *err)
{
	int rc = client_share_wheels(b, false, err);

	if (!rc)
		rc = install_wheels(b, true, err);
	return rc ? rc : install_wheels(b, false, err);
}

/* -- checking -- */

static int drop_if_half(const char *name, void *arg, struct aq_err *err)
{
	const int *site = arg;
	char path[NAME_MAX + sizeof("/METADATA")];

	snprintf(path, sizeof(path), "%s/METADATA", name);
	if (aq_ends_with(name, ".dist-info") &&
	    faccessat(*site, path, F_OK, 0) != 0 && errno == ENOENT)
		return aq_remove_tree(*site, name, err);
	return 0;
}

/* What a client left of a conda package that it replaced by a wheel: a
 * dist-info with nothing but what conda's clients add (INSTALLER), which makes
 * the package appear twice.
 */
static int drop_remains(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct build *b = arg;
	cleanup_close int site = -1;
	char path[BUILD_PATH_MAX + 64], python[AQ_BASE_PYTHON_SIZE];
	int rc;

	(void)out;
	aq_base_name_of(b->lock->python, python);
	snprintf(path, sizeof(path), "%s/lib/python%s/site-packages",
		 b->prefix, python);
	rc = aq_open_dir(AT_FDCWD, path, &site, err);
	return rc ? rc : aq_each_entry(site, path, drop_if_half, &site, err);
}

/* Whether 'line' names package 'name' (lower case, dashes), however spelt. */
static bool names_package(const char *line, const char *name)
{
	size_t len = strlen(name);
	char before = ' ';

	for (; *line; before = *line++) {
		size_t i = 0;

		while (i < len && line[i] &&
		       (tolower((unsigned char)line[i]) == name[i] ||
			(name[i] == '-' && strchr("_.", line[i]))))
			i++;
		if (i == len && !isalnum((unsigned char)before) &&
		    before != '-' && !isalnum((unsigned char)line[len]) &&
		    line[len] != '-')
			return true;
	}
	return false;
}

/* A line that is about one of our wheels; conda's own packages need not fit by
 * pip's measure.
 */
static bool is_about_wheels(const struct aq_lock *lock, const char *line)
{
	for (size_t i = 0; i < lock->n_items; i++)
		if (lock->items[i].kind != AQ_LOCK_CONDA &&
		    names_package(line, lock->items[i].name))
			return true;
	return false;
}

static int judge_check(struct build *b, const char *said, struct aq_err *err)
{
	cleanup_free char *copy = strdup(said);
	char *save = NULL;

	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strstr(line, "requires ") &&
		    !strstr(line, "requirement ") &&
		    !strstr(line, "multiple installed"))
			continue;
		if (is_about_wheels(b->lock, line)) {
			b->verdict = BUILD_REFUSED;
			return aq_fail(err, AQ_USER, "the packages do not fit together: %.1000s",
				       line);
		}
	}
	return 0;
}

int pip_check(struct build *b, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_PROBE);
	char uv[BUILD_PATH_MAX];
	int rc;

	if (uv_find(b, uv, sizeof(uv))) {
		aq_strv_add(&cmd.argv, uv);
		aq_strv_add(&cmd.argv, "pip");
		aq_strv_add(&cmd.argv, "check");
		aq_strv_add(&cmd.argv, "--no-config");
		aq_strv_add(&cmd.argv, "--no-cache");
		aq_strv_add(&cmd.argv, "--no-python-downloads");
		aq_strv_add(&cmd.argv, "--python");
		aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->prefix);
	} else {
		aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->prefix);
		aq_strv_add(&cmd.argv, "-I");
		aq_strv_add(&cmd.argv, "-B");
		aq_strv_add(&cmd.argv, "-m");
		aq_strv_add(&cmd.argv, "pip");
		aq_strv_add(&cmd.argv, "check");
	}
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	if (cmd.exit_code != 1) /* both say so that something does not fit */
		return run_failed(b, &cmd, "the packages cannot be checked",
				  BUILD_FAULT, err);
	return judge_check(b, aq_str_get(&cmd.errors), err);
}

/* -- either -- */

int pip_solve(struct build *b, struct aq_str *lines, struct aq_err *err)
{
	char uv[BUILD_PATH_MAX];

	if (!b->lock->python) {
		b->verdict = BUILD_REFUSED;
		return aq_fail(err, AQ_USER, "pip requirements need a Python: add 'python' to dependencies");
	}
	if (b->has_sources && !uv_find(b, uv, sizeof(uv)))
		return aq_fail(err, AQ_SYS, "repositories, local files and sources need uv: tell the administrator to install it, and to let 'pip_client' have it");
	say(b, "resolving pip requirements");
	return uv_find(b, uv, sizeof(uv)) ? uv_solve(b, uv, lines, err) :
					    prefix_try(b, pip_resolve, lines, err);
}

int pip_solve_over_base(struct build *b, struct aq_str *lines,
			struct aq_err *err)
{
	int rc = stubs_make(b, err);

	if (!rc)
		rc = prefix_try(b, pip_resolve, lines, err);
	return rc == AQ_USER ?
		inherit_miss(err, "its packages conflict with the request",
			     err->text) : rc;
}

int pip_install(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str none = AQ_STR_INIT(16);
	char uv[BUILD_PATH_MAX];
	size_t n = aq_lock_count_python(b->lock);
	int rc;

	if (!n)
		return 0;
	say(b, "installing %zu wheels", n);
	if (uv_find(b, uv, sizeof(uv))) {
		rc = uv_install(b, uv, err);
		if (!rc && b->kind != AQ_ENV_INHERITED && b->compiler[0])
			rc = layer_own_programs(b, err);
	} else {
		rc = pip_install_inside(b, err);
	}
	shared_archives_end(b);
	if (rc || b->kind == AQ_ENV_INHERITED)
		return rc;
	return run_function(b, PHASE_LAYER, drop_remains, b, &none, err);
}
