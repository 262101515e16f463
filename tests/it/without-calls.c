/* SPDX-License-Identifier: Apache-2.0 */
/* without-calls NAME[=ERRNO][,NAME...] COMMAND...: run it where these system calls
 * fail, with ENOSYS unless a number is given: an older kernel, a container.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 16

static const struct {
	const char *name;
	unsigned int number;
} known[] = {
	{ "mount_setattr", 442 },
	{ "landlock_create_ruleset", 444 },
	{ "landlock_add_rule", 445 },
	{ "landlock_restrict_self", 446 },
	{ "openat2", 437 },
	{ "pidfd_open", 434 },
	{ "unshare", SYS_unshare },
	{ "mount", SYS_mount },
};

static unsigned int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].number;
	fprintf(stderr, "without-calls: unknown call '%s'\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sock_filter filter[2 * CALLS_MAX + 2];
	struct sock_fprog program = { .filter = filter };
	unsigned short n = 0;
	char *save = NULL;

	if (argc < 3)
		return 2;
	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (char *name = strtok_r(argv[1], ",", &save);
	     name && n < 2 * CALLS_MAX; name = strtok_r(NULL, ",", &save)) {
		char *number = strchr(name, '=');
		unsigned int error = ENOSYS;

		if (number) {
			*number = '\0';
			error = (unsigned int)strtoul(number + 1, NULL, 10);
		}
		filter[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, number_of(name), 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						   SECCOMP_RET_ALLOW);
	program.len = n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)) {
		perror("without-calls");
		return 2;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
