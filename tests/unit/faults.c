/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Before the library's own for what is loaded later, too; ASan, which is there
 * before us, must not find them.
 */
#ifndef __SANITIZE_ADDRESS__
#pragma GCC visibility push(default)
#endif

/* The library's own function of that name. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static struct faults own;
static struct faults *plan = &own;
static bool is_paused;
static pid_t paused_self; /* 0: with whatever it forks */

void faults_arm(enum fault_kind kind, unsigned long n, bool and_all_later)
{
	*plan = (struct faults){ .kind = kind, .n = n,
				 .and_all_later = and_all_later };
}

bool faults_disarm(void)
{
	plan->n = 0;
	return plan->has_happened;
}

void faults_share(struct faults *shared)
{
	plan = shared;
}

struct faults *faults_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	void *shared = MAP_FAILED;

	if (fd >= 0 && REAL(fstat)(fd, &st) == 0 &&
	    st.st_size == (off_t)sizeof(struct faults))
		shared = mmap(NULL, sizeof(struct faults),
			      PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (shared == MAP_FAILED)
		return NULL;
	faults_share(shared);
	return shared;
}

void faults_run_program(const char *plan_path)
{
	char path[4096];
	char *argv[] = { path, NULL };
	bool was_paused = is_paused;
	pid_t pid;

	snprintf(path, sizeof(path), "%s.run", plan_path);
	if (access(path, X_OK) < 0)
		return;
	is_paused = true;
	pid = fork();
	if (pid == 0) {
		execve(path, argv, environ);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	is_paused = was_paused;
}

void faults_pause(bool how)
{
	is_paused = how;
	paused_self = 0;
}

void faults_pause_self(void)
{
	is_paused = true;
	paused_self = getpid();
}

static bool is_quiet(void)
{
	return is_paused && (!paused_self || paused_self == getpid());
}

static bool is_due(enum fault_kind kind)
{
	uint64_t call;

	if (!plan->n || is_quiet() || plan->kind != kind)
		return false;
	call = __atomic_add_fetch(&plan->calls, 1, __ATOMIC_RELAXED);
	if (call < plan->n || (call > plan->n && !plan->and_all_later))
		return false;
	plan->has_happened = true;
	return true;
}

/* Untouched: it is the right to it that is asked for. */
static void grow(void)
{
	static const size_t step = 16 << 20;
	size_t got = 0;

	while (got < FAULT_GROW_MAX &&
	       mmap(NULL, step, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		got += step;
	if (got >= FAULT_GROW_MAX)
		plan->has_happened = FAULT_UNBOUNDED;
}

static void flood(void)
{
	static const char text[4096] = "a flood\n";

	for (long n = 0; n < FAULT_FLOOD_BYTES; n += (long)sizeof(text))
		for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
			if (syscall(SYS_write, fd, text, sizeof(text)) < 0)
				return;
}

static void strike(void)
{
	if (is_due(FAULT_ABORT))
		abort();
	if (is_due(FAULT_HANG))
		for (;;)
			pause();
	if (is_due(FAULT_FLOOD))
		flood();
}

static bool fails(enum fault_kind kind, int errnum)
{
	if (kind == FAULT_DISK || kind == FAULT_OPEN || kind == FAULT_READ ||
	    kind == FAULT_LOCK)
		strike();
	if (!is_due(kind))
		return false;
	errno = errnum;
	return true;
}

static bool disk_fails(void)
{
	if (is_due(FAULT_KILL))
		kill(getpid(), SIGKILL);
	if (is_due(FAULT_GROW))
		grow();
	return fails(FAULT_DISK, ENOSPC);
}

#define FAILING(fault, type, name, params, args)                               \
	type name params                                                       \
	{                                                                      \
		return fault ? -1 : REAL(name) args;                           \
	}                                                                      \
	type name params

/* -- memory -- */

#if FAULTS_HAS_MEMORY
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails(FAULT_MEMORY, ENOMEM) ? NULL : __libc_realloc(p, size);
}
#endif

/* -- the disk -- */

/* Neither a pipe, nor memory of its own (memfd_create(2)). */
static bool is_on_disk(int fd)
{
	struct stat st;

	return REAL(fstat)(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink;
}

FAILING((is_on_disk(fd) && disk_fails()) || fails(FAULT_SIGNAL, EINTR),
	ssize_t, write,
	(int fd, const void *mem, size_t n), (fd, mem, n));
/* ours, and SQLite's */
FAILING(disk_fails(), ssize_t, pwrite,
	(int fd, const void *mem, size_t n, off_t at), (fd, mem, n, at));
FAILING(disk_fails(), ssize_t, pwrite64,
	(int fd, const void *mem, size_t n, off64_t at), (fd, mem, n, at));
FAILING(disk_fails(), int, ftruncate, (int fd, off_t len), (fd, len));
FAILING(disk_fails(), int, ftruncate64, (int fd, off64_t len), (fd, len));
FAILING(disk_fails(), int, fsync, (int fd), (fd));
FAILING(disk_fails(), int, fdatasync, (int fd), (fd));
FAILING(disk_fails(), int, unlink, (const char *path), (path));
FAILING(disk_fails(), int, unlinkat, (int dir, const char *name, int flags),
	(dir, name, flags));
FAILING(disk_fails(), int, rename, (const char *from, const char *to),
	(from, to));
FAILING(disk_fails(), int, renameat,
	(int dir, const char *from, int to_dir, const char *to),
	(dir, from, to_dir, to));
FAILING(disk_fails(), int, link, (const char *from, const char *to),
	(from, to));
FAILING(disk_fails(), int, linkat,
	(int dir, const char *from, int to_dir, const char *to, int flags),
	(dir, from, to_dir, to, flags));
FAILING(disk_fails(), int, symlinkat,
	(const char *to, int dir, const char *name), (to, dir, name));
FAILING(disk_fails(), int, mkdir, (const char *path, mode_t mode),
	(path, mode));
FAILING(disk_fails(), int, mkdirat, (int dir, const char *name, mode_t mode),
	(dir, name, mode));
FAILING(disk_fails(), int, fchmod, (int fd, mode_t mode), (fd, mode));
FAILING(disk_fails(), int, fchown, (int fd, uid_t uid, gid_t gid),
	(fd, uid, gid));

/* -- descriptors -- */

static bool open_fails(int flags)
{
	return flags & O_CREAT ? disk_fails() : fails(FAULT_OPEN, EMFILE);
}

/* The mode is there only if a file is made, but then the same register. */
#define OPENING(name, params, args)                                            \
	int name params                                                        \
	{                                                                      \
		mode_t mode;                                                   \
		va_list ap;                                                    \
									       \
		va_start(ap, flags);                                           \
		mode = va_arg(ap, mode_t);                                     \
		va_end(ap);                                                    \
		return open_fails(flags) ? -1 : REAL(name) args;               \
	}                                                                      \
	int name params

OPENING(open, (const char *path, int flags, ...), (path, flags, mode));
OPENING(open64, (const char *path, int flags, ...), (path, flags, mode));
OPENING(openat, (int dir, const char *path, int flags, ...),
	(dir, path, flags, mode));
OPENING(openat64, (int dir, const char *path, int flags, ...),
	(dir, path, flags, mode));
FAILING(fails(FAULT_OPEN, EMFILE), int, pipe2, (int fds[2], int flags),
	(fds, flags));
FAILING(fails(FAULT_OPEN, EMFILE), int, memfd_create,
	(const char *name, unsigned int flags), (name, flags));
FAILING(fails(FAULT_OPEN, EMFILE), int, socketpair,
	(int domain, int type, int protocol, int fds[2]),
	(domain, type, protocol, fds));

/* -- reading, waiting -- */

FAILING(fails(FAULT_READ, EIO) || fails(FAULT_SIGNAL, EINTR), ssize_t, read,
	(int fd, void *mem, size_t n), (fd, mem, n));
FAILING(fails(FAULT_READ, EIO), ssize_t, pread,
	(int fd, void *mem, size_t n, off_t at), (fd, mem, n, at));
FAILING(fails(FAULT_READ, EIO), ssize_t, pread64,
	(int fd, void *mem, size_t n, off64_t at), (fd, mem, n, at));
FAILING(fails(FAULT_SIGNAL, EINTR), pid_t, waitpid,
	(pid_t pid, int *status, int flags), (pid, status, flags));
FAILING(fails(FAULT_SIGNAL, EINTR), int, poll,
	(struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout));

/* -- looking -- */

#define LOOKING(name, type, params, args)                                      \
	FAILING(fails(FAULT_LOOK, EIO), type, name, params, args)

LOOKING(fstat, int, (int fd, struct stat *st), (fd, st));
LOOKING(fstat64, int, (int fd, struct stat64 *st), (fd, st));
LOOKING(lstat, int, (const char *path, struct stat *st), (path, st));
LOOKING(lstat64, int, (const char *path, struct stat64 *st), (path, st));
LOOKING(stat, int, (const char *path, struct stat *st), (path, st));
LOOKING(stat64, int, (const char *path, struct stat64 *st), (path, st));
LOOKING(fstatat, int, (int dir, const char *path, struct stat *st, int flags),
	(dir, path, st, flags));
LOOKING(statvfs, int, (const char *path, struct statvfs *st), (path, st));
LOOKING(readlink, ssize_t, (const char *path, char *mem, size_t n),
	(path, mem, n));
LOOKING(readlinkat, ssize_t, (int dir, const char *path, char *mem, size_t n),
	(dir, path, mem, n));

struct dirent *readdir(DIR *dir)
{
	return fails(FAULT_LOOK, EIO) ? NULL : REAL(readdir)(dir);
}

/* As where a directory service does not answer. */
struct passwd *getpwnam(const char *name)
{
	return fails(FAULT_LOOK, EIO) ? NULL : REAL(getpwnam)(name);
}

/* -- locks -- */

FAILING(fails(FAULT_LOCK, ENOLCK), int, flock, (int fd, int how), (fd, how));

#define CONTROLLING(name)                                                      \
	int name(int fd, int command, ...)                                     \
	{                                                                      \
		void *argument;                                                \
		va_list ap;                                                    \
									       \
		va_start(ap, command);                                         \
		argument = va_arg(ap, void *);                                 \
		va_end(ap);                                                    \
		if ((command == F_SETLK || command == F_GETLK ||               \
		     command == F_OFD_SETLK || command == F_OFD_GETLK) &&      \
		    fails(FAULT_LOCK, ENOLCK))                                 \
			return -1;                                             \
		return REAL(name)(fd, command, argument);                      \
	}                                                                      \
	int name(int fd, int command, ...)

CONTROLLING(fcntl);
CONTROLLING(fcntl64);

/* -- processes and their rights -- */

FAILING(fails(FAULT_FORK, EAGAIN), pid_t, fork, (void), ());

FAILING(fails(FAULT_RIGHTS, EPERM), int, unshare, (int flags), (flags));
FAILING(fails(FAULT_RIGHTS, EPERM), int, mount,
	(const char *from, const char *to, const char *type,
	 unsigned long flags, const void *data), (from, to, type, flags, data));
FAILING(fails(FAULT_RIGHTS, EPERM), int, setgroups,
	(size_t n, const gid_t *groups), (n, groups));
FAILING(fails(FAULT_RIGHTS, EPERM), int, setresgid,
	(gid_t real, gid_t effective, gid_t saved), (real, effective, saved));
FAILING(fails(FAULT_RIGHTS, EPERM), int, setresuid,
	(uid_t real, uid_t effective, uid_t saved), (real, effective, saved));
FAILING(fails(FAULT_RIGHTS, EPERM), int, setrlimit,
	(__rlimit_resource_t resource, const struct rlimit *limit),
	(resource, limit));

int prctl(int option, ...)
{
	unsigned long args[4];
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < 4; i++)
		args[i] = va_arg(ap, unsigned long);
	va_end(ap);
	/* what only asks, or is a favour, may fail unheard */
	if ((option == PR_SET_NO_NEW_PRIVS || option == PR_CAPBSET_DROP) &&
	    fails(FAULT_RIGHTS, EPERM))
		return -1;
	return REAL(prctl)(option, args[0], args[1], args[2], args[3]);
}
