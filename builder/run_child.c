/* SPDX-License-Identifier: Apache-2.0 */
/* From the fork to the program: into its cage, or for a personal build none.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/run_inside.h"
#include "common/io.h"
#include "common/worker.h"

static void die(const char *what) __attribute__((noreturn));
static void die(const char *what)
{
	dprintf(STDERR_FILENO, "aq-builder: cannot %s: %s\n", what,
		strerrorname_np(errno));
	_exit(127);
}

/* It is the node that cannot do this, not the program that failed. */
static void fault(const struct child *c, const char *what)
	__attribute__((noreturn));
static void fault(const struct child *c, const char *what)
{
	dprintf(c->fault, "cannot %s: %s", what, strerrorname_np(errno));
	_exit(127);
}

static void call_function(const struct child *c) __attribute__((noreturn));
static void call_function(const struct child *c)
{
	struct aq_err err = { 0 };
	int rc = c->fn(c->arg, c->fn_out, &err);

	if (!rc)
		rc = aq_write_all(STDOUT_FILENO, aq_str_get(c->fn_out),
				  c->fn_out->len, &err);
	if (rc)
		dprintf(STDERR_FILENO, "%s\n", err.text);
	_exit(rc);
}

/* The innermost process: the program itself. */
static void become(const struct child *c) __attribute__((noreturn));
static void become(const struct child *c)
{
	const char *what = NULL;

	if (dup2(c->in, STDIN_FILENO) < 0 || dup2(c->out, STDOUT_FILENO) < 0 ||
	    dup2(c->err, STDERR_FILENO) < 0)
		die("arrange descriptors");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!c->b->is_personal)
		what = confine_become(c->b, c->phase);
	else if (!identity_become(&c->b->builder))
		what = "change identity";
	if (what)
		fault(c, what);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of identity clears it */
	umask(022); /* what is made is for everybody to read */
	if (c->fn) {
		close(c->fault); /* as exec does */
		call_function(c);
	}
	execve(c->argv[0], c->argv, c->env);
	if (errno == EAGAIN) /* of the account's processes, execve(2) */
		fault(c, "start a program");
	die("execute the program");
}

static void end_like(pid_t pid) __attribute__((noreturn));
static void end_like(pid_t pid)
{
	pid_t ended;
	int status;

	while ((ended = waitpid(-1, &status, 0)) != pid)
		if (ended < 0 && errno != EINTR)
			_exit(127);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				    WEXITSTATUS(status));
}

/* Fork; the parent keeps none of the program's descriptors and ends like it. */
static void follow_child(const struct child *c)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		return;
	close(c->in);
	close(c->out);
	close(c->err);
	close(c->fault);
	close(STDERR_FILENO);
	end_like(pid);
}

/* In a pid namespace of its own, all of which dies with its first process.
 * That one is ours: the program itself would not get the signals it has no
 * handlers for, nor reap what it did not start (pid_namespaces(7)).
 */
static void become_caged(const struct child *c) __attribute__((noreturn));
static void become_caged(const struct child *c)
{
	const char *what = confine_leave(c->b, c->phase);

	if (what)
		fault(c, what);
	follow_child(c);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	what = confine_see(c->b, c->phase, c->hides_shells);
	if (!what && c->secrets && !secrets_place(c->b, c->secrets))
		what = "place credentials";
	if (what)
		fault(c, what);
	follow_child(c);
	become(c);
}

pid_t run_start(const struct child *c)
{
	const int keep[] = { c->in, c->out, c->err, c->fault };
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	/* locks are the supervisor's: a copy here would say that somebody
	 * still waits, or builds, for as long as the last of us takes to die
	 */
	if (!aq_close_others(keep, ARRAY_LEN(keep)) ||
	    dup2(c->err, STDERR_FILENO) < 0)
		_exit(127);
	if (c->b->is_personal)
		become(c);
	become_caged(c);
}
