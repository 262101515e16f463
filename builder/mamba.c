/* SPDX-License-Identifier: Apache-2.0 */
/* micromamba 2, mamba 2 and conda: one family.  `create --dry-run --json`
 * prints the transaction, an @EXPLICIT file with URL#hash links it.
 * (conda: docs.conda.io, "Building identical conda environments"; mamba:
 * mamba.readthedocs.io, "Concepts" and "micromamba".)
 */
#include <string.h>

#include "builder/builder.h"

struct family {
	bool has_no_rc;   /* --no-rc exists */
	bool is_conda;    /* CONDA_*, not MAMBA_*, tells directories */
};
static const struct family of_micromamba = { true, false };
static const struct family of_mamba = { true, false };
static const struct family of_conda = { false, true };

static const char *const refusals[] = {
	"could not solve", "unsatisfiable", "nothing provides",
	"packagesnotfounderror", "resolvepackagenotfound",
	"libmambaunsatisfiableerror", "does not exist (perhaps a typo", NULL
};

static void start(const struct build *b, const struct family *f,
		  struct command *cmd, const char *program)
{
	aq_strv_add(&cmd->argv, program);
	aq_strv_add(&cmd->argv, "create");
	aq_strv_add(&cmd->argv, "--yes");
	aq_strv_add(&cmd->argv, "--json");
	if (f->has_no_rc)
		aq_strv_add(&cmd->argv, "--no-rc");
	aq_strv_add(&cmd->argv, "--prefix");
	aq_strv_add(&cmd->argv, b->prefix);
	aq_strv_add(&cmd->env, "CONDARC=/dev/null");
	aq_strv_add_fmt(&cmd->env, "CONDA_PKGS_DIRS=%s/pkgs", b->inside);
	if (f->is_conda) {
		aq_strv_add(&cmd->env, "CONDA_SAFETY_CHECKS=enabled");
		return;
	}
	aq_strv_add_fmt(&cmd->env, "MAMBA_ROOT_PREFIX=%s/pkgs/root", b->inside);
	aq_strv_add(&cmd->env, "MAMBARC=/dev/null");
	aq_strv_add(&cmd->env, "MAMBA_NO_RC=true");
	aq_strv_add(&cmd->env, "MAMBA_SKIP_RUN_LINK_SCRIPTS=true");
}

static int failed(struct build *b, const struct command *cmd,
		  const struct aq_str *json, const char *what,
		  struct aq_err *err)
{
	bool is_refused = client_says(aq_str_get(&cmd->errors), refusals) ||
			  client_says(aq_str_get(json), refusals);

	return run_failed(b, cmd, what, is_refused ? BUILD_REFUSED : BUILD_FAULT,
			  err);
}

static int solve(struct build *b, const struct family *f, const char *program,
		 struct aq_str *lines, struct aq_err *err)
{
	/* conda calls the URL of a record "url", and so do the mambas */
	static const char query[] =
		"SELECT 'conda ' || json_extract(value, '$.url')"
		" || ' ' || json_extract(value, '$.sha256')"
		" || ' ' || json_extract(value, '$.name')"
		" || ' ' || json_extract(value, '$.version')"
		" || ' ' || coalesce(json_extract(value, '$.build_string'),"
		"                    json_extract(value, '$.build'))"
		" FROM json_each(coalesce(json_extract(?1, '$.actions.LINK'),"
		"                         '[]'))"
		" UNION ALL"
		" SELECT DISTINCT 'virtual ' || d.value FROM"
		" json_each(?1, '$.actions.LINK') r,"
		" json_each(r.value, '$.depends') d WHERE d.value LIKE '\\_\\_%'"
		" ESCAPE '\\'";
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str json = AQ_STR_INIT(16 * 1024 * 1024);
	cleanup_strv struct aq_strv specs = { 0 }, channels = { 0 };
	int rc;

	start(b, f, &cmd, program);
	aq_strv_add(&cmd.argv, "--dry-run");
	aq_strv_add(&cmd.argv, "--override-channels");
	aq_strv_add(&cmd.argv, "--strict-channel-priority");
	client_channels(b, &channels);
	for (size_t i = 0; i < channels.n; i++) {
		aq_strv_add(&cmd.argv, "--channel");
		aq_strv_add(&cmd.argv, channels.v[i]);
	}
	client_specs(b, &specs);
	for (size_t i = 0; i < specs.n; i++)
		aq_strv_add(&cmd.argv, specs.v[i]);
	cmd.output = &json;
	rc = run(b, &cmd, err);
	if (rc)
		return rc;
	if (cmd.exit_code != 0)
		return failed(b, &cmd, &json, "the packages cannot be resolved",
			      err);
	return records_from_json(b, &json, query, lines, err);
}

/* The lock as the file that clients call explicit. */
static int write_explicit(struct build *b, char ret_inside[BUILD_PATH_MAX],
			  struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc;

	aq_str_add(&text, "@EXPLICIT\n");
	for (size_t i = 0; i < b->lock->n_items; i++)
		if (b->lock->items[i].kind == AQ_LOCK_CONDA)
			aq_str_add_fmt(&text, "%s#sha256:%s\n",
				       b->lock->items[i].url,
				       b->lock->items[i].sha256);
	rc = aq_str_done(&text, "the explicit file", err);
	return rc ? rc : build_pass_file(b, "explicit", "txt", aq_str_get(&text),
					 text.len, ret_inside, err);
}

static int link_prefix(struct build *b, const struct family *f,
		       const char *program, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(&b->builder);
	cleanup_str struct aq_str json = AQ_STR_INIT(16 * 1024 * 1024);
	char file[BUILD_PATH_MAX];
	int rc = write_explicit(b, file, err);

	if (rc)
		return rc;
	start(b, f, &cmd, program);
	aq_strv_add(&cmd.argv, "--file");
	aq_strv_add(&cmd.argv, file);
	cmd.output = &json;
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return failed(b, &cmd, &json, "the packages cannot be installed", err);
}

#define DIALECT(id, text)                                                      \
	static int id##_solve(struct build *b, const char *program,           \
			      struct aq_str *lines, struct aq_err *err)        \
	{                                                                      \
		return solve(b, &of_##id, program, lines, err);                \
	}                                                                      \
	static int id##_link(struct build *b, const char *program,            \
			     struct aq_err *err)                               \
	{                                                                      \
		return link_prefix(b, &of_##id, program, err);                 \
	}                                                                      \
	const struct dialect dialect_##id = { text, id##_solve, id##_link }

DIALECT(micromamba, "micromamba");
DIALECT(mamba, "mamba");
DIALECT(conda, "conda");
