/* SPDX-License-Identifier: Apache-2.0 */
/* A program in the cage, under a deadline, and nothing of it left behind: in
 * its own pid namespace, whose first process it is; a personal build has no
 * cage and ends its process group.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "builder/held.h"
#include "builder/host.h"
#include "builder/limits.h"
#include "builder/run_inside.h"
#include "builder/shared.h"
#include "builder/turn.h"
#include "common/clock.h"
#include "common/redact.h"

/* How often a running program's deadline and waiters are looked at, in
 * milliseconds: a cancelled step's build ends well within its two seconds.
 */
#define WATCH_MS 100
/* What was killed is waited for this long, looking so often, in milliseconds: on a
 * loaded machine dying takes its time; a disk that hangs keeps who writes to it.
 */
#define DEATH_MS 10000
#define DEATH_POLL_MS 2
/* A build's log, in bytes: a client that floods is ended. */
#define LOG_MAX (16 * 1024 * 1024)
#define LINE_MAX_BYTES 4096

void command_free(struct command *cmd)
{
	aq_strv_free(&cmd->argv);
	aq_strv_free(&cmd->env);
	aq_str_free(&cmd->errors);
	secrets_free(&cmd->secrets);
}

struct stream {
	int fd;
	struct aq_str *to;  /* all of it; or NULL */
	struct aq_str *end; /* its end; or NULL */
	bool is_logged;
	void (*on_line)(struct build *b, const char *line);
	char line[LINE_MAX_BYTES];
	size_t line_len;
	struct build *build;
	struct held held; /* not said yet */
};

/* Keep the last half of what fits. */
static void keep_end(struct aq_str *end, const char *text, size_t len)
{
	if (end->len + len > end->max && end->len > end->max / 2) {
		memmove(end->s, end->s + end->len - end->max / 2,
			end->max / 2);
		aq_str_truncate(end, end->max / 2);
	}
	aq_str_add_mem(end, text, len);
}

static void give_lines(struct build *b, struct stream *s, const char *text,
		       size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool is_end = text[i] == '\n' || text[i] == '\r';

		if (!is_end && s->line_len < sizeof(s->line) - 1) {
			s->line[s->line_len++] = text[i] ? text[i] : '?';
		} else if (is_end && s->line_len) {
			s->line[s->line_len] = '\0';
			s->on_line(b, s->line);
			s->line_len = 0;
		}
	}
}

/* Of what it says, to those who read it. */
static void pass_on(void *arg, const char *text, size_t len)
{
	struct stream *s = arg;
	struct build *b = s->build;

	if (s->end)
		keep_end(s->end, text, len);
	if (s->is_logged && b->log_len < LOG_MAX)
		say_to_log(b, text, len);
	if (s->on_line)
		give_lines(b, s, text, len);
}

/* False: its end, or too much. */
static bool read_stream(struct build *b, struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	if (s->to)
		aq_str_add_mem(s->to, buf, (size_t)n);
	else
		held_add(&s->held, buf, (size_t)n);
	b->log_len += s->is_logged ? (size_t)n : 0;
	return true;
}

/* Why a running program must be ended now, or NULL. */
static const char *must_end(struct build *b, const struct stream s[2])
{
	if (aq_now_ms() > b->deadline_ms)
		return "the build took longer than build_timeout allows";
	if (turn_is_over(b))
		return "the build was cancelled: nobody waits for it any more";
	if (b->log_len >= LOG_MAX || (s[0].to && s[0].to->broken))
		return "the build's output is over its limit";
	return NULL;
}

/* What was killed may write for as long as it takes to die: the first process of the
 * pid namespace, whose parent has died, is ours now (main() makes us the reaper
 * of our descendants), and it ends after all others.
 */
static void wait_for_all(void)
{
	int64_t deadline = aq_now_ms() + DEATH_MS;
	pid_t pid = 0;

	while (pid >= 0 && aq_now_ms() < deadline) {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid == 0)
			poll(NULL, 0, DEATH_POLL_MS);
	}
}

void run_end(struct build *b, pid_t pid, int *ret_status)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	shared_end(b); /* it is no program's, and would be waited for */
	if (!b->is_personal)
		wait_for_all();
}

/* Until the child has ended, or has answered and *ret_stays, if there is one, is set.
 * Returns its status.
 */
static int attend(struct build *b, pid_t pid, enum phase phase,
		  struct stream s[2], bool *ret_stays, const char **ret_why)
{
	/* readable once the child has ended; -1 before Linux 5.3 */
	cleanup_close int child = (int)syscall(SYS_pidfd_open, pid, 0);
	bool is_over = false;
	int status = 0;

