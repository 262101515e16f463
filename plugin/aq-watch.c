/* SPDX-License-Identifier: Apache-2.0 */
/* aq-watch: does nothing until it is killed.  Slurm does not signal a task
 * that has not executed its program yet; it does signal this one, a child of
 * that task in the same container, and the task sees it end.
 *
 * Mode 0711: what cannot be read is not dumpable, so no process of the same
 * user can take its end of the task's pipe (ptrace(2), pidfd_getfd(2)).
 */
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

/* What ends a job: scancel, a time limit, srun's interrupt, preemption.  Other
 * signals are meant for a program that is not there yet (scancel -s USR1).
 */
static bool ends_a_job(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP ||
	       sig == SIGQUIT || sig == SIGXCPU || sig == SIGABRT;
}

static bool stops_a_job(int sig)
{
	return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU ||
	       sig == SIGCONT;
}

int main(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction action = { .sa_handler = SIG_IGN };

		if (ends_a_job(sig) || stops_a_job(sig))
			action.sa_handler = SIG_DFL;
		sigaction(sig, &action, NULL); /* KILL and STOP refuse: fine */
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;)
		pause();
}
