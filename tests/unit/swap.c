/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/unit/swap.h"

pid_t swap_start(const char *dir, const char *a, const char *b, uid_t uid)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ready[2];
	pid_t parent = getpid(), pid;
	char c;

	assert_true(fd >= 0 && pipe(ready) == 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (uid && setresuid(uid, uid, uid) < 0)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned int i = 0; getppid() == parent; i++) {
			/* the code under test may keep us from it */
			if (renameat2(fd, a, fd, b, RENAME_EXCHANGE) < 0 &&
			    (!uid || i < 2))
				_exit(1);
			if (i == 2)
				(void)!write(ready[1], "", 1);
		}
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(fd);
	return pid;
}

void swap_stop(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status)); /* it swapped to the end */
}

void swap_pause(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

void swap_go_on(pid_t pid)
{
	assert_int_equal(kill(pid, SIGCONT), 0);
}

static bool filter_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0) < 0 &&
	       errno == ENOSYS;
}

int without_openat2(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid)
		_exit(filter_openat2() ? fn(arg) : 255);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
