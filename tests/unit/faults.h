/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th call of the C library fails: what the program, libaq and SQLite call
 * is caught in the program itself, whose symbols come first (ld.so(8)).
 */
#ifndef AQ_FAULTS_H
#define AQ_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

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
	FAULT_OPEN,   /* what opens, and makes pipes and sockets: EMFILE */
	FAULT_READ,   /* read, pread: EIO */
	FAULT_LOCK,   /* flock, and locks by fcntl, asking too: ENOLCK */
	FAULT_FORK,   /* fork: EAGAIN */
	FAULT_RIGHTS, /* what makes a cage and gives rights up: EPERM */
	FAULT_SIGNAL, /* a signal comes during what waits: EINTR */
	/* at what opens, reads, writes, makes, renames, flushes or locks, before
	 * it is done:
	 */
	FAULT_ABORT, /* the process calls abort(3) */
	FAULT_HANG,  /* it stops for ever */
	FAULT_FLOOD, /* it writes FAULT_FLOOD_BYTES to stdout and stderr each */
	/* at what changes the disk, which nobody does whose memory is not bounded: */
	FAULT_GROW,  /* it takes all the memory that it may have */
	/* as the first ones: */
	FAULT_LOOK, /* stat and its kin, readlink, readdir, getpwnam: EIO */
};

/* More than any pipe holds. */
#define FAULT_FLOOD_BYTES (4L * 1024 * 1024)
/* What may have more than this is not bounded: has_happened is FAULT_UNBOUNDED. */
#define FAULT_GROW_MAX (4L * 1024 * 1024 * 1024)
#define FAULT_UNBOUNDED 2

/* Several processes may share one. */
struct faults {
	uint64_t kind;
	uint64_t n;             /* which call (1: the first); 0: none */
	uint64_t and_all_later; /* as when a disk is full */
	uint64_t calls;         /* of that kind, until now */
	uint64_t has_happened;
};

/* From now on the n-th call (1: the next) of 'kind' fails, and every later
 * one, as when a disk is full; or only that one.
 */
void faults_arm(enum fault_kind kind, unsigned long n, bool and_all_later);
/* No more faults; returns whether one happened. */
bool faults_disarm(void);
/* From now on it is 'plan' that says so, and is told. */
void faults_share(struct faults *plan);
/* It is the one in that file, if there is one: the plan, or NULL. */
struct faults *faults_map(const char *path);

/* Run PLAN.run to its end, if there is such a program: what breaks something, but no
 * call.
 */
void faults_run_program(const char *plan_path);

/* In this process, and what it forks from now on, nothing fails or is counted: a
 * harness's own calls.
 */
void faults_pause(bool is_paused);
/* The same in this process alone. */
void faults_pause_self(void);

#endif
