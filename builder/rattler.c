/* SPDX-License-Identifier: Apache-2.0 */
/* rattler, prefix.dev's own command line (crate rattler-bin, 0.5): `solve --format json`
 * prints repodata records, `create` links.  It runs link scripts, cannot be told not to,
 * and says nothing of those that fail: so where it links there is never a shell, and
 * scripts.c runs what may run.  It verifies archives against the records of the channel,
 * and exact specs with their SHA-256 leave it no choice.
 */
#include <string.h>

#include "builder/builder.h"
#include "builder/dialect.h"

/* Below the first, unpacked packages: what of them is there it does not download. */
#define CACHE "pkgs"
#define CACHE_PACKAGES CACHE "/pkgs"

static const char *const refusals[] = {
	"cannot solve the request", "no candidates were found", NULL
};

static void start(const struct build *b, struct command *cmd,
		  const char *program, const char *verb)
{
	aq_strv_add(&cmd->argv, program);
	aq_strv_add(&cmd->argv, verb);
	aq_strv_add(&cmd->argv, "--platform");
	aq_strv_add(&cmd->argv, aq_platform_subdir());
	client_add_channels(b, cmd);
	secrets_for(&cmd->secrets, SECRETS_OF_CHANNELS,
		    client_takes(dialect_rattler.name));
	aq_strv_add_fmt(&cmd->env, "RATTLER_CACHE_DIR=%s/" CACHE, b->inside);
}

static int solve(struct build *b, const char *program, struct aq_str *lines,
		 struct aq_err *err)
{
	static const char query[] =
		"SELECT 'conda ' || json_extract(value, '$.url')"
		" || ' ' || json_extract(value, '$.sha256')"
		" || ' ' || json_extract(value, '$.name')"
		" || ' ' || json_extract(value, '$.version')"
		" || ' ' || json_extract(value, '$.build')"
		" FROM json_each(?1)"
		" UNION ALL"
		" SELECT DISTINCT 'virtual ' || d.value FROM json_each(?1) r,"
		" json_each(r.value, '$.depends') d WHERE d.value LIKE '\\_\\_%'"
		" ESCAPE '\\'";
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str json = AQ_STR_INIT(16 * 1024 * 1024);
	int rc;

	start(b, &cmd, program, "solve");
	aq_strv_add(&cmd.argv, "--format");
	aq_strv_add(&cmd.argv, "json");
	client_add_constraints(b, &cmd, "--constraint", false);
	aq_strv_add(&cmd.argv, "--");
	client_add_specs(b, &cmd);
	cmd.output = &json;
	rc = run(b, &cmd, err);
	if (rc)
		return rc;
	if (cmd.exit_code != 0)
		return run_failed(b, &cmd, "the packages cannot be resolved",
				  run_says(aq_str_get(&cmd.errors), refusals) ?
					  BUILD_REFUSED : BUILD_FAULT, err);
	return records_from_json(b, &json, query, lines, err);
}

static int tell(struct build *b, const char *program, struct aq_str *lines,
		struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc;

	aq_strv_add(&cmd.argv, program);
	aq_strv_add(&cmd.argv, "virtual-packages");
	cmd.output = lines; /* "NAME=VERSION=BUILD" */
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code != 0)
		return rc ? rc : run_failed(b, &cmd, "it fails", BUILD_FAULT, err);
	for (char *p = lines->s; p && *p; p++)
		if (*p == '=')
			*p = ' ';
	return 0;
}

static int link_prefix(struct build *b, const char *program,
		       struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc = bundled_unpack_into(b, CACHE_PACKAGES, err);

	if (rc)
		return rc;
	cmd.hides_shells = true;
	start(b, &cmd, program, "create");
	aq_strv_add(&cmd.argv, "--prefix");
	aq_strv_add(&cmd.argv, b->prefix);
	aq_strv_add(&cmd.argv, "--no-deps");
	aq_strv_add(&cmd.argv, "--");
	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (item->kind == AQ_LOCK_CONDA)
			aq_strv_add_fmt(&cmd.argv, "%s[version=\"==%s\",build=\"%s\",sha256=\"%s\"]",
					item->name, item->version, item->build,
					item->sha256);
	}
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the packages cannot be installed",
			  BUILD_FAULT, err);
}

const struct dialect dialect_rattler = {
	.name = "rattler",
	.solve = solve,
	.tell = tell,
	.link = link_prefix,
	.can_constrain = true,
	.runs_scripts = true,
};
