/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th call of the C library fails: what the program, libaq and SQLite call
 * is caught in the program itself, whose symbols come first (ld.so(8)).
 */
#ifndef AQ_FAULTS_H
#define AQ_FAULTS_H

#include <stdbool.h>

/* ASan has an allocator of its own, which cannot be stood in front of. */
#ifdef __SANITIZE_ADDRESS__
#define FAULTS_HAS_MEMORY 0
#else
#define FAULTS_HAS_MEMORY 1
#endif

enum fault_kind {
	FAULT_MEMORY, /* malloc, calloc, realloc: ENOMEM */
	FAULT_DISK,   /* what writes, makes, renames and flushes: ENOSPC */
	FAULT_KILL,   /* the process is killed there instead */
};

/* From now on the n-th call (1: the next) of 'kind' fails, and every later
 * one, as when a disk is full; or only that one.
 */
void faults_arm(enum fault_kind kind, unsigned long n, bool and_all_later);
/* No more faults; returns whether one happened. */
bool faults_disarm(void);

#endif
