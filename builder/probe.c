/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment's own programs have to do before it is ready, as
 * probe_user: activation, checks.  Nothing it prints is believed
 * further than that.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/activation.h"
#include "builder/builder.h"
#include "builder/pip.h"
#include "builder/prefix.h"
#include "builder/run.h"
#include "common/db.h"
#include "common/io.h"

#define OUTPUT_MAX (1024 * 1024)
#define JSON_FILES_MAX 256

/* -- activation -- */

static const char activate_script[] =
	"for aq_script in \"$CONDA_PREFIX\"/etc/conda/activate.d/*.sh; do\n"
	"  [ -e \"$aq_script\" ] && . \"$aq_script\"\n"
	"done >/dev/null\n"
	"unset aq_script\n"
	"exec /usr/bin/env -0\n";

static void first_world(const struct build *b, struct aq_envmap *ret)
{
	char path[BUILD_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", b->prefix);
	aq_envmap_set(ret, "PATH", path);
	aq_envmap_set(ret, "HOME", "/aq/home/one");
	aq_envmap_set(ret, "USER", "aq-user-one");
	aq_envmap_set(ret, "LOGNAME", "aq-user-one");
	aq_envmap_set(ret, "LANG", "C.UTF-8");
	aq_envmap_set(ret, "CONDA_PREFIX", b->prefix);
}

static int run_scripts(struct build *b, struct world *w, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_PROBE);
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	int rc;

	aq_strv_add(&cmd.argv, "/usr/bin/env");
	aq_strv_add(&cmd.argv, "-i");
	for (size_t i = 0; i < w->before.n; i++)
		aq_strv_add_fmt(&cmd.argv, "%s=%s", w->before.v[i].name,
				w->before.v[i].value);
	aq_strv_add(&cmd.argv, "/bin/bash");
	aq_strv_add(&cmd.argv, "--noprofile");
	aq_strv_add(&cmd.argv, "--norc");
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add(&cmd.argv, activate_script);
	cmd.output = &out;
	rc = run(b, &cmd, err);
	if (rc)
		return rc;
	if (cmd.exit_code != 0)
		return run_failed(b, &cmd, "the environment's activation scripts failed",
				  BUILD_REFUSED, err);
	activation_read_env(aq_str_get(&out), out.len, &w->after);
	return w->after.is_broken ? aq_fail(err, AQ_SYS, "out of memory") : 0;
}

static void free_world(struct world *w)
{
	aq_envmap_free(&w->before);
	aq_envmap_free(&w->after);
}

static bool is_below(int root, const char *path)
{
	cleanup_close int fd = -1;

	return aq_open_below(root, path, &fd, NULL) == 0;
}

static bool has_scripts(int root)
{
	return is_below(root, "etc/conda/activate.d");
}

