/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/identity.h"
#include "cli/term.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/worker.h"

/* Its standard streams; -1: /dev/null. */
struct streams {
	int in, out, errors;
};

/* In the child. */
__attribute__((noreturn)) static void execute(const char *const argv[],
					      const struct identity *who,
					      const struct streams *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(s->in < 0 ? null : s->in, 0) < 0 ||
	    dup2(s->out, 1) < 0 || dup2(s->errors < 0 ? null : s->errors, 2) < 0 ||
	    setpgid(0, 0) < 0 || chdir("/") < 0 ||
	    (who && !identity_become(who)))
		_exit(126);
	/* a client is asked for its version, and writes nothing anywhere */
	if (who && setenv("HOME", "/nonexistent", 1) < 0)
		_exit(126);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Until it ends, or 'deadline_ms' (CLOCK_MONOTONIC). */
static bool read_all(int fd, int64_t deadline_ms, struct aq_str *out)
{
	char buf[4096];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline_ms - aq_now_ms();
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return false;
		if (!p.revents)
			continue;
		n = read(fd, buf, sizeof(buf));
		if (n == 0)
			return true;
		if (n > 0)
			aq_str_add_mem(out, buf, (size_t)n);
		else if (errno != EINTR)
			return false;
	}
}

int program_judge(const char *name, int status, struct aq_err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return aq_fail(err, AQ_SYS, "'%s' is not there", name);
	return status ? aq_fail(err, AQ_SYS, "'%s' failed", name) : 0;
}

static int finish(pid_t pid, const char *name, int from, int limit_ms,
		  struct aq_str *out, struct aq_err *err)
{
	int64_t deadline = aq_now_ms() + limit_ms;
	int status = -1;

	/* it may close its output and go on */
	if (!read_all(from, deadline, out) ||
	    !aq_reap(pid, deadline, &status)) {
		(void)kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return aq_fail(err, AQ_SYS, "'%s' took longer than %d s", name,
			       limit_ms / 1000);
	}
	return program_judge(name, status, err);
}

/* 'who': NULL, ourselves; 'in': standard input, or -1. */
static int run(const char *const argv[], const struct identity *who,
	       bool is_aloud, int in, int limit_ms, struct aq_str *out,
	       struct aq_err *err)
{
	cleanup_close int from = -1, to = -1;
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	from = fds[0];
	to = fds[1];
	pid = fork();
	if (pid < 0)
		return aq_fail_errno(err, "cannot start '%s'", argv[0]);
	if (pid == 0)
		execute(argv, who, &(struct streams){ in, to, is_aloud ? 2 : -1 });
	(void)setpgid(pid, pid);
	aq_close_fd(&to);
	rc = finish(pid, argv[0], from, limit_ms, out, err);
	return rc ? rc : aq_str_done(out, argv[0], err);
}

int program_run(const char *const argv[], const char *user, int limit_ms,
		struct aq_str *out, struct aq_err *err)
{
	return program_run_fed(argv, user, NULL, limit_ms, out, err);
}

int program_run_fed(const char *const argv[], const char *user,
		    const char *input, int limit_ms, struct aq_str *out,
		    struct aq_err *err)
{
	cleanup_close int in = -1;
	bool is_other = user && geteuid() == 0;
	struct identity who;
	int rc = is_other ? identity_find(user, false, &who, err) : 0;

	if (!rc && input) {
		in = memfd_create("input", MFD_CLOEXEC);
		rc = in < 0 ? aq_fail_errno(err, "cannot make an input") :
			      aq_write_all(in, input, strlen(input), err);
		if (!rc && lseek(in, 0, SEEK_SET) < 0)
			rc = aq_fail_errno(err, "cannot make an input");
	}
	return rc ? rc : run(argv, is_other ? &who : NULL, false, in, limit_ms,
			     out, err);
}

int program_run_aloud(const char *const argv[], int limit_ms,
		      struct aq_str *out, struct aq_err *err)
{
	return run(argv, NULL, true, -1, limit_ms, out, err);
}

int program_start(const char *const argv[], int out, int errors, pid_t *ret,
		  struct aq_err *err)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return aq_fail_errno(err, "cannot start '%s'", argv[0]);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
			_exit(126);
		execute(argv, NULL, &(struct streams){ -1, out, errors });
	}
	*ret = pid;
	return 0;
}
