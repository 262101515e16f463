/* SPDX-License-Identifier: Apache-2.0 */
/* uv.  It asks an interpreter what it is before anything else.  Where the caches can
 * be written that is a base's without its packages (bare.c), and --prefix says for
 * where; a prefix without such a base is installed into with its own interpreter,
 * as its own pip would, without caches.
 */
#include <stdio.h>
#include <string.h>

#include "builder/cage.h"
#include "builder/dialect.h"
#include "builder/inherit.h"
#include "builder/known.h"
#include "builder/pip.h"
#include "builder/prefix.h"
#include "builder/pylock.h"
#include "builder/shared.h"
#include "common/direct.h"

bool uv_find(const struct build *b, char *ret, size_t size)
{
	return client_choose_pip(b->conf->pip_client, ret, size, NULL) == 0;
}

/* It is added to the arguments. */
static int add_base_python(const struct build *b, const char *env,
			   struct command *cmd, struct aq_err *err)
{
	char path[BUILD_PATH_MAX];

	bare_name(b, env, path);
	aq_strv_add(&cmd->argv, "--python");
	aq_strv_add_fmt(&cmd->argv, "%s/bin/python", path);
	return bare_make(b, env, err);
}

/* It asks nobody, and reads no configuration but the repository's own. */
static void add_git(const struct build *b, struct command *cmd)
{
	aq_strv_add(&cmd->env, "GIT_TERMINAL_PROMPT=0");
	aq_strv_add(&cmd->env, "GIT_CONFIG_NOSYSTEM=1");
	aq_strv_add(&cmd->env, "GIT_CONFIG_GLOBAL=/dev/null");
	if (*b->conf->ca_bundle)
		aq_strv_add_fmt(&cmd->env, "GIT_SSL_CAINFO=%s",
				b->conf->ca_bundle);
}

static void start(const struct build *b, struct command *cmd, const char *uv,
		  const char *verb)
{
	secrets_for(&cmd->secrets, SECRETS_OF_WHEELS,
		    cmd->phase == PHASE_CLIENT ? client_takes("uv") :
						 SECRETS_NONE);
	aq_strv_add(&cmd->argv, uv);
	aq_strv_add(&cmd->argv, "pip");
	aq_strv_add(&cmd->argv, verb);
	aq_strv_add(&cmd->argv, "--no-config");
	if (!b->has_sources)
		aq_strv_add(&cmd->argv, "--no-build");
	for (size_t i = 0; i < b->req->sources.n; i++) {
		aq_strv_add(&cmd->argv, "--no-binary");
		aq_strv_add(&cmd->argv, b->req->sources.v[i]);
	}
	if (b->has_sources)
		add_git(b, cmd);
	aq_strv_add(&cmd->argv, "--no-python-downloads");
	if (cmd->phase == PHASE_CLIENT) {
		aq_strv_add(&cmd->argv, "--cache-dir");
		aq_strv_add_fmt(&cmd->argv, "%s/wheels", b->inside);
	} else {
		aq_strv_add(&cmd->argv, "--no-cache");
	}
	pip_add_sources(b, cmd, "--default-index");
}

/* -- resolving -- */

#define PYLOCK "pylock.toml"
#define PINS "requirements.txt"

/* 'constraints' besides the request's own; 'base': over b->base.  'format' is
 * "pylock.toml", or "requirements.txt" for names and versions only.
 */
static int compile(struct build *b, const char *uv, const char *constraints,
		   bool base, const char *format, struct aq_str *output,
		   struct command *cmd, struct aq_err *err)
{
	cleanup_str struct aq_str in = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str all = AQ_STR_INIT(PIP_TEXT_MAX);
	char file[BUILD_PATH_MAX];
	int rc;

	pip_add_lines(&in, &b->req->pip);
	pip_add_lines(&all, &b->req->constraints);
	aq_str_add(&all, constraints);
	rc = cage_pass_file(b, "constraints", "txt", aq_str_get(&all), all.len,
			     file, err);
	if (rc)
		return rc;
	start(b, cmd, uv, "compile");
	aq_strv_add(&cmd->argv, "--format");
	aq_strv_add(&cmd->argv, format);
	aq_strv_add(&cmd->argv, "--no-header");
	aq_strv_add(&cmd->argv, "--no-annotate");
	aq_strv_add(&cmd->argv, "--quiet");
	if (b->stubs[0]) {
		aq_strv_add(&cmd->argv, "--find-links");
		aq_strv_add(&cmd->argv, b->stubs);
	}
	if (b->has_sources) { /* what is built is built by it */
		aq_strv_add(&cmd->argv, "--python");
		aq_strv_add_fmt(&cmd->argv, "%s/bin/python", b->prefix);
	} else if (base) {
		rc = add_base_python(b, b->base.env, cmd, err);
		if (rc)
			return rc;
	} else {
		aq_strv_add(&cmd->argv, "--python-version");
		aq_strv_add(&cmd->argv, b->lock->python);
	}
	aq_strv_add(&cmd->argv, "--constraints");
	aq_strv_add(&cmd->argv, file);
	aq_strv_add(&cmd->argv, "-");
	cmd->input = aq_str_get(&in);
	cmd->input_len = in.len;
	cmd->output = output;
	return run(b, cmd, err);
}

