/* SPDX-License-Identifier: Apache-2.0 */
/* micromamba 2, mamba 2 and conda: one family.  `create --dry-run --json`
 * prints the transaction; `create --file` with an @EXPLICIT list of URL#hash
 * links it.  (docs.conda.io: "conda create", "Building identical conda
 * environments"; mamba.readthedocs.io: "Micromamba User Guide".)
 *
 * - All three refuse, or ask about, a prefix that exists without conda-meta/.
 * - conda's LINK has neither URL nor hash; FETCH has, but leaves out what the
 *   package cache holds.  So they resolve over a package cache that stays
 *   empty, where FETCH is everything.
 * - The mambas first only fetch, into the package cache: what they unpacked is
 *   looked at before they link it, which they do without credentials, as what they
 *   link may be run.  conda knows no such step of an explicit list.  Since 2.6 they
 *   unpack into a directory of each channel: packages_flatten().
 * - What conda finds unpacked, with a record of the URL and SHA-256 that it is asked for,
 *   it does not fetch.
 * - conda cannot be told to leave link scripts out; the mambas are.
 * - No rc file is read: conda's CONDARC names an empty one, MAMBA_NO_RC is `true`
 *   (`1` is not understood, and neither CONDARC nor MAMBARC may be set with it), HOME
 *   is in the scratch directory.
 * - Neither compiles byte-code, which would run the prefix's own interpreter: the
 *   mambas are told so, conda does without (aq-no-shell).
 * - What went wrong is in the JSON alone: conda's `message`, or `error` where it has
 *   no name for it; the mambas' `log_history`, a line of which may be about
 *   anything.  That a request cannot be met conda says by `exception_name`, the
 *   mambas by `solver_problems`.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/dialect.h"
#include "builder/packages.h"
#include "builder/shared.h"
#include "builder/shared_store.h"
#include "common/io.h"

/* Where an older mamba says it on standard error. */
static const char *const refusals[] = {
	"could not solve", "nothing provides", "does not exist (perhaps a typo",
	NULL
};

#define JSON_MAX (16 * 1024 * 1024)

/* Their programs have their names. */
static const char *name_of(const char *program)
{
	const char *slash = strrchr(program, '/');

	return slash ? slash + 1 : program;
}

static enum secrets_how takes(const char *program)
{
	return client_takes(name_of(program));
}

static bool is_mamba(const char *program)
{
	return strcmp(name_of(program), dialect_conda.name) != 0;
}

/* Where it keeps what, and no file that says so too. */
static void set_up(const struct build *b, struct command *cmd,
		   const char *program, const char *pkgs)
{
	aq_strv_add_fmt(&cmd->env, "CONDA_PKGS_DIRS=%s/%s", b->inside, pkgs);
	aq_strv_add(&cmd->env, "CONDA_SAFETY_CHECKS=enabled");
	aq_strv_add(&cmd->env, "CONDA_NOTIFY_OUTDATED_CONDA=false");
	aq_strv_add(&cmd->env, "CONDA_REGISTER_ENVS=false");
	aq_strv_add(&cmd->env, "CONDA_REPORT_ERRORS=false");
	if (is_mamba(program))
		aq_strv_add(&cmd->env, "MAMBA_NO_RC=true");
	else
		aq_strv_add(&cmd->env, "CONDARC=/dev/null");
	aq_strv_add(&cmd->env, "MAMBA_COMPILE_PYC=false");
	aq_strv_add_fmt(&cmd->env, "MAMBA_ROOT_PREFIX=%s/home/root", b->inside);
	aq_strv_add(&cmd->env, "MAMBA_SAFETY_CHECKS=enabled");
	aq_strv_add(&cmd->env, "MAMBA_SKIP_RUN_LINK_SCRIPTS=true");
}

static void start(const struct build *b, struct command *cmd,
		  const char *program, const char *pkgs)
{
	secrets_for(&cmd->secrets, SECRETS_OF_CHANNELS, takes(program));
	aq_strv_add(&cmd->argv, program);
	aq_strv_add(&cmd->argv, "create");
	aq_strv_add(&cmd->argv, "--yes");
	aq_strv_add(&cmd->argv, "--json");
	aq_strv_add(&cmd->argv, "--prefix");
	set_up(b, cmd, program, pkgs);
}

/* 'y' or 'n', whether the request cannot be met; then why, a line or more each.  The
 * mambas' last word repeats how an error begins.
 */
