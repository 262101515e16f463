/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories by descriptor: no link is followed in the last
 * component, the caller's umask does not matter, what is written is on disk
 * when the call returns.
 */
#ifndef AQ_IO_H
#define AQ_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/str.h"

/* Open the directory 'path' (relative to 'dirfd', or AT_FDCWD).  AQ_MISS: not
 * there; AQ_SYS also for a link to one.  The descriptor is the caller's.
 */
AQ_CHECK int aq_open_dir(int dirfd, const char *path, int *ret_fd,
			 struct aq_err *err);

/* Open the directory 'path' below 'dirfd', which is all that is trusted: no part
 * of it may be a link, "..", or begin at the root.  By openat2(2), or where that
 * is missing part by part.  AQ_MISS: not there.
 */
AQ_CHECK int aq_open_below(int dirfd, const char *path, int *ret_fd,
			   struct aq_err *err);

/* Make directory 'name' with exactly 'mode', or accept one that is there if it
 * is ours (the effective user's) and gives nobody more than 'mode'; else AQ_SYS
 * with the remedy.
 */
AQ_CHECK int aq_make_dir(int dirfd, const char *name, mode_t mode,
			 struct aq_err *err);

/* Open the empty file 'name' for locking or as a mark, making it with exactly
 * mode 0600.  AQ_SYS: it is no regular file or not the effective user's.
 */
AQ_CHECK int aq_open_own(int dirfd, const char *name, int *ret_fd,
			 struct aq_err *err);

/* Whether the open file 'fd' is still the one that is called 'name': a lock of what
 * was removed meanwhile is worth nothing.
 */
bool aq_is_still(int fd, int dirfd, const char *name);

/* Open the regular file 'name' to read.  AQ_MISS: not there. */
AQ_CHECK int aq_open_file(int dirfd, const char *name, int *ret_fd,
			  struct aq_err *err);

/* Append the regular file 'name' to 'ret' (its cap counts).  AQ_MISS: not
 * there.
 */
AQ_CHECK int aq_read_file(int dirfd, const char *name, struct aq_str *ret,
			  struct aq_err *err);

/* The same of the open file 'fd', from where it is. */
AQ_CHECK int aq_read_open(int fd, const char *name, struct aq_str *ret,
			  struct aq_err *err);
/* Write 'name' anew with mode 0600 and flush it.  Not atomic: for files that
 * only count once something else names them.
 */
AQ_CHECK int aq_write_file(int dirfd, const char *name, const void *mem,
			   size_t len, struct aq_err *err);

/* The same, all or nothing to who reads 'name' and to who is killed, by "NAME.new";
 * not flushed: for what a boot takes away anyway.  One writer at a time.
 */
AQ_CHECK int aq_replace_file(int dirfd, const char *name, const void *mem,
			     size_t len, struct aq_err *err);

/* Call 'fn' for every entry of a directory but "." and "..", by a descriptor
 * of its own, until it returns non-zero, which is returned.  'what' is the directory
 * for people.
 */
typedef int aq_entry_fn(const char *name, void *arg, struct aq_err *err);
AQ_CHECK int aq_each_entry(int dirfd, const char *what, aq_entry_fn *fn,
			   void *arg, struct aq_err *err);

/* Flush a directory's entries. */
AQ_CHECK int aq_sync_dir(int dirfd, struct aq_err *err);

/* write(2) until all is written. */
AQ_CHECK int aq_write_all(int fd, const void *mem, size_t len,
			  struct aq_err *err);

/* Remove 'name' with all below it, however deep, by descriptors, following no
 * link and not leaving its file system.  Not there is no failure.  Directories
 * that lack the rights are given them first.
 */
AQ_CHECK int aq_remove_tree(int dirfd, const char *name, struct aq_err *err);

#endif
