/* SPDX-License-Identifier: Apache-2.0 */
/* Link scripts: what conda's packages run once they are linked.  In a private build,
 * which is its user's in a cage of that user's own; a shared one runs none.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "builder/builder.h"
#include "builder/cage.h"
#include "builder/dialect.h"
#include "common/db.h"
#include "common/io.h"

#define POST_LINK "-post-link.sh"
#define RECORD_MAX (256 * 1024 * 1024) /* bytes; 1,000,000 files */
#define ORDER_MAX (1024 * 1024)        /* bytes of all lines */

bool scripts_may_run(const struct build *b)
{
	return b->is_personal ||
	       (b->is_private &&
		b->conf->policy[AQ_INPUT_SCRIPT] == AQ_POLICY_PRIVATE);
}

/* -- which may not -- */

/* The administrator lets users have them, and whose job asks is known. */
static bool may_be_private(const struct build *b)
{
	return b->conf->policy[AQ_INPUT_SCRIPT] == AQ_POLICY_PRIVATE &&
	       b->uid && !b->as_base;
}

static int refuse(struct build *b, const char *file, int name_len,
		  struct aq_err *err)
{
	const char *why = "which this site refuses (aq.conf's policy: script=refuse): ask for another build or version of it, leave it out, or ask the administrator for 'script=private'";

	b->verdict = BUILD_REFUSED;
	b->must_be_private = may_be_private(b);
	if (b->conf->policy[AQ_INPUT_SCRIPT] == AQ_POLICY_PRIVATE) {
		b->verdict = BUILD_NOT_KEPT; /* a user may have it */
		why = "which runs in private environments alone: what root builds is everybody's, so ask for it as the user who needs it";
	}
	return aq_fail(err, AQ_USER, "package '%.*s' has a link script ('bin/%s'), %s",
		       name_len, file + 1, file, why);
}

/* As old as it is dangerous: it runs before the package is linked, and changes that. */
static int refuse_pre_link(struct build *b, const char *file, int name_len,
			   struct aq_err *err)
{
	b->verdict = BUILD_REFUSED;
	b->must_be_private = false;
	return aq_fail(err, AQ_USER, "package '%.*s' has a pre-link script ('bin/%s'), which no build runs: ask for another build or version of it, or leave it out",
		       name_len, file + 1, file);
}

static int judge_script(const char *file, void *arg, struct aq_err *err)
{
	static const char pre_link[] = "-pre-link.sh";
	struct build *b = arg;
	int len = (int)strlen(file) - 1;

	if (*file != '.')
		return 0;
	if (aq_ends_with(file, pre_link))
		return refuse_pre_link(b, file, len - (int)strlen(pre_link), err);
	if (!aq_ends_with(file, POST_LINK) || scripts_may_run(b))
		return 0;
	return refuse(b, file, len - (int)strlen(POST_LINK), err);
}

/* bin/ of the prefix, or the package, 'path' below 'dirfd'; AQ_MISS: it has none. */
static int open_bin(int dirfd, const char *path, int *ret, struct aq_err *err)
{
	cleanup_close int dir = -1;
	int rc = aq_open_dir(dirfd, path, &dir, err);

	return rc ? rc : aq_open_below(dir, "bin", ret, err);
}

static int judge_in(struct build *b, int dirfd, const char *path,
		    struct aq_err *err)
{
	cleanup_close int bin = -1;
	struct aq_err ignored;

	if (open_bin(dirfd, path, &bin, &ignored) != 0)
		return 0;
	return aq_each_entry(bin, "bin", judge_script, b, err);
}

int scripts_judge(struct build *b, struct aq_err *err)
{
	return b->is_personal ? 0 : judge_in(b, AT_FDCWD, b->site, err);
}

struct unpacked {
	struct build *b;
	int pkgs;
};

static int judge_package(const char *package, void *arg, struct aq_err *err)
{
	const struct unpacked *u = arg;

	return judge_in(u->b, u->pkgs, package, err);
}

int scripts_judge_unpacked(struct build *b, struct aq_err *err)
{
	cleanup_close int pkgs = -1;
	struct unpacked u = { .b = b };
	struct aq_err ignored;

	if (cage_open_seen(b, "pkgs", &pkgs, &ignored) != 0)
		return 0;
	u.pkgs = pkgs;
	return aq_each_entry(pkgs, "pkgs", judge_package, &u, err);
}

/* -- in which order -- */

struct records {
	struct aq_db *db;
	int dir, bin;
};

/* A package, whether it has a script, and what it depends on; hostile. */
static int add_record(const char *name, void *arg, struct aq_err *err)
{
	static const char *const steps[] = {
		"INSERT OR REPLACE INTO package SELECT json_extract(?1, '$.name'),"
		" json_extract(?1, '$.version'),"
		" coalesce(json_extract(?1, '$.build_number'), 0), 0"
		" WHERE json_extract(?1, '$.name') IS NOT NULL",
		"INSERT INTO needs SELECT json_extract(?1, '$.name'),"
		" substr(value, 1, instr(value || ' ', ' ') - 1)"
		" FROM json_each(?1, '$.depends')",
	};
	cleanup_str struct aq_str json = AQ_STR_INIT(RECORD_MAX);
	const struct records *r = arg;
	int rc;

	if (!aq_ends_with(name, ".json"))
		return 0;
	rc = aq_read_file(r->dir, name, &json, err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(steps); i++) {
		const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(&json)) };

		rc = aq_db_run(r->db, steps[i], values, 1, NULL, NULL, err);
	}
	return rc;
}

static int add_script(const char *name, void *arg, struct aq_err *err)
{
	const struct records *r = arg;
	const struct aq_db_value values[] = { AQ_TEXT(name) };

	return aq_db_run(r->db,
			 "UPDATE package SET has_script = 1"
			 " WHERE ?1 = '.' || name || '" POST_LINK "'",
			 values, 1, NULL, NULL, err);
}

