/* SPDX-License-Identifier: Apache-2.0 */
/* The system's calls that can fail: the linker sends the plugin's here
 * (ld --wrap).
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fake/fake.h"

#define SEAM(type, name, params, args, failed, code)                           \
	type __real_##name params;                                             \
	type __wrap_##name params;                                             \
	type __wrap_##name params                                              \
	{                                                                      \
		if (!fake_fails(#name))                                        \
			return __real_##name args;                             \
		errno = code;                                                  \
		return failed;                                                 \
	}

SEAM(pid_t, fork, (void), (), -1, EAGAIN)
SEAM(int, pipe2, (int *fds, int flags), (fds, flags), -1, EMFILE)
SEAM(int, memfd_create, (const char *name, unsigned int flags), (name, flags),
     -1, ENOMEM)
SEAM(int, ftruncate, (int fd, off_t size), (fd, size), -1, EIO)
SEAM(void *, mmap,
     (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
SEAM(int, socketpair, (int family, int type, int protocol, int *fds),
     (family, type, protocol, fds), -1, EMFILE)
SEAM(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
     (fd, msg, flags), -1, ENOBUFS)
SEAM(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
     (fd, msg, flags), -1, EMFILE)
SEAM(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), -1,
     EIO)
SEAM(int, setgroups, (size_t n, const gid_t *groups), (n, groups), -1, EPERM)
SEAM(int, chdir, (const char *path), (path), -1, EACCES)

int __real_execve(const char *path, char *const args[], char *const env[]);
int __wrap_execve(const char *path, char *const args[], char *const env[]);
int __wrap_execve(const char *path, char *const args[], char *const env[])
{
	if (fake && fake->has_hung_disk) {
		fake->hung = getpid();
		for (;;)
			pause();
	}
	if (!fake_fails("execve"))
		return __real_execve(path, args, env);
	errno = ENOENT;
	return -1;
}

/* nothing happens in time */
SEAM(int, poll, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout),
     0, 0)
SEAM(void *, dlopen, (const char *path, int flags), (path, flags), NULL, ENOENT)
SEAM(void *, dlsym, (void *library, const char *name), (library, name), NULL,
     ENOENT)
SEAM(int, setenv, (const char *name, const char *value, int overwrite),
     (name, value, overwrite), -1, ENOMEM)
SEAM(void *, malloc, (size_t size), (size), NULL, ENOMEM)
SEAM(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
SEAM(void *, realloc, (void *p, size_t size), (p, size), NULL, ENOMEM)
SEAM(char *, strdup, (const char *text), (text), NULL, ENOMEM)
SEAM(char *, strndup, (const char *text, size_t len), (text, len), NULL, ENOMEM)
