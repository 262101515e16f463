/* SPDX-License-Identifier: Apache-2.0 */
/* Children that hold what others are to find held.  After tests/unit/unit.h. */
#ifndef AQ_UNIT_CHILD_H
#define AQ_UNIT_CHILD_H

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* A child that takes what 'take' takes of 'arg', true: it has it, says so, and holds it
 * until it is killed.
 */
static inline pid_t hold_in_child(bool (*take)(const void *arg), const void *arg)
{
	int ready[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		c = take(arg);
		(void)!write(ready[1], &c, 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_true(c);
	close(ready[0]);
	return pid;
}

#endif
