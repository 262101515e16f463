/* SPDX-License-Identifier: Apache-2.0 */
#include "common/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* How long a killed worker may take to be reaped, in milliseconds, before it
 * is left to init.
 */
#define REAP_MS 100
#define REAP_STEP_MS 1

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
	/* task_init_privileged is root with the user's groups */
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 ||
			       setresgid(0, 0, 0) < 0 ||
			       setresuid(0, 0, 0) < 0))
		_exit(AQ_SYS);
}

static void close_between(unsigned int first, unsigned int last)
{
	unsigned int max;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	max = (unsigned int)sysconf(_SC_OPEN_MAX); /* Linux before 5.9 */
	for (unsigned int fd = first; fd <= last && fd < max; fd++)
		close((int)fd);
}

bool aq_close_others(const int keep[], size_t n)
{
	unsigned int first = STDERR_FILENO + 1;
	int null = open("/dev/null", O_RDWR); /* its copies outlive exec */

	if (null < 0)
		return false;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return false;
	if (null > STDERR_FILENO)
		close(null);
	for (;;) {
		unsigned int next = ~0u;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)first && (unsigned int)keep[i] < next)
				next = (unsigned int)keep[i];
		close_between(first, next == ~0u ? next : next - 1);
		if (next == ~0u)
			return true;
		first = next + 1;
	}
}

/* What its host has mapped counts too, stacks of threads and all, and differs from
 * release to release.
 */
static rlim_t get_mapped(void)
{
	char text[64] = "";
	cleanup_close int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return (rlim_t)strtoul(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void bound_memory(void)
{
	struct rlimit limit;
	rlim_t mapped = get_mapped();

	if (!mapped || getrlimit(RLIMIT_AS, &limit) < 0)
		return;
	mapped += AQ_WORKER_MEMORY_MAX;
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < mapped)
		return;
	limit.rlim_cur = mapped;
	(void)setrlimit(RLIMIT_AS, &limit);
}

/* The plugin and the library behind it have a copy of this file each: what the one
 * bounded the other lifts.
 */
void aq_worker_lift_bound(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_AS, &limit);
}

struct work {
	int (*fn)(void *arg, struct aq_err *err);
	void *arg;
	int keep_fd;
};

static void child(int out, const struct work *w) __attribute__((noreturn));
static void child(int out, const struct work *w)
{
	static struct aq_err err;
	struct report r = { 0 };
	/* where 0 is closed, as in a prolog, the pipe may have become it */
	int keep[] = { fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1),
		       w->keep_fd };
	ssize_t n;

	aq_come_clean();
	if (keep[0] < 0 || !aq_close_others(keep, ARRAY_LEN(keep)))
		_exit(1);
	bound_memory();
	aq_err_clear(&err);
	r.class = w->fn(w->arg, &err);
	r.errnum = err.errnum;
	memcpy(r.text, err.text, sizeof(r.text));
	n = write(keep[0], &r, sizeof(r)); /* a pipe holds 64 KiB */
	_exit(n == (ssize_t)sizeof(r) ? 0 : 1);
}

/* Read the report until 'until'; false: end of file, or too late. */
static bool read_report(int fd, struct report *r, int64_t until, bool *is_late)
{
	size_t got = 0;

	while (got < sizeof(*r)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - aq_now_ms();
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

/* poll(2) of a pidfd tells at once; Linux before 5.3 has none, and is asked every
 * millisecond.
 */
bool aq_reap(pid_t pid, int64_t until_ms, int *ret_status)
{
	cleanup_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until_ms - aq_now_ms();
		pid_t got = waitpid(pid, ret_status, WNOHANG);

		if (got == pid)
			return true;
		if ((got < 0 && errno != EINTR) || left <= 0)
			return false;
		(void)poll(&p, 1, fd < 0 ? REAP_STEP_MS : (int)left);
	}
}

int aq_worker_run(int (*fn)(void *arg, struct aq_err *err), void *arg,
		  int deadline_ms, int keep_fd, struct aq_err *err)
{
	const struct work work = { fn, arg, keep_fd };
	int64_t until = aq_now_ms() + deadline_ms;
	cleanup_close int in = -1;
	struct report r = { 0 };
	bool is_late = false;
	int fds[2], status = 0;
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
		child(fds[1], &work);
	}
	close(fds[1]);
	if (read_report(in, &r, until, &is_late)) {
		(void)!aq_reap(pid, aq_now_ms() + REAP_MS, &status);
		r.text[sizeof(r.text) - 1] = '\0';
		(void)aq_fail(err, (enum aq_class)r.class, "%s", r.text);
		if (err)
			err->errnum = r.errnum;
		return r.class;
	}
	kill(pid, SIGKILL);
	(void)!aq_reap(pid, aq_now_ms() + REAP_MS, &status);
	if (is_late) {
		(void)aq_fail(err, AQ_SYS,
			      "the work did not end within %d ms (a hanging disk?)",
			      deadline_ms);
		if (err)
			err->errnum = ETIMEDOUT;
		return AQ_SYS;
	}
	return aq_fail(err, AQ_SYS, "the work ended by signal %d",
		       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}
