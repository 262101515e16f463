/* SPDX-License-Identifier: Apache-2.0 */
/* For tests/lib/coverage: what forked children reached counts, though neither _exit(2)
 * nor execve(2) runs anything at an end.
 */
#ifndef AQ_COVERED_H
#define AQ_COVERED_H

#include <unistd.h>

void __gcov_dump(void); /* libgcov's */
void __gcov_reset(void);
/* What gcov calls must not fail, for it holds a lock meanwhile: tests/unit/faults.c and
 * tests/fake/fake.c, where they are linked.
 */
void faults_pause_self(void) __attribute__((weak));
void fake_pause_self(void) __attribute__((weak));

static inline void covered_dump(void)
{
	if (faults_pause_self)
		faults_pause_self();
	if (fake_pause_self)
		fake_pause_self();
	__gcov_dump();
}

static inline _Noreturn void covered_exit(int status)
{
	covered_dump();
	_exit(status);
}
#define _exit covered_exit

/* gcov's own way to it would not be one that a test can catch. */
static inline int covered_execve(const char *path, char *const argv[],
				 char *const env[])
{
	covered_dump();
	__gcov_reset();
	return execve(path, argv, env);
}
#define execve covered_execve

#endif
