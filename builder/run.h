/* SPDX-License-Identifier: Apache-2.0 */
/* A program of a build: what it is for, what it is given, what came of it. */
#ifndef AQ_BUILDER_RUN_H
#define AQ_BUILDER_RUN_H

#include "builder/builder.h"

/* What a program of a build is for: what it may see, and as whom (cage.h). */
enum phase {
	PHASE_CLIENT, /* resolves, fetches, links; or an interpreter with -I -S */
	PHASE_LAYER,  /* our code, on what packages brought */
	PHASE_PIP,    /* the prefix's own program installs into it */
	PHASE_PROBE,  /* the prefix's own programs are tried */
	PHASE_SHARED, /* our code, on files of shared_dir */
	PHASE_ARCHIVES, /* the same, and on those of the caches */
};

#define RUN_ARGS_MAX 8192
#define RUN_TAIL_LINES 20 /* of the output, for the user */
#define RUN_STAYS "stays\n"

struct command {
	struct aq_strv argv;
	struct aq_strv env;      /* added to the constructed one */
	enum phase phase;
	bool hides_shells;       /* a client that would run link scripts */
	bool stays;   /* once it has answered, RUN_STAYS at the end, for what goes on */
	bool goes_on; /* is done by the one that stayed, if there is one */
	const char *input;       /* standard input; NULL: none */
	size_t input_len;
	struct aq_str *output;   /* standard output; NULL: to the log */
	/* for each line of standard error; NULL: only to the log */
	void (*on_line)(struct build *b, const char *line);
	struct secrets secrets; /* see secrets_for(); none unless it is called */
	struct aq_str errors; /* what it wrote to standard error, its end */
	int exit_code;        /* or 128 + signal */
};
#define COMMAND_INIT(phase_)                                                   \
	{ .argv = AQ_STRV_INIT(RUN_ARGS_MAX), .env = AQ_STRV_INIT(64),         \
	  .phase = (phase_), .errors = AQ_STR_INIT(64 * 1024) }
void command_free(struct command *cmd);
#define cleanup_command __attribute__((cleanup(command_free)))

/* Run it in the cage until it ends.  Returns 0 if it could be run, whatever its
 * exit code; AQ_SYS otherwise: not started, over the deadline, cancelled, over
 * its output's cap, b->verdict is then BUILD_ENDED; or what secrets_take() and
 * secrets_judge() say.  A cage that cannot be had is BUILD_FAULT, the node's.
 * Whatever it left running is killed.  What it says is redacted (common/redact.h),
 * but for cmd->output.
 */
AQ_CHECK int run(struct build *b, struct command *cmd, struct aq_err *err);

/* End the one that stayed: it is not needed, or should not see what comes now.  Whatever
 * is run but what goes on does so first.
 */
void run_leave(struct build *b);

/* Call 'fn' in a child in the cage, its text to 'output'.  Fails as run() does, and
 * with AQ_SYS and the text of its error, of whatever class, where 'fn' does.
 */
AQ_CHECK int run_function(struct build *b, enum phase phase,
			  int (*fn)(void *arg, struct aq_str *out,
				    struct aq_err *err),
			  void *arg, struct aq_str *output, struct aq_err *err);

/* Fail with 'what' and the last lines of the command's errors. */
int run_failed(struct build *b, const struct command *cmd, const char *what,
	       enum build_verdict verdict, struct aq_err *err);
/* Whether what a client wrote, 'text', has one of the NULL-terminated 'patterns'. */
bool run_says(const char *text, const char *const patterns[]);

#endif
