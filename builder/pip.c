/* SPDX-License-Identifier: Apache-2.0 */
/* pip requirements: resolved by uv, else by the environment's own pip, to exact
 * wheels with their hashes; installed without dependencies, since the lock has
 * them.  No source is built.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/builder.h"
#include "builder/pylock.h"
#include "common/io.h"

#define TEXT_MAX (4 * 1024 * 1024)

static const char *const refusals[] = {
	"no solution found", "no matching distribution", "resolutionimpossible",
	"conflicting dependencies", "not found in the package registry",
	"no usable wheels", "building source distributions is disabled", NULL
};

/* uv's program, or false: the environment's pip. */
static bool find_uv(const struct build *b, char *ret, size_t size)
{
	const char *client = b->conf->pip_client;

	if (strcmp(client, "pip") == 0)
		return false;
	return client_find(strcmp(client, "auto") == 0 ? "uv" : client, ret,
			   size);
}

static void add_sources(const struct build *b, struct command *cmd,
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

static void add_lines(struct aq_str *out, const struct aq_strv *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		aq_str_add_fmt(out, "%s\n", lines->v[i]);
}

/* A version that PEP 440 knows in its plainest form: conda has others. */
static bool is_plain_version(const char *v)
{
	return *v && strspn(v, "0123456789.") == strlen(v) &&
	       v[strlen(v) - 1] != '.';
}

/* What conda brings stays as it is, where it can. */
static void add_conda_versions(struct aq_str *out, const struct aq_lock *lock)
{
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind == AQ_LOCK_CONDA && item->name[0] != '_' &&
		    is_plain_version(item->version))
			aq_str_add_fmt(out, "%s==%s\n", item->name,
				       item->version);
	}
}

static bool is_in_conda(const struct aq_lock *lock, const char *name,
			const char *version)
{
	for (size_t i = 0; i < lock->n_items; i++)
		if (lock->items[i].kind == AQ_LOCK_CONDA &&
		    strcmp(lock->items[i].name, name) == 0 &&
		    strcmp(lock->items[i].version, version) == 0)
			return true;
	return false;
}

/* Of the wheels in 'all', those that conda does not bring already. */
static void add_missing(const struct aq_lock *lock, const char *all,
			struct aq_str *lines)
{
	while (*all) {
		size_t len = strcspn(all, "\n");
		char name[256], version[128];

		if (sscanf(all, "wheel %*s %*s %255s %127s", name, version) != 2 ||
		    !is_in_conda(lock, name, version)) {
			aq_str_add_mem(lines, all, len);
			aq_str_add_char(lines, '\n');
		}
		all += len + (all[len] == '\n');
	}
}

/* -- uv -- */

static void start_uv(const struct build *b, struct command *cmd,
		     const char *uv, const char *verb)
{
	aq_strv_add(&cmd->argv, uv);
	aq_strv_add(&cmd->argv, "pip");
	aq_strv_add(&cmd->argv, verb);
	aq_strv_add(&cmd->argv, "--no-config");
	aq_strv_add(&cmd->argv, "--no-build");
	aq_strv_add(&cmd->argv, "--no-python-downloads");
	aq_strv_add(&cmd->argv, "--cache-dir");
	aq_strv_add_fmt(&cmd->argv, "%s/wheels", b->inside);
	add_sources(b, cmd, "--default-index");
}

static int uv_compile(struct build *b, const char *uv, bool is_conda_kept,
		      struct aq_str *pylock, struct command *cmd,
		      struct aq_err *err)
{
	cleanup_str struct aq_str in = AQ_STR_INIT(TEXT_MAX);
	cleanup_str struct aq_str constraints = AQ_STR_INIT(TEXT_MAX);
	char file[BUILD_PATH_MAX];
	int rc;

