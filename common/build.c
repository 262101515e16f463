/* SPDX-License-Identifier: Apache-2.0 */
#include "common/build.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/refs.h"
#include "common/worker.h"

#define ARGS_MAX 32 /* all that there are are 26 */
/* The descriptors are first moved above these, so that none overwrites
 * another.
 */
#define FD_HIGH 16
/* Where a grandchild says who it is, and why it could not execute. */
#define REPORT_FD (AQ_BUILDER_FD_ALIVE + 1)

/* What a builder inherits of an environment: nothing of the user's. */
static char *const builder_env[] = { "PATH=/usr/local/sbin:/usr/local/bin:"
				     "/usr/sbin:/usr/bin:/sbin:/bin",
				     "LANG=C.UTF-8", NULL };

/* NULL: it is not given. */
static void add(struct aq_strv *args, const char *name, const char *value)
{
	if (!value)
		return;
	aq_strv_add(args, name);
	aq_strv_add(args, value);
}

static void add_number(struct aq_strv *args, const char *name, uint32_t value)
{
	aq_strv_add(args, name);
	aq_strv_add_fmt(args, "%u", value);
}

/* What it is to do, and for whom. */
static void add_purpose(struct aq_strv *args, const struct aq_build_start *s)
{
	if (s->is_personal)
		aq_strv_add(args, "--personal");
	if (s->prefetch)
		add_number(args, "--prefetch", s->prefetch);
	if (s->is_private)
		aq_strv_add(args, "--private");
	add(args, "--base", s->as_base);
	if (s->is_explain)
		aq_strv_add(args, "--explain");
	add(args, "--fetch", s->fetch);
	if (s->is_refresh)
		add_number(args, "--refresh", s->job);
	add(args, "--again", s->again);
}

static int make_args(const struct aq_build_start *s, struct aq_strv *args,
		     struct aq_err *err)
{
	char workflow[AQ_WORKFLOW_TEXT_SIZE];

	aq_strv_add(args, "aq-builder");
	add(args, "--config", s->conf_path);
	add(args, "--node", s->node);
	add_purpose(args, s);
	if (s->step) {
		aq_strv_add(args, "--step");
		aq_strv_add_fmt(args, "%u.%u.%u", s->step->job, s->step->step,
				s->step->het);
	}
	if (s->nodes)
		add_number(args, "--nodes", s->nodes);
	if (s->uid)
		add_number(args, "--uid", s->uid);
	if (s->workflow && s->workflow->name[0]) {
		aq_workflow_print(s->workflow, workflow);
		aq_strv_add(args, "--workflow");
		aq_strv_add_fmt(args, "%u/%s", s->workflow->uid, workflow);
	}
	return aq_strv_done(args, "the builder's arguments", err);
}

/* Put the descriptors at their places and close all others.  'report' goes
 * behind them and is closed by exec.
 */
static bool arrange_fds(const struct aq_build_start *s, int report)
{
	const int from[] = { s->answer_fd, s->request_fd, s->progress_fd,
			     s->alive_fd, report };
	const int to[] = { AQ_BUILDER_FD_ANSWER, AQ_BUILDER_FD_REQUEST,
			   AQ_BUILDER_FD_PROGRESS, AQ_BUILDER_FD_ALIVE,
			   REPORT_FD };
	int high[ARRAY_LEN(from)];

	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, FD_HIGH);
		if (from[i] >= 0 && high[i] < 0)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		close(to[i]);
		if (high[i] >= 0 && dup2(high[i], to[i]) < 0)
			return false;
	}
	if (!aq_close_others(to, ARRAY_LEN(to)))
		return false;
	return fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) == 0;
}

/* The personal cache's place is told by these two; nothing else of a person's
 * environment reaches the builder.
 */
static char **personal_env(char *env[5])
{
	const char *const names[] = { "HOME", "XDG_CACHE_HOME" };
	static char kept[2][4096];
	size_t n = 0;

	env[n++] = builder_env[0];
	env[n++] = builder_env[1];
	for (size_t i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);

		if (!value || (size_t)snprintf(kept[i], sizeof(kept[i]),
					       "%s=%s", names[i], value) >=
				      sizeof(kept[i]))
			continue;
		env[n++] = kept[i];
	}
	env[n] = NULL;
	return env;
}

static void grandchild(const struct aq_build_start *s, char *args[],
		       char *const env[], int report)
	__attribute__((noreturn));
static void grandchild(const struct aq_build_start *s, char *args[],
		       char *const env[], int report)
{
	int errnum = (int)getpid();

	/* first of all: what follows may hang */
	while (write(report, &errnum, sizeof(errnum)) < 0 && errno == EINTR)
		;
	setsid();
	aq_come_clean();
	aq_worker_lift_bound();
	if (arrange_fds(s, report)) {
		report = REPORT_FD;
		execve(s->builder, args, env);
	}
	errnum = errno;
	while (write(report, &errnum, sizeof(errnum)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* A number that the grandchild says: 1; 0: it never will; -1: not until then. */
static int hear(int fd, int64_t until_ms, int *ret)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until_ms - aq_now_ms();
		int rc = poll(&p, 1, left > 0 ? (int)left : 0);
		ssize_t n;

		if (rc == 0)
			return -1;
		n = rc < 0 ? rc : read(fd, ret, sizeof(*ret));
		if (n < 0 && errno == EINTR)
			continue;
		return n == (ssize_t)sizeof(*ret);
	}
}

/* Where the builder lies a disk may hang: who waits for it is a task that nobody
 * can cancel yet, and one that cannot be ended drains its node.
 */
static int hear_of_start(int fd, const struct aq_build_start *s,
			 struct aq_err *err)
{
	int start_ms = s->start_ms ? s->start_ms : AQ_BUILD_START_MS;
	int64_t until = aq_now_ms() + start_ms;
	int pid = -1, errnum = 0, rc;

	if (hear(fd, until, &pid) != 1)
		return aq_fail(err, AQ_SYS, "cannot start '%s': cannot fork",
			       s->builder);
	rc = hear(fd, until, &errnum);
	if (rc == 1) {
		errno = errnum;
		return aq_fail_errno(err, "cannot start '%s'", s->builder);
	}
	if (rc == 0) /* end of file: it was executed */
		return 0;
	/* it has the pipe open, so the number is still its own */
	kill(pid, SIGKILL);
	return aq_fail(err, AQ_SYS, "'%s' did not start within %d ms (a hanging disk?)",
		       s->builder, start_ms);
}

/* Fork twice, so that init reaps the builder and the host sees no SIGCHLD of
 * its own but the middle one's, which is waited for here.
 */
int aq_build_spawn(const struct aq_build_start *start, struct aq_err *err)
{
	cleanup_close int in = -1;
	cleanup_strv struct aq_strv args = AQ_STRV_INIT(ARGS_MAX);
	char *kept[5];
	char *const *env = builder_env;
	int report[2];
	pid_t pid;

	if (make_args(start, &args, err) != 0)
		return AQ_SYS;
	if (start->is_personal)
		env = personal_env(kept);
	if (pipe2(report, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	in = report[0];
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			grandchild(start, args.v, env, report[1]);
		_exit(pid < 0);
	}
	close(report[1]);
	if (pid < 0)
		return aq_fail_errno(err, "cannot fork");
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return hear_of_start(in, start, err);
}