/* The files that the request names are what they were at submission; and what those
 * need is as the policy has it.
 */
static int check_direct(const struct build *b, const char *lines,
			struct aq_err *err)
{
	if (b->conf->policy[AQ_INPUT_VCS] == AQ_POLICY_REFUSE &&
	    (aq_starts_with(lines, "vcs ") || strstr(lines, "\nvcs ")))
		return aq_policy_check(b->conf->policy, AQ_INPUT_VCS,
				       "what a package needs", err);
	for (size_t i = 0; i < b->req->pip.n; i++) {
		const char *sha256 = aq_direct_sha256(b->req->pip.v[i]);
		char digest[AQ_SHA256_HEX_SIZE];

		if (!sha256)
			continue;
		snprintf(digest, sizeof(digest), "%s", sha256);
		if (!strstr(lines, digest))
			return aq_fail(err, AQ_USER,
				       "'%.*s' is another file on this node than when it was asked for: submit again",
				       (int)strcspn(b->req->pip.v[i], "#"),
				       b->req->pip.v[i]);
	}
	return 0;
}

static int take_pylock(struct build *b, const char *pylock,
		       const struct aq_strv *known, struct aq_str *wheels,
		       struct aq_err *err)
{
	int rc = pylock_read(pylock, known, &b->req->sources, wheels, err);

	if (!rc && b->has_sources)
		rc = check_direct(b, aq_str_get(wheels), err);
	if (rc == AQ_USER)
		b->verdict = BUILD_REFUSED;
	return rc;
}

static int fail_solve(struct build *b, const struct command *cmd,
		      bool is_refused, struct aq_err *err)
{
	return run_failed(b, cmd, "the pip requirements cannot be resolved",
			  is_refused ? BUILD_REFUSED : BUILD_FAULT, err);
}

/* Whether conda brings Python packages beyond what a Python comes with. */
static bool has_conda_packages(const struct aq_request *req)
{
	static const char *const usual[] = { "pip", "setuptools", "wheel",
					     "python" };
	size_t n = 0;

	for (size_t i = 0; i < req->conda.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(usual); k++)
			n += strcmp(req->conda.v[i], usual[k]) == 0;
	return n < req->conda.n;
}

static int solve_freely(struct build *b, const char *uv, struct aq_str *lines,
			struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str pylock = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str all = AQ_STR_INIT(PIP_TEXT_MAX);
	int rc = compile(b, uv, "", false, PYLOCK, &pylock, &cmd, err);

	if (rc)
		return rc;
	if (cmd.exit_code != 0)
		return fail_solve(b, &cmd,
				  run_says(aq_str_get(&cmd.errors), pip_refusals),
				  err);
	rc = take_pylock(b, aq_str_get(&pylock), NULL, &all, err);
	if (!rc)
		pip_add_missing(b->lock, aq_str_get(&all), lines);
	return rc;
}

/* What conda brings stays as it is; AQ_MISS: it cannot. */
static int solve_over_conda(struct build *b, const char *uv,
			    struct aq_str *lines, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str pylock = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str constraints = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	bool is_refused;
	int rc = stubs_make_of_conda(b, err);

	if (!rc)
		rc = stubs_read(b, &known, &constraints, err);
	if (!rc)
		rc = compile(b, uv, aq_str_get(&constraints), false, PYLOCK,
			     &pylock, &cmd, err);
	if (rc)
		return rc;
	if (cmd.exit_code == 0)
		return take_pylock(b, aq_str_get(&pylock), &known, lines, err);
	is_refused = run_says(aq_str_get(&cmd.errors), pip_refusals);
	/* a prefix of one's own may have what the base's cannot */
	if (!is_refused || b->kind == AQ_ENV_LINKED)
		return fail_solve(b, &cmd, is_refused, err);
	return AQ_MISS;
}

/* -- what is built from source -- */

struct inside {
	const char *uv;
	struct aq_str *lines;
};

/* What conda brings stays, if it can: its versions are constraints.  Its stubs are
 * no place to find packages: what builds needs whole ones.
 */
static int add_conda(struct build *b, struct aq_str *constraints,
		     struct aq_err *err)
{
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	int rc = stubs_make_of_prefix(b, err);

	if (!rc)
		rc = stubs_read(b, &known, constraints, err);
	b->stubs[0] = '\0';
	return rc;
}

/* One resolution; *ret_is_refused instead of a failure that another may not have. */
static int solve_with(struct build *b, const struct inside *in,
		      const char *constraints, bool *ret_is_refused,
		      struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str pylock = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str all = AQ_STR_INIT(PIP_TEXT_MAX);
	int rc = compile(b, in->uv, constraints, false, PYLOCK, &pylock, &cmd,
			 err);

	if (rc)
		return rc;
	*ret_is_refused = cmd.exit_code != 0 &&
			  run_says(aq_str_get(&cmd.errors), pip_refusals);
	if (*ret_is_refused && *constraints)
		return 0;
	if (cmd.exit_code != 0)
		return fail_solve(b, &cmd, *ret_is_refused, err);
	rc = take_pylock(b, aq_str_get(&pylock), NULL, &all, err);
	if (!rc)
		pip_add_missing(b->lock, aq_str_get(&all), in->lines);
	return rc;
}