static const char why_query[] =
	"WITH log AS (SELECT json_extract(value, '$.level') AS level,"
	"  json_extract(value, '$.message') AS text"
	"  FROM json_each(?1, '$.log_history'))"
	" SELECT CASE WHEN json_type(?1, '$.solver_problems') IS NOT NULL"
	"  OR json_extract(?1, '$.exception_name') IN ('UnsatisfiableError',"
	"   'LibMambaUnsatisfiableError', 'RattlerUnsatisfiableError',"
	"   'PackagesNotFoundError', 'PackagesNotFoundInChannelsError',"
	"   'ResolvePackageNotFound', 'SpecsConfigurationConflictError')"
	"  THEN 'y' ELSE 'n' END"
	" UNION ALL SELECT text FROM log WHERE level = 'error'"
	" UNION ALL SELECT text FROM log c WHERE level = 'critical' AND NOT EXISTS"
	"  (SELECT 1 FROM log e WHERE e.level = 'error'"
	"   AND instr(e.text, c.text) = 1)"
	" UNION ALL SELECT value FROM json_each(?1, '$.solver_problems')"
	"  WHERE json_type(?1, '$.log_history') IS NULL"
	" UNION ALL SELECT * FROM (SELECT coalesce(json_extract(?1, '$.message'),"
	"   json_extract(?1, '$.error')) AS text) WHERE text IS NOT NULL"
	" UNION ALL SELECT json_extract(value, '$.message')"
	"  FROM json_each(?1, '$.errors')"
	"  WHERE json_extract(value, '$.message') IS NOT NULL";

/* What is wrong comes first, advice after it: of many lines the first ones. */
static void keep_head(struct aq_str *text)
{
	const char *p = aq_str_get(text);

	for (int i = 0; i < RUN_TAIL_LINES && *p; i++)
		p = aq_next_line(p);
	aq_str_truncate(text, (size_t)(p - aq_str_get(text)));
}

static int failed(struct build *b, struct command *cmd,
		  const struct aq_str *json, const char *what,
		  struct aq_err *err)
{
	cleanup_str struct aq_str why = AQ_STR_INIT(JSON_MAX);
	bool is_refused = run_says(aq_str_get(&cmd->errors), refusals);
	struct aq_err ignored;

	if (records_from_json(b, json, why_query, &why, &ignored) == 0) {
		is_refused |= aq_starts_with(aq_str_get(&why), "y");
		keep_head(&why);
		aq_str_add(&cmd->errors, aq_next_line(aq_str_get(&why)));
	}
	return run_failed(b, cmd, what, is_refused ? BUILD_REFUSED : BUILD_FAULT,
			  err);
}

/* Its JSON to 'json'. */
static int create(struct build *b, struct command *cmd, struct aq_str *json,
		  const char *what, struct aq_err *err)
{
	int rc;

	cmd->output = json;
	rc = run(b, cmd, err);
	if (rc || cmd->exit_code == 0)
		return rc;
	return failed(b, cmd, json, what, err);
}

static int solve(struct build *b, const char *program, struct aq_str *lines,
		 struct aq_err *err)
{
	static const char query[] =
		"WITH record AS (SELECT value FROM"
		"  json_each(?1, '$.actions.FETCH')"
		" UNION SELECT value FROM json_each(?1, '$.actions.LINK')"
		"  WHERE json_extract(value, '$.sha256') IS NOT NULL)"
		" SELECT DISTINCT 'conda ' || json_extract(value, '$.url')"
		" || ' ' || json_extract(value, '$.sha256')"
		" || ' ' || json_extract(value, '$.name')"
		" || ' ' || json_extract(value, '$.version')"
		" || ' ' || coalesce(json_extract(value, '$.build_string'),"
		"                    json_extract(value, '$.build')) FROM record"
		" UNION ALL"
		" SELECT DISTINCT 'virtual ' || d.value FROM record r,"
		" json_each(r.value, '$.depends') d WHERE d.value LIKE '\\_\\_%'"
		" ESCAPE '\\'";
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str json = AQ_STR_INIT(JSON_MAX);
	int rc;

	start(b, &cmd, program, "home/resolve-only");
	aq_strv_add_fmt(&cmd.argv, "%s/tmp/resolve-%.16s", b->inside, b->key);
	aq_strv_add(&cmd.argv, "--dry-run");
	aq_strv_add(&cmd.argv, "--override-channels");
	aq_strv_add(&cmd.argv, "--strict-channel-priority");
	client_add_channels(b, &cmd);
	client_add_specs(b, &cmd);
	rc = create(b, &cmd, &json, "the packages cannot be resolved", err);
	return rc ? rc : records_from_json(b, &json, query, lines, err);
}

/* conda's [name, version, build], the mambas' "name=version=build". */
static int tell(struct build *b, const char *program, struct aq_str *lines,
		struct aq_err *err)
{
	static const char query[] =
		"SELECT json_extract(value, '$[0]') || ' ' ||"
		"  json_extract(value, '$[1]') || ' ' || json_extract(value, '$[2]')"
		" FROM json_each(?1, '$.virtual_pkgs')"
		" UNION ALL SELECT replace(value, '=', ' ')"
		" FROM json_each(?1, '$.\"virtual packages\"')";
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str json = AQ_STR_INIT(JSON_MAX);
	int rc;

