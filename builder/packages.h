/* SPDX-License-Identifier: Apache-2.0 */
/* The package cache of shared builds, work/pkgs: clients unpack into it, as
 * builder_user, and what later builds of other people link is its files.
 *
 * A package that was unpacked is looked at (packages_judge.c) before anything that
 * was linked of it is committed, and closed then: its directories become root's, and
 * its files, which stay builder_user's for hard links, have no write bit.  Nothing
 * that a client joins or follows exchanges them any more.  work/checked/DIR, in a
 * directory of root's, says which archive the directory of which inode is, and the
 * paths of its links: what a package says of itself is not asked again.
 */
#ifndef AQ_BUILDER_PACKAGES_H
#define AQ_BUILDER_PACKAGES_H

#include "builder/builder.h"

/* Below work/, root's. */
#define PACKAGES_CHECKED "checked"
/* "NAME-VERSION-BUILD", as clients call the place of an unpacked package. */
#define PACKAGES_DIR_SIZE 256

/* Before a client links b->lock: whether another archive's package of the same name,
 * version and build is closed where one of the lock's would be.  It is not replaced,
 * for somebody may be linking it.
 */
AQ_CHECK int packages_prepare(struct build *b, bool *ret_is_in_the_way,
			      struct aq_err *err);
/* Before one unpacks b->lock: where it has a directory for each channel, that is the
 * cache itself.  AQ_MISS: what is there is in the way.
 */
AQ_CHECK int packages_flatten(const struct build *b, struct aq_err *err);
/* Once a client has unpacked what b->lock names: all of that is what its archive says
 * and leads nowhere, and is closed.  AQ_USER, BUILD_REFUSED: a package is made to lead
 * out; AQ_SYS, BUILD_NOT_KEPT: what is in the cache is not what its index says.
 * Either is removed.  BUILD_NOT_KEPT also if it is another archive's, whose build was
 * faster.  AQ_MISS: a package is not where clients unpack it.
 * 'is_anew': once more what was looked at before, and no more.  Nothing of a personal
 * or a private build, whose caches are its user's own.
 */
AQ_CHECK int packages_check(struct build *b, bool is_anew, struct aq_err *err);

/* Call 'fn' for each conda package of b->lock that is not unpacked and closed, until it
 * returns non-zero, which is returned.
 */
AQ_CHECK int packages_each_missing(struct build *b,
				   int (*fn)(const struct aq_lock_item *item,
					     void *arg),
				   void *arg, struct aq_err *err);
/* Append what is known of b->lock's packages to a client's input: "checked DIR" of
 * each that is closed, "link PATH" of each link of those.
 */
void packages_tell(const struct build *b, struct aq_str *input);

/* 'text' is the path of each link of b->lock's packages, a line each.  Each link stays in
 * the prefix from where its package says that it is: so none may be anywhere else, which
 * another link would make it; AQ_USER, BUILD_REFUSED.
 */
AQ_CHECK int packages_judge_links(struct build *b, const char *text,
				  struct aq_err *err);

/* -- packages_judge.c -- */
struct packages_judge {
	const char *cache;          /* cache_dir, as clients see it: pkgs is there */
	const struct aq_strv *dirs; /* in pkgs */
};
/* For run_function(): 'arg' is a struct packages_judge.  Says in a line of each that
 * is bad why, as PACKAGES_REFUSED or PACKAGES_DAMAGED, and of each link its path, and
 * "DIR/." of each directory that one leaves by "..": the letter, a space, the package's
 * directory, a space, the text.
 */
int packages_judge(void *arg, struct aq_str *out, struct aq_err *err);
#define PACKAGES_REFUSED 'r'
#define PACKAGES_DAMAGED 'd'
#define PACKAGES_LINK 'l'
#define PACKAGES_SAID_MAX (64 * 1024 * 1024) /* bytes of all lines */

#endif
