/* SPDX-License-Identifier: Apache-2.0 */
/* Environments made by hand, whole as aq-builder leaves them: a conda package, a
 * wheel, byte-code, links, a program that belongs to neither.
 */
#ifndef AQ_PREFIXES_H
#define AQ_PREFIXES_H

#include "common/verify.h"
#include "tests/unit/cachedir.h"

/* Of package 'p' below "lib/p/", of wheel 'w' below PREFIX_SITE. */
#define PREFIX_SITE "lib/python3.12/site-packages"

struct prefix {
	struct sample *s; /* free with prefix_free() */
	char *path;
};

/* Commit the n-th, sealed, with its manifest.  'base' NULL: a whole one. */
struct prefix prefix_make(const struct aq_conf *conf, unsigned int n,
			  const char *base);
void prefix_free(struct prefix *p);

/* The text of file 'name' of the prefix from now on, made if need be; its mode
 * stays, or is 0444.  A directory of it that is closed is closed afterwards.
 */
void prefix_write(const struct prefix *p, const char *name, const char *text);
void prefix_remove(const struct prefix *p, const char *name);
void prefix_link(const struct prefix *p, const char *name, const char *target);
void prefix_chmod(const struct prefix *p, const char *name, unsigned int mode);
/* Note again what is there: what was done is no damage, but as it was built. */
void prefix_accept(const struct aq_conf *conf, const struct prefix *p);

/* aq_verify_env(), which must not fail but with AQ_MISS. */
int prefix_look(const struct aq_conf *conf, const char *name, bool has_contents,
		struct aq_findings *ret);
/* Print what was found. */
void prefix_say(const struct aq_findings *f);
/* The first of 'kind', and of 'path' unless that is NULL; NULL: none. */
const struct aq_finding *prefix_find(const struct aq_findings *f,
				     enum aq_finding_kind kind,
				     const char *path);
/* One of these is found, with 'text' in it, and nothing else but sizes, which
 * follow from much.
 */
void prefix_expect(const struct aq_conf *conf, const char *name,
		   bool has_contents, enum aq_finding_kind kind,
		   const char *path, const char *text);
/* Nothing is found, with contents and without. */
void prefix_expect_clean(const struct aq_conf *conf, const char *name);

/* To write; close it. */
struct aq_store *open_store(const struct aq_conf *conf);
/* Run SQL on cache.db, foreign keys unwatched. */
void run_sql(const struct aq_conf *conf, const char *sql);

#endif
