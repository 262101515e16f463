/* SPDX-License-Identifier: Apache-2.0 */
/* The forked task: as root it starts the build, as the user it waits for it
 * and enters the environment.  The one place where a user may be failed: a
 * negative return is ignored with `optional` in plugstack.conf and the program
 * would run in the wrong environment, so the task prints why and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/build.h"
#include "plugin/rim.h"

#define WATCH_PATH AQ_PKGLIBEXECDIR "/aq-watch"
/* A watcher that cannot be executed exits, instead of being killed. */
#define WATCH_FAILED 127

static bool is_first_local_task(spank_t sp)
{
	int id = -1;

	return spank_get_item(sp, S_TASK_ID, &id) == ESPANK_SUCCESS && id == 0;
}

/* How many nodes of the step may miss at once: the first one of them says so. */
static uint32_t count_nodes(spank_t sp)
{
	uint32_t id = 0, n = 0;

	return spank_get_item(sp, S_JOB_NODEID, &id) == ESPANK_SUCCESS &&
			       id == 0 &&
			       spank_get_item(sp, S_JOB_NNODES, &n) ==
				       ESPANK_SUCCESS ?
		       n : 0;
}

static const char *node_name(void)
{
	const char *node = getenv("SLURMD_NODENAME");

	return node ? node : "this node";
}

/* -- what is said -- */

/* How long a line waits for a reader, in milliseconds, and each one once one had none.
 * A terminal that is stopped, or a FIFO, may have none for ever, and Slurm cannot end a
 * task in slurmstepd's image: under proctrack/linuxproc the node would be drained.
 */
#define SAY_MS 1000
#define SAY_AGAIN_MS 10
#define SAY_MAX (2 * AQ_ERR_TEXT_MAX) /* bytes at once: one error, and where it was met */

static void wake_up(int sig)
{
	(void)sig;
}

/* Whether all of it was written: a timer ends what waits, again and again should it go
 * off before that.
 */
static bool write_within(int fd, const char *text, size_t len, int ms)
{
	const struct sigaction wake = { .sa_handler = wake_up };
	const struct timeval every = { .tv_usec = SAY_AGAIN_MS * 1000 };
	const struct itimerval none = { 0 };
	struct itimerval timer = { .it_interval = every };
	struct sigaction old;
	sigset_t alarm, mask;
	ssize_t n = 0;

	timer.it_value = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &wake, &old);
	sigprocmask(SIG_UNBLOCK, &alarm, &mask);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (len && (n = write(fd, text, len)) > 0) {
		text += n;
		len -= (size_t)n;
	}
	setitimer(ITIMER_REAL, &none, NULL);
	sigaction(SIGALRM, &old, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return n >= 0 || errno != EINTR;
}

static void put(int fd, const char *fmt, ...) AQ_PRINTF(2, 3);
static void put(int fd, const char *fmt, ...)
{
	static bool is_stuck;
	cleanup_str struct aq_str text = AQ_STR_INIT(SAY_MAX);
	va_list ap;

	va_start(ap, fmt);
	aq_str_add_vfmt(&text, fmt, ap);
	va_end(ap);
	if (!write_within(fd, aq_str_get(&text), text.len,
			  is_stuck ? SAY_AGAIN_MS : SAY_MS))
		is_stuck = true;
}

/* To the task's own stderr, each line with our name and the node's. */
static void say(const char *text)
{
	while (*text) {
		int len = (int)strcspn(text, "\n");

		put(STDERR_FILENO, "aq: %s: %.*s\n", node_name(), len, text);
		text += len;
		text += *text == '\n';
	}
}

static void fail_task(const struct rim_step *step, const char *text)
	__attribute__((noreturn));
static void fail_task(const struct rim_step *step, const char *text)
{
	say(text);
	if (step->answer && aq_answer_is_sound(step->answer) &&
	    step->answer->log[0])
		put(STDERR_FILENO, "aq: %s: log of the build: %s\n",
		    node_name(), step->answer->log);
	_exit(RIM_EXIT);
}

/* -- as root -- */

