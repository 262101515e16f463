/* SPDX-License-Identifier: Apache-2.0 */
/* aq-rattler, the bundled client: see its --help for what it takes and prints.
 */
#include <stdio.h>
#include <string.h>

#include "builder/dialect.h"
#include "builder/packages.h"
#include "builder/shared.h"

/* The request cannot be met, or what it asks for is not to be had by anybody. */
#define EXIT_REFUSED 3
/* Another archive's package has the place of one of the lock's. */
#define EXIT_TAKEN 4
/* How long after one archive another may come, in seconds: starting a client again for it
 * costs more than a wait, and nothing else is heard meanwhile.
 */
#define UNPACK_WAIT_S "2"
/* Downloads at once of one of several nodes that fetch: what is whole soon others unpack
 * meanwhile, and less is on its way to who ends.
 */
#define AMONG_OTHERS "2"
#define INPUT_MAX (AQ_LOCK_MAX + PACKAGES_SAID_MAX)

static void start_in(const struct build *b, struct command *cmd,
		     const char *program, const char *verb, const char *cache)
{
	secrets_for(&cmd->secrets, SECRETS_OF_CHANNELS,
		    client_takes(dialect_bundled.name));
	aq_strv_add(&cmd->argv, program);
	aq_strv_add(&cmd->argv, verb);
	aq_strv_add(&cmd->argv, "--platform");
	aq_strv_add(&cmd->argv, aq_platform_subdir());
	aq_strv_add(&cmd->argv, "--cache");
	aq_strv_add_fmt(&cmd->argv, "%s/%s", b->inside, cache);
}

static void start(const struct build *b, struct command *cmd,
		  const char *program, const char *verb)
{
	start_in(b, cmd, program, verb, "pkgs");
}

static void on_line(struct build *b, const char *line)
{
	unsigned int done, of;

	if (aq_starts_with(line, "progress: "))
		say(b, "%s", line + strlen("progress: "));
	else if (sscanf(line, "done: %6u %6u", &done, &of) == 2)
		say_done(b, done, of);
}

/* Whether no other program runs between solving and linking. */
static bool links_next(const struct build *b)
{
	return !b->is_explain && !b->is_fetch && !b->req->pip.n;
}

static int solve(struct build *b, const char *program, struct aq_str *lines,
		 struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc;

	start(b, &cmd, program, "solve");
	client_add_channels(b, &cmd);
	client_add_constraints(b, &cmd, "--constraint", true);
	if (links_next(b))
		aq_strv_add(&cmd.argv, "--stay");
	aq_strv_add(&cmd.argv, "--");
	client_add_specs(b, &cmd);
	cmd.output = lines;
	cmd.on_line = on_line;
	cmd.stays = links_next(b);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the packages cannot be resolved",
			  cmd.exit_code == EXIT_REFUSED ? BUILD_REFUSED :
							  BUILD_FAULT, err);
}

static int tell(struct build *b, const char *program, struct aq_str *lines,
		struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc;

	start(b, &cmd, program, "tell");
	secrets_for(&cmd.secrets, SECRETS_OF_NOTHING, SECRETS_NONE);
	cmd.output = lines;
	rc = run(b, &cmd, err);
	return rc || cmd.exit_code == 0 ? rc :
		run_failed(b, &cmd, "it fails", BUILD_FAULT, err);
}

/* A verb that reads 'lines' of the lock, and what is known of what lies unpacked. */
static int run_on(struct build *b, struct command *cmd, struct aq_str *lines,
		  const char *archives, const char *failed, struct aq_err *err)
{
	int rc;

	/* others have nothing, nor has a cache of its own */
	if (!b->is_fetch && !b->links_alone)
		packages_tell(b, lines);
	rc = aq_str_done(lines, "a client's input", err);
	if (rc)
		return rc;
	if (*archives) {
		aq_strv_add(&cmd->argv, "--archives");
		aq_strv_add_fmt(&cmd->argv, "%s/%s", b->inside, archives);
	}
	cmd->input = lines->s;
	cmd->input_len = lines->len;
	cmd->on_line = on_line;
	rc = run(b, cmd, err);
	if (rc || cmd->exit_code == 0)
		return rc;
	if (cmd->exit_code == EXIT_TAKEN) {
		b->verdict = BUILD_NOT_KEPT;
		b->is_cache_bad = !b->links_alone;
		return aq_fail(err, AQ_SYS, "another archive's package has the place of one of these in the package cache");
	}
	return run_failed(b, cmd, failed,
			  cmd->exit_code == EXIT_REFUSED ? BUILD_REFUSED :
							   BUILD_FAULT, err);
}