	for (;;) {
		struct pollfd p[3] = { { .fd = s[0].fd, .events = POLLIN },
				       { .fd = s[1].fd, .events = POLLIN },
				       { .fd = child, .events = POLLIN } };

		/* once only: afterwards there is no such child */
		if (!is_over)
			is_over = waitpid(pid, &status, WNOHANG) == pid;
		if (poll(p, 3, is_over ? 0 : WATCH_MS) < 0 && errno != EINTR)
			break;
		for (int i = 0; i < 2; i++)
			if (s[i].fd >= 0 && p[i].revents &&
			    !read_stream(b, &s[i]))
				aq_close_fd(&s[i].fd);
		if (is_over && !p[0].revents && !p[1].revents) {
			if (ret_stays) /* it did not, in the end */
				(void)run_has_answered(s[0].to);
			return status;
		}
		if (is_over)
			continue;
		if (ret_stays && run_has_answered(s[0].to)) {
			*ret_stays = true;
			return 0;
		}
		*ret_why = must_end(b, s);
		if (!*ret_why)
			*ret_why = limits_look_at_disk(b, phase, false);
		if (*ret_why)
			break;
	}
	run_end(b, pid, &status);
	return status;
}

bool run_make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return true;
}

/* Standard input as a file: no pipe to feed while output is read. */
static int make_input(const char *text, size_t len)
{
	cleanup_close int fd = -1;

	if (!text)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return steal_fd(&fd);
}

