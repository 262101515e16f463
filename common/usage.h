/* SPDX-License-Identifier: Apache-2.0 */
/* What files take on disk: blocks, as du(1) counts them, a file with several
 * names once.
 */
#ifndef AQ_USAGE_H
#define AQ_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Of everything that was added so far; all on one file system. */
struct aq_usage {
	uint64_t total; /* bytes on disk */
	/* those of them that nothing else holds: removing all that was added
	 * frees them
	 */
	uint64_t whole;
	struct aq_usage_links *links;
};
#define AQ_USAGE_INIT { 0 }
void aq_usage_free(struct aq_usage *usage);
#define cleanup_usage __attribute__((cleanup(aq_usage_free)))

/* Add the entry 'name' of 'dirfd', which 'st' is of; a directory without what is
 * in it.  False: out of memory.
 */
AQ_CHECK bool aq_usage_add(struct aq_usage *usage, int dirfd, const char *name,
			   const struct stat *st);

/* Add 'name' and, if it is a directory, all below it on its file system;
 * follows no link.  What is not there, or goes meanwhile, counts nothing.
 */
AQ_CHECK int aq_usage_add_tree(struct aq_usage *usage, int dirfd,
			       const char *name, struct aq_err *err);

#endif