void rim_task_start_build(spank_t sp, struct rim_step *step)
{
	struct aq_build_start start = {
		.builder = AQ_BUILDER_PATH,
		.conf_path = step->args.conf_path,
		.node = getenv("SLURMD_NODENAME"),
		.is_refresh = step->stage.is_refresh,
		.workflow = &step->stage.workflow,
		.job = step->stage.step.job,
		.step = &step->stage.step,
		.uid = step->stage.uid,
		.nodes = count_nodes(sp),
		.answer_fd = step->answer_fd,
		.request_fd = step->request_fd,
		.progress_fd = step->progress[1],
		.alive_fd = step->alive[0],
	};
	struct aq_err err = { 0 };
	int rc;

	if (step->state != RIM_MISS)
		return;
	if (is_first_local_task(sp)) {
		rc = aq_build_spawn(&start, &err);
		if (rc) { /* and nothing is left to wait for */
			aq_answer_fail(step->answer, (enum aq_class)rc,
				       err.text);
			step->state = RIM_FAILED;
		}
	}
	/* only the builder writes progress and reads whether we live */
	aq_close_fd(&step->progress[1]);
	aq_close_fd(&step->alive[0]);
	aq_close_fd(&step->request_fd);
}

/* -- as the user -- */

/* A process of the user's inside the step's container, which scancel reaches
 * (a task that still runs slurmstepd's image gets no signal): when it dies the
 * wait is over.
 */
struct watcher {
	pid_t pid;
	int fd; /* a pipe that only it holds the other end of; -1: no watcher */
};

static void watch(pid_t task, int fd) __attribute__((noreturn));
static void watch(pid_t task, int fd)
{
	char *args[] = { (char *)"aq-watch", NULL };
	char *env[] = { NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* as its standard input the pipe's end outlives exec */
	if (getppid() == task && dup2(fd, STDIN_FILENO) >= 0)
		execve(WATCH_PATH, args, env);
	_exit(WATCH_FAILED);
}

static struct watcher start_watcher(void)
{
	struct watcher w = { -1, -1 };
	pid_t task = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return w;
	w.pid = fork();
	if (w.pid == 0)
		watch(task, fds[1]);
	close(fds[1]);
	if (w.pid < 0)
		close(fds[0]);
	else
		w.fd = fds[0];
	return w;
}

/* A task that nobody can cancel would cost the node. */
static void fail_unwatched(const struct rim_step *step) __attribute__((noreturn));
static void fail_unwatched(const struct rim_step *step)
{
	fail_task(step, "this task cannot wait for its environment to be built, since it may start no process that ends with it: raise your limits (ulimit -u, -v, -n) and submit again; once it is built they do not matter");
}

/* End it, or learn how it ended: true if it was killed, which is scancel's
 * way to say that the task is.
 */
static bool end_watcher(struct watcher *w)
{
	int status = 0;

	if (w->fd < 0)
		return false;
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	aq_close_fd(&w->fd);
	return WIFSIGNALED(status);
}

/* Print whole lines of progress; what has no newline yet stays in 'line'. */
static bool read_progress(int fd, struct aq_str *line)
{
	char buf[1024];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != '\n') {
			aq_str_add_char(line, buf[i]);
			continue;
		}
		say(aq_str_get(line));
		aq_str_truncate(line, 0);
	}
	return n > 0;
}

/* A descriptor that is readable when SIGTERM comes, and the mask as it was.
 * proctrack/cgroup sends it to the task alone, not to what the task forked
 * (_slurm_cgroup_is_pid_a_slurm_task() in Slurm's proctrack_cgroup.c), and in
 * Slurm 24.11 it is not blocked there: slurmstepd's handler swallows it.
 */
static int catch_cancel(sigset_t *ret_mask)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, ret_mask);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Signals for a program that is not there yet (scancel -s USR1, sbatch
 * --signal).  slurmstepd sends a batch script's to its task itself, so what the
 * watcher ignores the task has to ignore too; its program must not.
 */
static const int early_signals[] = { SIGUSR1,	SIGUSR2, SIGALRM,
				     SIGVTALRM, SIGPROF, SIGIO };
#define N_EARLY ARRAY_LEN(early_signals)

static void ignore_early_signals(struct sigaction ret_old[N_EARLY])
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < N_EARLY; i++)
		sigaction(early_signals[i], &ignore, &ret_old[i]);
}

static void restore_early_signals(const struct sigaction old[N_EARLY])
{
	for (size_t i = 0; i < N_EARLY; i++)
		sigaction(early_signals[i], &old[i], NULL);
}

/* Until the builder is through or gone (end of file on 'progress'), or the
 * task is cancelled: it was sent SIGTERM or its watcher was killed.
 */
