/* SPDX-License-Identifier: Apache-2.0 */
#include "common/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a killed worker may take to be reaped, in milliseconds, before it
 * is left to init.
 */
#define REAP_MS 100

struct report {
	int class;
	int errnum;
	char text[AQ_ERR_TEXT_MAX];
};

void aq_come_clean(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL); /* KILL and STOP refuse: fine */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (chdir("/") < 0)
		_exit(AQ_SYS);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void child(int out, int (*fn)(void *, struct aq_err *), void *arg)
	__attribute__((noreturn));
static void child(int out, int (*fn)(void *, struct aq_err *), void *arg)
{
	static struct aq_err err;
	struct report r = { 0 };
	ssize_t n;

	aq_come_clean();
	aq_err_clear(&err);
	r.class = fn(arg, &err);
	r.errnum = err.errnum;
	memcpy(r.text, err.text, sizeof(r.text));
	n = write(out, &r, sizeof(r)); /* below PIPE_BUF + 4 KiB: one piece */
	_exit(n == (ssize_t)sizeof(r) ? 0 : 1);
}

/* Read the report until 'until'; false: end of file, or too late. */
static bool read_report(int fd, struct report *r, int64_t until, bool *is_late)
{
	size_t got = 0;

	while (got < sizeof(*r)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();
		ssize_t n;
		int rc = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (rc == 0) {
			*is_late = true;
			return false;
		}
		if (rc < 0 && errno != EINTR)
			return false;
		if (rc < 0)
			continue;
		n = read(fd, (char *)r + got, sizeof(*r) - got);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0)
			got += (size_t)n;
	}
	return true;
}

/* Wait until 'until' for the child to end; it is on its way. */
static int reap(pid_t pid, int64_t until)
{
	struct timespec pause = { 0, 1000000 };
	int status = 0;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return status;
		if (got < 0 && errno != EINTR)
			return 0; /* the host has reaped it */
		if (now_ms() >= until)
			return 0;
		nanosleep(&pause, NULL);
	}
}

int aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
		  int deadline_ms, struct aq_err *err)
{
	int64_t until = now_ms() + deadline_ms;
	cleanup_close int in = -1;
	struct report r = { 0 };
	bool is_late = false;
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	in = fds[0];
	pid = fork();
	if (pid < 0) {
		close(fds[1]);
		return aq_fail_errno(err, "cannot fork");
	}
	if (pid == 0) {
		close(in);
		child(fds[1], fn, arg);
	}
	close(fds[1]);
	if (read_report(in, &r, until, &is_late)) {
		reap(pid, now_ms() + REAP_MS);
		r.text[sizeof(r.text) - 1] = '\0';
		if (r.class == AQ_OK)
			return 0;
		(void)aq_fail(err, (enum aq_class)r.class, "%s", r.text);
		if (err)
			err->errnum = r.errnum;
		return r.class;
	}
	kill(pid, SIGKILL);
	status = reap(pid, now_ms() + REAP_MS);
	if (is_late)
		return aq_fail(err, AQ_SYS,
			       "the work did not end within %d ms (a hanging disk?)",
			       deadline_ms);
	return aq_fail(err, AQ_SYS, "the work ended by signal %d",
		       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}