static int add_line(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	(void)err;
	aq_str_add_fmt(arg, "%s %s %s\n", aq_db_text(row, 0),
		       aq_db_text(row, 1), aq_db_text(row, 2));
	return 0;
}

/* Who depends on another reaches all that it does, and itself: so by how many. */
static int sort(struct aq_db *db, struct aq_str *out, struct aq_err *err)
{
	static const char query[] =
		"WITH RECURSIVE reached(root, name) AS ("
		" SELECT name, name FROM package WHERE has_script"
		" UNION SELECT root, need FROM reached JOIN needs USING (name))"
		" SELECT root, version, build_number"
		" FROM reached JOIN package ON package.name = root"
		" GROUP BY root ORDER BY count(*), root";
	int rc = aq_db_run(db, query, NULL, 0, add_line, out, err);

	return rc == AQ_MISS ? 0 : rc;
}

/* "NAME VERSION BUILD_NUMBER\n" of each package that has a script: in the cage. */
static int find(void *arg, struct aq_str *out, struct aq_err *err)
{
	static const char tables[] =
		"CREATE TABLE package(name TEXT PRIMARY KEY, version TEXT,"
		" build_number INTEGER, has_script INTEGER);"
		"CREATE TABLE needs(name TEXT, need TEXT);"
		"CREATE INDEX needs_by_name ON needs(name)";
	const struct build *b = arg;
	cleanup_db struct aq_db *db = NULL;
	cleanup_close int prefix = -1, meta = -1, bin = -1;
	struct records r;
	int rc = aq_open_dir(AT_FDCWD, b->prefix, &prefix, err);

	if (!rc)
		rc = aq_open_below(prefix, "conda-meta", &meta, err);
	if (!rc)
		rc = aq_open_below(prefix, "bin", &bin, err);
	if (!rc)
		rc = aq_db_open_memory(&db, err);
	if (!rc)
		rc = aq_db_script(db, tables, err);
	r = (struct records){ db, meta, bin };
	if (!rc)
		rc = aq_each_entry(meta, "conda-meta", add_record, &r, err);
	if (!rc)
		rc = aq_each_entry(bin, "bin", add_script, &r, err);
	return rc ? rc : sort(db, out, err);
}

/* -- running them -- */

/* As conda does: sourced in the activated prefix, from its bin/; what it leaves in
 * .messages.txt is for people.
 */
static const char around[] =
	"cd \"$PREFIX/bin\" || exit\n"
	"PATH=$PREFIX/bin:$PATH\n"
	"for f in ../etc/conda/activate.d/*.sh; do\n"
	"  if [ -e \"$f\" ]; then . \"$f\"; fi\n"
	"done\n"
	"(. \"$PREFIX/bin/.$PKG_NAME" POST_LINK "\")\n"
	"status=$?\n"
	"if [ -f ../.messages.txt ]; then cat ../.messages.txt; rm -f ../.messages.txt; fi\n"
	"exit $status\n";

static int run_one(struct build *b, const char *name, const char *version,
		   const char *build_number, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	char bash[BUILD_PATH_MAX], what[256];
	int rc;

	if (!client_find("bash", bash, sizeof(bash)))
		return aq_fail(err, AQ_SYS, "link scripts need bash, which this node does not have");
	say(b, "running the link script of '%s'", name);
	aq_strv_add(&cmd.argv, bash);
	aq_strv_add(&cmd.argv, "--noprofile");
	aq_strv_add(&cmd.argv, "--norc");
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add(&cmd.argv, around);
	aq_strv_add_fmt(&cmd.env, "PREFIX=%s", b->prefix);
	aq_strv_add_fmt(&cmd.env, "ROOT_PREFIX=%s", b->prefix);
	aq_strv_add_fmt(&cmd.env, "CONDA_PREFIX=%s", b->prefix);
	aq_strv_add_fmt(&cmd.env, "PKG_NAME=%s", name);
	aq_strv_add_fmt(&cmd.env, "PKG_VERSION=%s", version);
	aq_strv_add_fmt(&cmd.env, "PKG_BUILDNUM=%s", build_number);
	/* a proxy without a password, for those that fetch */
	secrets_for(&cmd.secrets, SECRETS_OF_CHANNELS, SECRETS_NONE);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	snprintf(what, sizeof(what), "the link script of package '%s' failed",
		 name);
	return run_failed(b, &cmd, what, BUILD_FAULT, err);
}

/* Whether there is any, since most have none. */
static int is_script(const char *name, void *arg, struct aq_err *err)
{
	(void)err;
	*(bool *)arg |= *name == '.' && aq_ends_with(name, POST_LINK);
	return 0;
}

static bool has_any(const struct build *b)
{
	cleanup_close int bin = -1;
	bool has = false;

	return open_bin(AT_FDCWD, b->site, &bin, NULL) == 0 &&
	       aq_each_entry(bin, "bin", is_script, &has, NULL) == 0 && has;
}

int scripts_run(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str order = AQ_STR_INIT(ORDER_MAX);
	int rc;

	if (!scripts_may_run(b) || !has_any(b) || client_runs_scripts(b))
		return 0;
	rc = run_function(b, PHASE_LAYER, find, b, &order, err);
	for (const char *line = aq_str_get(&order); !rc && *line;
	     line = aq_next_line(line)) {
		char name[128], version[128], number[32];

		/* what conda-meta says is the packages' */
		if (sscanf(line, "%127s %127s %31s", name, version, number) == 3 &&
		    aq_lock_find(b->lock, AQ_LOCK_CONDA, name))
			rc = run_one(b, name, version, number, err);
	}
	return rc;
}