	add_lines(&in, &b->req->pip);
	add_lines(&constraints, &b->req->constraints);
	if (is_conda_kept)
		add_conda_versions(&constraints, b->lock);
	rc = build_pass_file(b, "constraints", "txt", aq_str_get(&constraints),
			     constraints.len, file, err);
	if (rc)
		return rc;
	start_uv(b, cmd, uv, "compile");
	aq_strv_add(&cmd->argv, "--format");
	aq_strv_add(&cmd->argv, "pylock.toml");
	aq_strv_add(&cmd->argv, "--no-header");
	aq_strv_add(&cmd->argv, "--quiet");
	aq_strv_add(&cmd->argv, "--python-version");
	aq_strv_add(&cmd->argv, b->lock->python);
	aq_strv_add(&cmd->argv, "--constraints");
	aq_strv_add(&cmd->argv, file);
	aq_strv_add(&cmd->argv, "-");
	cmd->input = aq_str_get(&in);
	cmd->input_len = in.len;
	cmd->output = pylock;
	return run(b, cmd, err);
}

static int take_pylock(struct build *b, const char *pylock,
		       struct aq_str *lines, struct aq_err *err)
{
	cleanup_str struct aq_str all = AQ_STR_INIT(TEXT_MAX);
	int rc = pylock_read(pylock, &all, err);

	if (rc == AQ_USER)
		b->verdict = BUILD_REFUSED;
	if (!rc)
		add_missing(b->lock, aq_str_get(&all), lines);
	return rc;
}

static int uv_solve(struct build *b, const char *uv, struct aq_str *lines,
		    struct aq_err *err)
{
	for (int is_conda_kept = 1; is_conda_kept >= 0; is_conda_kept--) {
		cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
		cleanup_str struct aq_str pylock = AQ_STR_INIT(TEXT_MAX);
		int rc = uv_compile(b, uv, is_conda_kept, &pylock, &cmd, err);
		bool is_refused;

		if (rc)
			return rc;
		if (cmd.exit_code == 0)
			return take_pylock(b, aq_str_get(&pylock), lines, err);
		is_refused = client_says(aq_str_get(&cmd.errors), refusals);
		if (!is_refused || !is_conda_kept)
			return run_failed(b, &cmd, "the pip requirements cannot be resolved",
					  is_refused ? BUILD_REFUSED : BUILD_FAULT,
					  err);
	}
	return aq_fail(err, AQ_SYS, "not reached");
}

static int uv_install(struct build *b, const char *uv, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_MAX);
	char file[BUILD_PATH_MAX];
	int rc;

	pylock_write(b->lock, &text);
	rc = build_pass_file(b, "pylock", "toml", aq_str_get(&text), text.len,
			     file, err);
	if (rc)
		return rc;
	start_uv(b, &cmd, uv, "install");
	aq_strv_add(&cmd.argv, "--no-deps");
	aq_strv_add(&cmd.argv, "--python");
	aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->prefix);
	aq_strv_add(&cmd.argv, "--break-system-packages");
	aq_strv_add(&cmd.argv, "--requirements");
	aq_strv_add(&cmd.argv, file);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the pip requirements cannot be installed",
			  BUILD_FAULT, err);
}

/* -- the environment's own pip -- */

static void start_pip(const struct build *b, struct command *cmd)
{
	aq_strv_add_fmt(&cmd->argv, "%s/bin/python", b->prefix);
	aq_strv_add(&cmd->argv, "-m");
	aq_strv_add(&cmd->argv, "pip");
	aq_strv_add(&cmd->argv, "install");
	aq_strv_add(&cmd->argv, "--isolated");
	aq_strv_add(&cmd->argv, "--no-input");
	aq_strv_add(&cmd->argv, "--disable-pip-version-check");
	aq_strv_add(&cmd->argv, "--only-binary=:all:");
	aq_strv_add_fmt(&cmd->argv, "--cache-dir=%s/wheels/pip", b->inside);
	aq_strv_add(&cmd->env, "PIP_CONFIG_FILE=/dev/null");
	add_sources(b, cmd, "--index-url");
}

/* pip resolves only from inside: the conda part is linked to a place that is
 * thrown away, and pip says what it would install there.
 */
