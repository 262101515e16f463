/* SPDX-License-Identifier: Apache-2.0 */
/* An attacker beside the code under test, and an older kernel. */
#ifndef AQ_SWAP_H
#define AQ_SWAP_H

#include <sys/types.h>

/* How often code that is raced tries: AQ_COUNT_SWAPS. */
#define SWAPS 100000

/* A process that exchanges 'a' and 'b' in 'dir' for ever, atomically, as 'uid'
 * (0: as we are); it is running when this returns.
 */
pid_t swap_start(const char *dir, const char *a, const char *b, uid_t uid);
void swap_stop(pid_t pid);
/* Stand still, so that the test can lay things out anew; go on. */
void swap_pause(pid_t pid);
void swap_go_on(pid_t pid);

/* Call 'fn' in a child for which openat2(2) answers ENOSYS, as before Linux 5.6;
 * what it returned (0 to 255), or -1.
 */
int without_openat2(int (*fn)(void *arg), void *arg);

#endif