static int run_on_lock(struct build *b, struct command *cmd, const char *failed,
		       struct aq_err *err)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(INPUT_MAX);

	aq_str_add_mem(&lines, b->lock->text, b->lock->text_len);
	return run_on(b, cmd, &lines, b->archives, failed, err);
}

static void start_download(const struct build *b, struct command *cmd,
			   const char *program, const char *verb)
{
	start(b, cmd, program, verb);
	if (shared_fetches_alone(b))
		return;
	aq_strv_add(&cmd->argv, "--at-once");
	aq_strv_add(&cmd->argv, AMONG_OTHERS);
}

static int download(struct build *b, const char *program, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str lines = AQ_STR_INIT(INPUT_MAX);

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (item->kind == AQ_LOCK_CONDA)
			aq_str_add_fmt(&lines, "%s %s %s %s %s %s\n",
				       shared_is_wanted(b, item) ? "conda" : "comes",
				       item->url, item->sha256, item->name,
				       item->version, item->build);
	}
	start_download(b, &cmd, program, "fetch");
	if (!b->is_fetch && !b->links_alone)
		aq_strv_add(&cmd.argv, "--unpack");
	return run_on(b, &cmd, &lines, b->archives, "the packages cannot be fetched",
		      err);
}

static int unpack(struct build *b, const char *program, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);

	start(b, &cmd, program, "unpack");
	aq_strv_add(&cmd.argv, "--wait");
	aq_strv_add(&cmd.argv, UNPACK_WAIT_S);
	return run_on_lock(b, &cmd, "the packages cannot be unpacked", err);
}

int bundled_can_run(struct build *b, const char *program, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	int rc;

	aq_strv_add(&cmd.argv, program);
	aq_strv_add(&cmd.argv, "--version");
	rc = run(b, &cmd, err);
	return rc || cmd.exit_code == 0 ? rc :
		run_failed(b, &cmd, "nothing can be fetched for other nodes",
			   BUILD_FAULT, err);
}

int bundled_unpack_into(struct build *b, const char *cache, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	struct aq_err why = { 0 };
	char program[BUILD_PATH_MAX];

	if (!b->archives[0] ||
	    !client_find(dialect_bundled.name, program, sizeof(program)))
		return 0;
	start_in(b, &cmd, program, "unpack", cache);
	aq_strv_add(&cmd.argv, "--record");
	secrets_for(&cmd.secrets, SECRETS_OF_NOTHING, SECRETS_NONE);
	if (run_on_lock(b, &cmd, "the packages cannot be unpacked", &why) == 0 ||
	    b->verdict != BUILD_ENDED)
		return 0;
	return aq_fail(err, AQ_SYS, "%s", why.text);
}

int bundled_download_wheels(struct build *b, const char *program,
			    struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);
	cleanup_str struct aq_str lines = AQ_STR_INIT(INPUT_MAX);

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (item->kind == AQ_LOCK_WHEEL && shared_is_wanted(b, item))
			aq_str_add_fmt(&lines, "wheel %s %s\n", item->url,
				       item->sha256);
	}
	start_download(b, &cmd, program, "fetch-wheels");
	secrets_for(&cmd.secrets, SECRETS_OF_WHEELS,
		    client_takes(dialect_bundled.name));
	return run_on(b, &cmd, &lines, b->wheels, "the wheels cannot be fetched",
		      err);
}

static int link_prefix(struct build *b, const char *program,
		       struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(PHASE_CLIENT);

	start(b, &cmd, program, "link");
	cmd.goes_on = true;
	aq_strv_add(&cmd.argv, "--prefix");
	aq_strv_add(&cmd.argv, b->prefix);
	client_add_channels(b, &cmd);
	return run_on_lock(b, &cmd, "the packages cannot be installed", err);
}

const struct dialect dialect_bundled = {
	.name = "aq-rattler",
	.solve = solve,
	.tell = tell,
	.download = download,
	.unpack = unpack,
	.link = link_prefix,
	.can_constrain = true,
};