/* What a child said of its cage, once all of it has ended. */
static int read_fault(struct build *b, int fd, struct aq_err *err)
{
	char text[256];
	ssize_t n;

	do
		n = read(fd, text, sizeof(text) - 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	b->verdict = BUILD_FAULT;
	return aq_fail(err, AQ_SYS, "the cage of builds: %s: nothing is built on this node without (mount, pid, ipc, uts and network namespaces; 'aq doctor' says more)",
		       text);
}

static int start(struct build *b, struct child *c, const struct command *cmd,
		 struct program *ret, struct aq_err *err)
{
	cleanup_close int in = -1, out = -1, errors = -1, fault = -1;
	bool has_in = true;

	run_leave(b);
	if (cmd && cmd->stays)
		has_in = run_make_pipe(&in, &ret->to);
	else
		in = make_input(cmd ? cmd->input : NULL, cmd ? cmd->input_len : 0);
	if (!has_in || in < 0 || !run_make_pipe(&ret->from, &out) ||
	    !run_make_pipe(&ret->errors, &errors) ||
	    !run_make_pipe(&ret->fault, &fault) ||
	    fcntl(ret->fault, F_SETFL, O_NONBLOCK) < 0)
		return aq_fail_errno(err, "cannot make pipes for a program");
	c->in = in;
	c->out = out;
	c->err = errors;
	c->fault = fault;
	if (!b->is_personal)
		confine_begin(b, c->phase);
	ret->pid = run_start(c);
	return ret->pid < 0 ? aq_fail_errno(err, "cannot fork") : 0;
}

/* It has ended, and nothing of it is left; or it stays. */
static void let_go(struct build *b, struct program *p, struct stream s[2],
		   bool stays)
{
	for (int i = 0; i < 2; i++)
		held_end(&s[i].held);
	p->from = s[0].fd;
	p->errors = s[1].fd;
	if (stays) {
		b->staying = *p;
		b->staying.fault = p->to = p->from = p->errors = -1;
		return;
	}
	kill(-p->pid, SIGKILL); /* what a personal build left running */
	cgroup_kill_others(b->cgroup);
}

static int supervise(struct build *b, struct child *c, struct stream s[2],
		     const struct command *cmd, int *ret_status,
		     struct aq_err *err)
{
	__attribute__((cleanup(run_close))) struct program p = PROGRAM_NONE;
	const char *why = NULL;
	bool stays = false;
	int rc = cmd && cmd->goes_on && b->staying.pid ?
		run_go_on(b, cmd, &p, err) : start(b, c, cmd, &p, err);

	if (rc)
		return rc;
	for (int i = 0; i < 2; i++) {
		s[i].fd = i == 0 ? p.from : p.errors;
		s[i].build = b;
		s[i].held.say = pass_on;
		s[i].held.arg = &s[i];
	}
	*ret_status = attend(b, p.pid, c->phase, s,
			     cmd && cmd->stays ? &stays : NULL, &why);
	let_go(b, &p, s, stays);
	if (!why)
		why = limits_look_at_disk(b, c->phase, true);
	if (!why && *ret_status != 0)
		why = limits_met(b, c->phase);
	b->verdict = why || WIFSIGNALED(*ret_status) ? BUILD_ENDED :
						       BUILD_FAULT;
	return why ? aq_fail(err, AQ_SYS, "%s", why) :
		     read_fault(b, p.fault, err);
}

static int code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

/* What a program gets of an environment: nothing of the user's. */
static void make_env(struct build *b, enum phase phase, bool fetches,
		     struct aq_strv *env)
{
	const struct aq_conf *conf = b->conf;
	bool is_client = phase == PHASE_CLIENT;

	aq_strv_add(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
			 "/usr/bin:/sbin:/bin");
	aq_strv_add(env, "LANG=C.UTF-8");
	aq_strv_add_fmt(env, "HOME=%s/%s", b->inside,
			is_client ? "home" : b->scratch);
	/* what an interpreter would leave is checked against its source at each
	 * start; bytecode.c makes what is not
	 */
	aq_strv_add(env, "PYTHONDONTWRITEBYTECODE=1");
	aq_strv_add_fmt(env, "TMPDIR=%s/%s", b->inside,
			is_client ? "tmp" : b->scratch);
	if (is_client)
		host_add_overrides(b, env);
	if (!phase_form(phase)->has_network)
		return;
	if (*conf->ca_bundle) {
		aq_strv_add_fmt(env, "SSL_CERT_FILE=%s", conf->ca_bundle);
		aq_strv_add_fmt(env, "REQUESTS_CA_BUNDLE=%s", conf->ca_bundle);
	}
	if (*conf->proxy && fetches) { /* it may have a password */
		aq_strv_add_fmt(env, "http_proxy=%s", conf->proxy);
		aq_strv_add_fmt(env, "https_proxy=%s", conf->proxy);
	}
}

int run(struct build *b, struct command *cmd, struct aq_err *err)
{
	struct child c = { .b = b, .phase = cmd->phase,
			   .hides_shells = cmd->hides_shells };
	struct stream s[2] = {
		{ .fd = -1, .to = cmd->output, .is_logged = !cmd->output },
		{ .fd = -1, .end = &cmd->errors, .is_logged = true,
		  .on_line = cmd->on_line },
	};
	int64_t since_us = aq_now_us();
	int status = 0;
	int rc = secrets_take(b, cmd, err);

	make_env(b, cmd->phase, cmd->secrets.of != SECRETS_OF_NOTHING, &cmd->env);
	if (!rc)
		rc = aq_strv_done(&cmd->env, "a program's environment", err);
	if (!rc)
		rc = aq_strv_done(&cmd->argv, "a program's arguments", err);
	if (rc)
		return rc;
	if (!cmd->output)
		s[0].end = &cmd->errors;
	c.argv = cmd->argv.v;
	c.env = cmd->env.v;
	c.secrets = &cmd->secrets;
	s[0].held.secrets = s[1].held.secrets = &cmd->secrets.known;
	rc = supervise(b, &c, s, cmd, &status, err);
	parts_add_program(&b->parts, aq_now_us() - since_us);
	cmd->exit_code = code_of(status);
	return rc || !cmd->exit_code ? rc : secrets_judge(b, cmd, err);
}

int run_function(struct build *b, enum phase phase,
		 int (*fn)(void *arg, struct aq_str *out, struct aq_err *err),
		 void *arg, struct aq_str *output, struct aq_err *err)
{
	cleanup_str struct aq_str errors = AQ_STR_INIT(AQ_ERR_TEXT_MAX);
	cleanup_str struct aq_str made = AQ_STR_INIT(output->max);
	struct child c = { .b = b, .phase = phase, .fn = fn, .arg = arg,
			   .fn_out = &made };
	struct stream s[2] = { { .fd = -1, .to = output },
			       { .fd = -1, .end = &errors,
				 .is_logged = true } };
	int status = 0;
	int rc = supervise(b, &c, s, NULL, &status, err);

	if (rc)
		return rc;
	if (code_of(status) != 0)
		return aq_fail(err, AQ_SYS, "%.1000s", aq_str_get(&errors));
	return aq_str_done(output, "a program's output", err);
}

/* The last RUN_TAIL_LINES lines of 'text'. */
static const char *tail_of(const char *text)
{
	const char *p = text + strlen(text);
	int lines = 0;

	while (p > text && p[-1] == '\n')
		p--;
	while (p > text && (p[-1] != '\n' || ++lines < RUN_TAIL_LINES))
		p--;
	return p;
}

int run_failed(struct build *b, const struct command *cmd, const char *what,
	       enum build_verdict verdict, struct aq_err *err)
{
	cleanup_str struct aq_str clean = AQ_STR_INIT(4 * cmd->errors.max);
	cleanup_free char *text = NULL;
	const char *limit;

	/* what was added to it since (mamba.c) */
	aq_redact(&clean, aq_str_get(&cmd->errors), cmd->errors.len,
		  &cmd->secrets.known);
	text = strdup(tail_of(aq_str_get(&clean)));
	limit = limits_say(b, cmd->phase, cmd->exit_code,
			   aq_str_get(&cmd->errors));
	for (char *p = text; p && *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n')
			*p = ' ';
	if (cmd->exit_code > 128 || limit)
		verdict = BUILD_ENDED;
	else if (limits_are_used_up(b, cmd->phase))
		verdict = BUILD_FAULT; /* another's doing, perhaps */
	b->verdict = verdict;
	if (limit)
		what = limit;
	return aq_fail(err, b->verdict == BUILD_REFUSED ? AQ_USER : AQ_SYS,
		       "%s (exit code %d)\n%.3000s", what, cmd->exit_code,
		       text ? text : "");
}

bool run_says(const char *text, const char *const patterns[])
{
	for (; *patterns; patterns++)
		if (strcasestr(text, *patterns))
			return true;
	return false;
}
