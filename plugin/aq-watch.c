/* SPDX-License-Identifier: Apache-2.0 */
/* aq-watch: does nothing until it is killed.  Slurm does not signal a task
 * that has not executed its program yet; it does signal this one, a child of
 * that task in the same container, and the task sees it end.
 *
 * Mode 0711: what cannot be read is not dumpable, so no process of the same
 * user can take its end of the task's pipe (ptrace(2), pidfd_getfd(2)).
 */
#include <signal.h>
#include <unistd.h>

int main(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;)
		pause();
}
