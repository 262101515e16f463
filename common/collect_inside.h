/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the collector; for no one else. */
#ifndef AQ_COLLECT_INSIDE_H
#define AQ_COLLECT_INSIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/io.h"

/* The directory 'sub' of cache_dir. */
AQ_CHECK int aq_collect_open(const struct aq_conf *conf, const char *sub,
			     int *ret, struct aq_err *err);
/* Call 'fn' for every entry of it that does not begin with a dot; not there is
 * no failure.
 */
AQ_CHECK int aq_collect_each_entry(const struct aq_conf *conf, const char *sub,
				   aq_entry_fn *fn, void *arg,
				   struct aq_err *err);
/* Move the files of environment 'name' to trash/; not there is no failure. */
AQ_CHECK int aq_collect_to_trash(const struct aq_conf *conf, const char *name,
				 struct aq_err *err);

/* What builds leave besides environments: logs that are old or take too much room, their
 * bytes added to *bytes; and, of those that were killed, locks and progress.
 */
AQ_CHECK int aq_collect_traces(const struct aq_conf *conf, uint64_t *bytes,
			       struct aq_err *err);

/* -- collect_caches.c -- */
/* What goes from the package caches, one after another, and how much that is. */
struct caches {
	const struct aq_conf *conf;
	const char *sub;
	bool is_dry;
	uint64_t bytes;
	const char *mark;    /* what an entry has, others not; or NULL */
	struct aq_strv *ids; /* take the names, and remove nothing; or NULL */
	/* what has one of these goes, and nothing else; or NULL */
	const ino_t *inodes;
	size_t n_inodes;
};
/* An entry of the directory c->sub, 'arg' (an aq_entry_fn): it goes if no environment has
 * files of it, or if it has one of c->inodes.
 */
AQ_CHECK int aq_collect_entry(const char *name, void *arg, struct aq_err *err);

/* -- collect_wheels.c -- */
/* What uv unpacked that no environment shares, and first what points there. */
AQ_CHECK int aq_collect_wheels(struct caches *c, struct aq_err *err);
/* Files that nothing points to.  Nobody builds, and pointers to what went have gone. */
AQ_CHECK int aq_collect_wheel_files(struct caches *c, struct aq_err *err);

#endif
