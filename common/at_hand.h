/* SPDX-License-Identifier: Apache-2.0 */
/* What can be had without waiting for a disk or a server: for slurmstepd itself, which
 * no worker guards.  By openat2(2)'s RESOLVE_CACHED (Linux 5.12), which looks at the
 * names that the kernel has in memory; where that is missing nothing is at hand.
 * Nothing here waits.
 */
#ifndef AQ_AT_HAND_H
#define AQ_AT_HAND_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Whether the regular file 'path', without links, is of the file system of "/", "/run" or
 * "/dev/shm": where those hang there is no Slurm either.
 */
bool aq_at_hand_file(const char *path);
/* The same of a directory that is in memory (tmpfs): nothing in it waits for a disk. */
bool aq_at_hand_memory(const char *path);

/* Which file has a name, and in which state it is. */
struct aq_seen {
	dev_t dev;
	ino_t inode;
	off_t size;
	struct timespec changed; /* ctime, which nobody can set */
};
/* What the kernel has in memory of 'path', links followed.  False: it would have to look,
 * or there is none.  It is true of a local file system alone: what the kernel has of
 * others' may be old.
 */
bool aq_at_hand_see(const char *path, struct aq_seen *ret);
/* The same by looking, however long that takes. */
bool aq_see(const char *path, struct aq_seen *ret);

/* Whether what is at 'path' is of a file system for which memory is the truth: a local
 * one (statfs(2)).  May wait.
 */
bool aq_is_local(const char *path);

#endif
