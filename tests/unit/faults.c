/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	bool is_armed, and_all_later, has_happened;
	enum fault_kind kind;
	unsigned long left;
} plan;

void faults_arm(enum fault_kind kind, unsigned long n, bool and_all_later)
{
	plan.kind = kind;
	plan.left = n;
	plan.and_all_later = and_all_later;
	plan.has_happened = false;
	plan.is_armed = true;
}

bool faults_disarm(void)
{
	plan.is_armed = false;
	return plan.has_happened;
}

static bool is_due(void)
{
	if (plan.left && --plan.left)
		return false;
	if (plan.has_happened && !plan.and_all_later)
		return false;
	plan.has_happened = true;
	return true;
}

static bool disk_fails(void)
{
	if (!plan.is_armed || plan.kind == FAULT_MEMORY || !is_due())
		return false;
	if (plan.kind == FAULT_KILL)
		kill(getpid(), SIGKILL);
	errno = ENOSPC;
	return true;
}

/* -- memory -- */

#if FAULTS_HAS_MEMORY
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool memory_fails(void)
{
	if (!plan.is_armed || plan.kind != FAULT_MEMORY || !is_due())
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return memory_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return memory_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return memory_fails() ? NULL : __libc_realloc(p, size);
}
#endif

/* -- the disk -- */

/* The library's own function of that name. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

#define FAILING(type, name, params, args)                                      \
	type name params                                                       \
	{                                                                      \
		return disk_fails() ? -1 : REAL(name) args;                    \
	}                                                                      \
	type name params

FAILING(ssize_t, write, (int fd, const void *mem, size_t n), (fd, mem, n));
FAILING(ssize_t, pwrite64, (int fd, const void *mem, size_t n, off64_t at),
	(fd, mem, n, at));
FAILING(int, ftruncate64, (int fd, off64_t len), (fd, len));
FAILING(int, fsync, (int fd), (fd));
FAILING(int, fdatasync, (int fd), (fd));
FAILING(int, unlink, (const char *path), (path));
FAILING(int, unlinkat, (int dir, const char *name, int flags),
	(dir, name, flags));
FAILING(int, rename, (const char *from, const char *to), (from, to));
FAILING(int, link, (const char *from, const char *to), (from, to));
FAILING(int, mkdirat, (int dir, const char *name, mode_t mode),
	(dir, name, mode));
FAILING(int, fchmod, (int fd, mode_t mode), (fd, mode));

/* The mode is there only if a file is made, but then the same register. */
int open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_CREAT) && disk_fails())
		return -1;
	return REAL(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_CREAT) && disk_fails())
		return -1;
	return REAL(open)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_CREAT) && disk_fails())
		return -1;
	return REAL(openat)(dir, path, flags, mode);
}