static bool has_json(int root)
{
	cleanup_close int meta = -1;

	return is_below(root, "etc/conda/env_vars.d") ||
	       (aq_open_below(root, "conda-meta", &meta, NULL) == 0 &&
		faccessat(meta, "state", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* Most have none of what would need a cage to be read.  A layer's are links to the
 * base's.
 */
static bool is_in(const struct build *b, bool (*has)(int root))
{
	cleanup_close int root = -1, base = -1;

	return (prefix_open(b, &root, NULL) == 0 && has(root)) ||
	       (b->kind == AQ_ENV_INHERITED &&
		aq_open_dir(AT_FDCWD, b->base_prefix, &base, NULL) == 0 &&
		has(base));
}

static int capture_scripts(struct build *b, struct aq_str *ops,
			   struct aq_err *err)
{
	__attribute__((cleanup(free_world))) struct world one = { 0 };
	__attribute__((cleanup(free_world))) struct world other = { 0 };
	int rc;

	if (!is_in(b, has_scripts))
		return 0;
	first_world(b, &one.before);
	rc = run_scripts(b, &one, err);
	if (rc)
		return rc;
	activation_other_world(&one, &other.before);
	rc = run_scripts(b, &other, err);
	if (rc)
		return rc;
	rc = activation_decide(&one, &other, ops, err);
	if (rc == AQ_USER)
		b->verdict = BUILD_REFUSED;
	return rc;
}

/* -- variables in JSON: etc/conda/env_vars.d/x.json, conda-meta/state -- */

static int add_pair(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct aq_str *out = arg;

	(void)err;
	if (!aq_is_env_name(aq_db_text(row, 0), strlen(aq_db_text(row, 0))))
		return 0;
	aq_str_add_fmt(out, "%s=%s", aq_db_text(row, 0), aq_db_text(row, 1));
	aq_str_add_mem(out, "", 1);
	return 0;
}

static int read_json_file(struct aq_db *db, int dirfd, const char *name,
			  const char *query, struct aq_str *out,
			  struct aq_err *err)
{
	cleanup_str struct aq_str json = AQ_STR_INIT(OUTPUT_MAX);
	int rc = aq_read_file(dirfd, name, &json, err);
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(&json)) };

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	rc = aq_db_run(db, query, values, 1, add_pair, out, err);
	return rc == AQ_MISS ? 0 : rc;
}

static int add_json(const char *name, void *arg, struct aq_err *err)
{
	(void)err;
	if (aq_ends_with(name, ".json"))
		aq_strv_add(arg, name);
	return 0;
}

static int read_json(void *arg, struct aq_str *out, struct aq_err *err)
{
	static const char plain[] =
		"SELECT key, value FROM json_each(?1) WHERE type = 'text'";
	static const char state[] =
		"SELECT key, value FROM json_each(?1, '$.env_vars')"
		" WHERE type = 'text' AND value != '***unset***'";
	const struct build *b = arg;
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(JSON_FILES_MAX);
	cleanup_close int prefix = -1, dirfd = -1;
	cleanup_db struct aq_db *db = NULL;
	int rc = aq_db_open_memory(&db, err);

	if (!rc)
		rc = aq_open_dir(AT_FDCWD, b->prefix, &prefix, err);
	if (rc)
		return rc;
	if (aq_open_dir(prefix, "etc/conda/env_vars.d", &dirfd, NULL) == 0)
		rc = aq_each_entry(dirfd, "etc/conda/env_vars.d", add_json,
				   &names, err);
	if (!rc)
		rc = aq_strv_done(&names, "the variables", err);
	aq_strv_sort(&names);
	for (size_t i = 0; !rc && i < names.n; i++)
		rc = read_json_file(db, dirfd, names.v[i], plain, out, err);
	if (!rc)
		rc = read_json_file(db, prefix, "conda-meta/state", state, out,
				    err);
	return rc;
}

static int capture_json(struct build *b, struct aq_str *ops,
			struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(OUTPUT_MAX);
	cleanup_envmap struct aq_envmap map = { 0 };
	int rc = is_in(b, has_json) ?
		run_function(b, PHASE_PROBE, read_json, b, &out, err) : 0;

	if (rc)
		return aq_fail_prefix(err, "the environment's variables");
	activation_read_env(aq_str_get(&out), out.len, &map);
	if (map.is_broken)
		return aq_fail(err, AQ_SYS, "out of memory");
	for (size_t i = 0; i < map.n; i++)
		aq_envops_add(ops, AQ_ENVOP_SET, map.v[i].name, map.v[i].value);
	return 0;
}

/* What one person's scripts set is for themselves alone. */
static int judge_values(struct build *b, const struct aq_str *ops,
			struct aq_err *err)
{
	const struct places where = {
		.prefix = b->prefix,
		.base = b->kind == AQ_ENV_INHERITED ? b->base_prefix : "",
		.cache = b->conf->cache_dir,
	};
	int rc = b->is_personal ? 0 : activation_check(&where, ops, err);

	if (rc == AQ_USER)
		b->verdict = BUILD_REFUSED;
	return rc;
}

static int capture(struct build *b, struct aq_str *ops, struct aq_err *err)
{
	char bin[BUILD_PATH_MAX + 8];
	int rc;

	snprintf(bin, sizeof(bin), "%s/bin", b->prefix);
	aq_envops_add(ops, AQ_ENVOP_PREPEND, "PATH", bin);
	aq_envops_add(ops, AQ_ENVOP_SET, "CONDA_PREFIX", b->prefix);
	aq_envops_add(ops, AQ_ENVOP_SET, "PYTHONNOUSERSITE", "1");
	rc = capture_json(b, ops, err);
	if (!rc)
		rc = capture_scripts(b, ops, err);
	if (!rc)
		rc = aq_str_done(ops, "the environment's activation", err);
	return rc ? rc : judge_values(b, ops, err);
}

/* -- python -- */

static void start_python(const struct build *b, struct command *cmd)
{
	aq_strv_add_fmt(&cmd->argv, "%s/bin/python", b->prefix);
	aq_strv_add(&cmd->argv, "-I");
	aq_strv_add(&cmd->argv, "-B"); /* one's own prefix can be written */
}

static const char check_script[] =
	"import sys\n"
	"bad = []\n"
	"if sys.argv[1:]: import importlib.metadata as m\n" /* slow */
	"for want in sys.argv[1:]:\n"
	"    name, _, version = want.partition('==')\n"
	"    try:\n"
	"        found = m.version(name)\n"
	"        if found != version: bad.append(f'{name} is {found}, not {version}')\n"
	"    except m.PackageNotFoundError: bad.append(f'{name} is missing')\n"
	"if sys.prefix != PREFIX: bad.append(f'sys.prefix is {sys.prefix}')\n"
	"sys.exit('; '.join(bad) or None)\n";

static int check(struct build *b, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_PROBE);
	int rc;

	start_python(b, &cmd);
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add_fmt(&cmd.argv, "PREFIX = '%s'\n%s", b->prefix,
			check_script);
	for (size_t i = 0; i < b->lock->n_items; i++)
		if (b->lock->items[i].kind != AQ_LOCK_CONDA)
			aq_strv_add_fmt(&cmd.argv, "%s==%s",
					b->lock->items[i].name,
					b->lock->items[i].version);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the environment's Python does not work as it should",
			  BUILD_FAULT, err);
}

int probe(struct build *b, struct aq_str *ret_ops, struct aq_err *err)
{
	int rc;

	say(b, "checking");
	rc = capture(b, ret_ops, err);
	if (!rc && b->lock->python)
		rc = check(b, err);
	if (!rc && b->kind != AQ_ENV_INHERITED &&
	    aq_lock_count_python(b->lock))
		rc = pip_check(b, err);
	return rc;
}