static int pip_resolve(struct build *b, struct aq_str *lines,
		       struct aq_err *err)
{
	static const char query[] =
		"SELECT 'wheel ' || json_extract(value, '$.download_info.url')"
		" || ' ' || json_extract(value,"
		"   '$.download_info.archive_info.hashes.sha256')"
		" || ' ' || replace(replace(lower("
		"   json_extract(value, '$.metadata.name')), '_', '-'), '.', '-')"
		" || ' ' || json_extract(value, '$.metadata.version')"
		" FROM json_each(?1, '$.install')";
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str json = AQ_STR_INIT(16 * 1024 * 1024);
	cleanup_str struct aq_str in = AQ_STR_INIT(TEXT_MAX);
	cleanup_str struct aq_str constraints = AQ_STR_INIT(TEXT_MAX);
	char requirements[BUILD_PATH_MAX], file[BUILD_PATH_MAX];
	int rc;

	add_lines(&in, &b->req->pip);
	add_lines(&constraints, &b->req->constraints);
	rc = build_pass_file(b, "requirements", "txt", aq_str_get(&in), in.len,
			     requirements, err);
	if (!rc)
		rc = build_pass_file(b, "constraints", "txt",
				     aq_str_get(&constraints), constraints.len,
				     file, err);
	if (rc)
		return rc;
	start_pip(b, &cmd);
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
				  client_says(aq_str_get(&cmd.errors), refusals) ?
					  BUILD_REFUSED : BUILD_FAULT, err);
	return records_from_json(b, &json, query, lines, err);
}

static int pip_solve_inside(struct build *b, struct aq_str *lines,
			    struct aq_err *err)
{
	struct aq_err ignored;
	char name[sizeof(b->name)];
	int rc;

	snprintf(name, sizeof(name), "solve-%.16s", b->key);
	rc = build_start_prefix(b, name, err);
	if (!rc)
		rc = client_link(b, err);
	if (!rc)
		rc = pip_resolve(b, lines, err);
	(void)!build_drop_prefix(b, rc ? &ignored : err);
	return rc;
}

static int pip_install_inside(struct build *b, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str text = AQ_STR_INIT(TEXT_MAX);
	char file[BUILD_PATH_MAX];
	int rc;

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *w = &b->lock->items[i];

		if (w->kind == AQ_LOCK_WHEEL)
			aq_str_add_fmt(&text, "%s==%s --hash=sha256:%s\n",
				       w->name, w->version, w->sha256);
	}
	rc = build_pass_file(b, "wheels", "txt", aq_str_get(&text), text.len, file,
			     err);
	if (rc)
		return rc;
	start_pip(b, &cmd);
	aq_strv_add(&cmd.argv, "--no-deps");
	aq_strv_add(&cmd.argv, "--no-compile");
	aq_strv_add(&cmd.argv, "--require-hashes");
	aq_strv_add_fmt(&cmd.argv, "--requirement=%s", file);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the pip requirements cannot be installed",
			  BUILD_FAULT, err);
}

/* -- either -- */

int pip_solve(struct build *b, struct aq_str *lines, struct aq_err *err)
{
	char uv[BUILD_PATH_MAX];

	if (!b->lock->python) {
		b->verdict = BUILD_REFUSED;
		return aq_fail(err, AQ_USER, "pip requirements need a Python: add 'python' to dependencies");
	}
	say(b, "resolving pip requirements");
	return find_uv(b, uv, sizeof(uv)) ? uv_solve(b, uv, lines, err) :
					    pip_solve_inside(b, lines, err);
}

int pip_install(struct build *b, struct aq_err *err)
{
	char uv[BUILD_PATH_MAX];
	size_t n = 0;

	for (size_t i = 0; i < b->lock->n_items; i++)
		n += b->lock->items[i].kind == AQ_LOCK_WHEEL;
	if (!n)
		return 0;
	say(b, "installing %zu wheels", n);
	return find_uv(b, uv, sizeof(uv)) ? uv_install(b, uv, err) :
					    pip_install_inside(b, err);
}