/* In a prefix that has conda's part: its interpreter says what sources need. */
static int solve_inside(struct build *b, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str constraints = AQ_STR_INIT(PIP_TEXT_MAX);
	bool is_refused = true;
	int rc = 0;

	if (has_conda_packages(b->req)) {
		rc = add_conda(b, &constraints, err);
		if (!rc)
			rc = solve_with(b, arg, aq_str_get(&constraints),
					&is_refused, err);
	}
	return rc || !is_refused ? rc :
				   solve_with(b, arg, "", &is_refused, err);
}

int uv_solve(struct build *b, const char *uv, struct aq_str *lines,
	     struct aq_err *err)
{
	struct inside inside = { uv, lines };
	int rc;

	if (b->has_sources)
		return prefix_try(b, solve_inside, &inside, err);
	rc = has_conda_packages(b->req) ?
		     solve_over_conda(b, uv, lines, err) : AQ_MISS;
	if (rc != AQ_MISS)
		return rc;
	b->stubs[0] = '\0';
	return solve_freely(b, uv, lines, err);
}

/* One resolution over the base; a refusal is AQ_MISS, since it conflicts. */
static int compile_over_base(struct build *b, const char *uv,
			     const char *constraints, const char *format,
			     struct aq_str *output, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc = compile(b, uv, constraints, true, format, output, &cmd, err);

	if (rc || cmd.exit_code == 0)
		return rc;
	if (!run_says(aq_str_get(&cmd.errors), pip_refusals))
		return fail_solve(b, &cmd, false, err);
	return inherit_miss(err, "its packages conflict with the request",
			    aq_str_get(&cmd.errors));
}

/* Names and versions take a tenth of the time that wheels and hashes do: those
 * are known after the first time.
 */
int uv_solve_over_base(struct build *b, const char *uv, struct aq_str *lines,
		       struct aq_err *err)
{
	cleanup_str struct aq_str pins = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str pylock = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str wheels = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_str struct aq_str constraints = AQ_STR_INIT(PIP_TEXT_MAX);
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	int rc = stubs_read(b, &known, &constraints, err);

	if (!rc)
		rc = compile_over_base(b, uv, aq_str_get(&constraints), PINS,
				       &pins, err);
	if (rc || (!b->is_refresh &&
		   known_find(b, aq_str_get(&pins), &known, lines)))
		return rc;
	rc = compile_over_base(b, uv, aq_str_get(&constraints), PYLOCK, &pylock,
			       err);
	if (!rc)
		rc = take_pylock(b, aq_str_get(&pylock), &known, &wheels, err);
	if (rc)
		return rc;
	known_note(b, aq_str_get(&wheels));
	aq_str_add_mem(lines, aq_str_get(&wheels), wheels.len);
	return 0;
}

/* -- installing -- */

static int pass_lock(struct build *b, char ret_inside[BUILD_PATH_MAX],
		     struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PIP_TEXT_MAX);
	const struct pylock_files files = { shared_find_wheel, b };

	pylock_write(b->lock, &files, &text);
	return cage_pass_file(b, "pylock", "toml", aq_str_get(&text), text.len,
			      ret_inside, err);
}

int uv_install(struct build *b, const char *uv, struct aq_err *err)
{
	const char *base = bare_env(b);
	bool is_client = *base || b->is_personal || b->is_private;
	cleanup_command struct command cmd =
		COMMAND_INIT(is_client ? PHASE_CLIENT : PHASE_PIP);
	char file[BUILD_PATH_MAX];
	int rc = client_share_wheels(b, is_client, err);

	if (!rc)
		rc = pass_lock(b, file, err);
	if (rc)
		return rc;
	start(b, &cmd, uv, "install");
	aq_strv_add(&cmd.argv, "--no-deps");
	aq_strv_add(&cmd.argv, "--break-system-packages");
	/* shared with the cache: its files, and their byte-code */
	aq_strv_add(&cmd.argv, "--link-mode");
	aq_strv_add(&cmd.argv, is_client && !b->is_private ? "hardlink" : "copy");
	if (!rc && *base) {
		aq_strv_add(&cmd.argv, "--prefix");
		aq_strv_add(&cmd.argv, b->prefix);
		rc = add_base_python(b, base, &cmd, err);
	} else {
		aq_strv_add(&cmd.argv, "--python");
		aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->prefix);
	}
	aq_strv_add(&cmd.argv, "--requirements");
	aq_strv_add(&cmd.argv, file);
	if (!rc)
		rc = is_client ? run(b, &cmd, err) : cage_run_pip(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the pip requirements cannot be installed",
			  BUILD_FAULT, err);
}