	aq_strv_add(&cmd.argv, program);
	aq_strv_add(&cmd.argv, "info");
	aq_strv_add(&cmd.argv, "--json");
	set_up(b, &cmd, program, "home/resolve-only");
	rc = create(b, &cmd, &json, "it fails", err);
	return rc ? rc : records_from_json(b, &json, query, lines, err);
}

/* The lock as the file that clients call explicit; for others what they are to get. */
static int write_explicit(struct build *b, bool is_for_others,
			  char ret_inside[BUILD_PATH_MAX], struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc;

	aq_str_add(&text, "@EXPLICIT\n");
	for (size_t i = 0; i < b->lock->n_items; i++)
		if (b->lock->items[i].kind == AQ_LOCK_CONDA &&
		    (!is_for_others || shared_is_wanted(b, &b->lock->items[i])))
			aq_str_add_fmt(&text, "%s#sha256:%s\n",
				       b->lock->items[i].url,
				       b->lock->items[i].sha256);
	rc = aq_str_done(&text, "the explicit file", err);
	return rc ? rc : cage_pass_file(b, "explicit", "txt",
					 aq_str_get(&text), text.len,
					 ret_inside, err);
}

/* -- archives that nodes share: the mambas keep each in the package cache, under its own
 * name, and take one that is there for what they want if its hash is that.
 */

/* Each that is in b->archives into the cache ('is_in'), or the other way. */
static int link_archives(const struct build *b, bool is_in, struct aq_err *err)
{
	cleanup_close int pkgs = -1, archives = -1;
	int rc = cage_open_seen(b, "pkgs", &pkgs, err);

	if (!rc)
		rc = cage_open_seen(b, b->archives, &archives, err);
	for (size_t i = 0; !rc && i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];
		char name[SHARED_ARCHIVE_SIZE];
		const char *file;

		if (item->kind != AQ_LOCK_CONDA || !shared_archive_name(item, name))
			continue;
		file = strrchr(item->url, '/') + 1;
		/* what is not there is fetched, or is not shared */
		(void)!linkat(is_in ? archives : pkgs, is_in ? name : file,
			      is_in ? pkgs : archives, is_in ? file : name, 0);
	}
	return rc;
}

static int fetch_some(struct build *b, const char *program, bool is_for_others,
		      struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str json = AQ_STR_INIT(JSON_MAX);
	char file[BUILD_PATH_MAX];
	int rc = write_explicit(b, is_for_others, file, err);

	if (!rc)
		rc = packages_flatten(b, err);
	if (!rc && b->archives[0])
		rc = link_archives(b, true, err);
	if (rc)
		return rc;
	start(b, &cmd, program, "pkgs");
	aq_strv_add_fmt(&cmd.argv, "%s/tmp/fetch-%.16s", b->inside, b->key);
	aq_strv_add(&cmd.argv, "--download-only");
	aq_strv_add(&cmd.argv, "--file");
	aq_strv_add(&cmd.argv, file);
	return create(b, &cmd, &json, "the packages cannot be fetched", err);
}

static int fetch(struct build *b, const char *program, struct aq_err *err)
{
	return fetch_some(b, program, false, err);
}

static int download(struct build *b, const char *program, struct aq_err *err)
{
	int rc = fetch_some(b, program, true, err);

	return rc ? rc : link_archives(b, false, err);
}

static int link_prefix(struct build *b, const char *program,
		       struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str json = AQ_STR_INIT(JSON_MAX);
	char file[BUILD_PATH_MAX];
	int rc = is_mamba(program) ? 0 : bundled_unpack_into(b, "pkgs", err);

	if (!rc)
		rc = write_explicit(b, false, file, err);
	if (rc)
		return rc;
	if (rmdir(b->site) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot make way for '%s'", b->site);
	cmd.hides_shells = !(scripts_may_run(b) && client_runs_scripts(b));
	start(b, &cmd, program, "pkgs");
	if (takes(program) != SECRETS_NONE) /* nothing is left to fetch */
		secrets_for(&cmd.secrets, SECRETS_OF_NOTHING, SECRETS_NONE);
	aq_strv_add(&cmd.argv, b->prefix);
	aq_strv_add(&cmd.argv, "--file");
	aq_strv_add(&cmd.argv, file);
	return create(b, &cmd, &json, "the packages cannot be installed", err);
}

const struct dialect dialect_micromamba = {
	.name = "micromamba",
	.solve = solve,
	.tell = tell,
	.fetch = fetch,
	.download = download,
	.link = link_prefix,
};
const struct dialect dialect_mamba = {
	.name = "mamba",
	.solve = solve,
	.tell = tell,
	.fetch = fetch,
	.download = download,
	.link = link_prefix,
};
const struct dialect dialect_conda = {
	.name = "conda",
	.solve = solve,
	.tell = tell,
	.link = link_prefix,
	.runs_scripts = true,
	.needs_shells = true,
};
