/* SPDX-License-Identifier: Apache-2.0 */
/* What shared_dir.c and shared_claim.c have in common; for no one else. */
#ifndef AQ_SHARED_INSIDE_H
#define AQ_SHARED_INSIDE_H

#include "builder/shared_dir.h"

#define SHARED_NAME_SIZE 128

/* As shared_dir_open(), in the directory 'kind'; the first digits of 'key' count. */
AQ_CHECK int shared_open(const char *path, uid_t owner, const char *kind,
			 const char *key, struct shared_dir *ret,
			 struct aq_err *err);
/* To read.  AQ_MISS: it is not there; AQ_CORRUPT: it is nothing of ours. */
AQ_CHECK int shared_open_own(const struct shared_dir *d, const char *name,
			     int *ret_fd, struct aq_err *err);
AQ_CHECK int shared_read_own(const struct shared_dir *d, const char *name,
			     struct aq_str *text, struct aq_err *err);
/* The highest number below 'below' behind "KEY." and 'kind'; 0: there is none. */
AQ_CHECK int shared_find_highest(const struct shared_dir *d, const char *kind,
				 uint64_t below, uint64_t *ret,
				 struct aq_err *err);
/* Make an empty file with a name that nobody looks for. */
AQ_CHECK int shared_make_new(const struct shared_dir *d,
			     char ret_name[SHARED_NAME_SIZE], int *ret_fd,
			     struct aq_err *err);
/* Write a file, flushed, with a name that nobody looks for. */
AQ_CHECK int shared_write_new(const struct shared_dir *d, const char *text,
			      size_t len, char ret_name[SHARED_NAME_SIZE],
			      struct aq_err *err);
/* Give the file 'from' the name 'to' as well.  AQ_BUSY: another has it. */
AQ_CHECK int shared_give_name(const struct shared_dir *d, const char *from,
			      const char *to, struct aq_err *err);

#endif