static void wait_for_build(struct rim_step *step, bool is_first)
{
	cleanup_str struct aq_str line = AQ_STR_INIT(AQ_ERR_TEXT_MAX);
	struct watcher watcher = start_watcher();
	sigset_t mask;
	int cancel = catch_cancel(&mask);
	/* the others leave the lines to the first */
	short events = is_first ? POLLIN : 0;

	if (watcher.fd < 0)
		fail_unwatched(step);
	for (;;) {
		struct pollfd p[] = {
			{ .fd = step->progress[0], .events = events },
			{ .fd = watcher.fd, .events = POLLIN },
			{ .fd = cancel, .events = POLLIN },
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			break;
		if (p[2].revents || (p[1].revents && end_watcher(&watcher)))
			_exit(RIM_EXIT);
		if (p[1].revents) /* it could not be executed */
			fail_unwatched(step);
		if (p[0].revents &&
		    (!is_first || !read_progress(step->progress[0], &line)))
			break;
	}
	end_watcher(&watcher);
	aq_close_fd(&cancel);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	aq_close_fd(&step->progress[0]);
}

/* Slurm's setenvf() formats each variable in 256 KiB from calloc().  Once one of these
 * is free again malloc would take the next ones from the heap (mallopt(3), the
 * threshold that adjusts itself), where all of them is written: 0.03 ms a variable;
 * what is mapped anew costs the pages that it uses.
 */
#define MAPPED_MIN (128 * 1024) /* bytes: malloc's own, that no longer adjusts */

static void enter(spank_t sp, const char *ops, size_t len,
		  struct rim_step *step)
{
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	struct aq_err err = { 0 };
	char **env = NULL;

	if (spank_get_item(sp, S_JOB_ENV, &env) != ESPANK_SUCCESS)
		fail_task(step, "cannot read the task's environment");
	if (aq_envops_plan(env, ops, len, &set, &unset, &err) != 0)
		fail_task(step, err.text);
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	for (size_t i = 0; i < unset.n; i++)
		(void)spank_unsetenv(sp, unset.v[i]);
	for (size_t i = 0; i < set.n; i++) {
		char *eq = strchr(set.v[i], '=');

		*eq = '\0';
		if (spank_setenv(sp, set.v[i], eq + 1, 1) != ESPANK_SUCCESS)
			fail_task(step, "cannot set the task's environment");
	}
}

/* Nothing but one variable is read for it. */
static bool is_verbose(spank_t sp)
{
	char value[8];
	spank_err_t rc = spank_getenv(sp, AQ_VERBOSE, value, sizeof(value));

	return rc == ESPANK_NOSPACE ||
	       (rc == ESPANK_SUCCESS && aq_is_verbose(value));
}

static bool has_to_tell(spank_t sp)
{
	char value[8];
	spank_err_t rc = spank_getenv(sp, AQ_TELL, value, sizeof(value));

	return rc == ESPANK_NOSPACE || rc == ESPANK_SUCCESS;
}

/* Whoever only wants to know runs nothing in there: a request's variables and what its
 * packages set (LD_PRELOAD) make any program theirs, and root may have asked.
 */
static void tell(const struct aq_answer *a) __attribute__((noreturn));
static void tell(const struct aq_answer *a)
{
	put(STDOUT_FILENO, "%s\n%s\n%s\n", a->resolution, a->prefix,
	    a->lock);
	_exit(0);
}

/* Once a node and step. */
static void say_if_verbose(spank_t sp, const struct rim_step *step)
{
	char line[256];

	if (!is_verbose(sp))
		return;
	aq_answer_describe(step->answer,
			   step->state == RIM_HIT ? step->look_up_us : 0, line,
			   sizeof(line));
	say(line);
}

void rim_task_enter(spank_t sp, struct rim_step *step)
{
	const struct aq_answer *a = step->answer;
	int64_t since_us = aq_now_us();

	if (step->state == RIM_NOTHING)
		return;
	if (step->state == RIM_UNDO) {
		enter(sp, NULL, 0, step);
		/* as if the option had never been heard of */
		for (size_t i = 0; rim_inherited[i]; i++)
			(void)spank_unsetenv(sp, rim_inherited[i]);
		return;
	}
	if (step->why)
		fail_task(step, step->why);
	if (step->state == RIM_MISS) {
		struct sigaction old[N_EARLY];

		ignore_early_signals(old);
		wait_for_build(step, is_first_local_task(sp));
		restore_early_signals(old);
	}
	if (!aq_answer_is_sound(a))
		fail_task(step, "the build of the environment ended without a word (was it killed, or slurm-aq upgraded just then?): submit again; the next one starts afresh");
	if (a->class != AQ_OK && is_verbose(sp))
		say(a->class == AQ_USER ? AQ_SAYS_REQUEST : AQ_SAYS_NODE);
	if (a->class != AQ_OK)
		fail_task(step, a->text);
	if (strcmp(a->resolution, "reused") == 0 && is_first_local_task(sp))
		say_if_verbose(sp, step);
	if (has_to_tell(sp))
		tell(a);
	enter(sp, a->ops, a->ops_len, step);
	rim_say_took(step, "task_init", since_us, "");
}
