/* SPDX-License-Identifier: Apache-2.0 */
/* conda's MatchSpec: [channel[/subdir]::]name[ version[ build]][[key=value]].
 * Grammar: conda/models/match_spec.py, rattler's match_spec/parse.rs; where
 * those two disagree this refuses and says what to write.
 */
#ifndef AQ_MATCHSPEC_H
#define AQ_MATCHSPEC_H

#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"
#include "common/vspec.h"

#define AQ_PACKAGE_NAME_MAX 128 /* bytes of a package's name */

struct aq_matchspec {
	char *channel;	    /* as written, without the subdir, or NULL */
	char *subdir;	    /* "linux-64", or NULL */
	char *name;	    /* lower case */
	char *version;	    /* normal form (common/vspec.h); "*" for any */
	char *build;	    /* exact or with '*', or NULL for any */
	char *build_number; /* "3" or ">=3", or NULL */
	char *md5, *sha256; /* lower-case digits, or NULL */
};

/* Parse one spec.  Returns 0 and sets *ret (release with
 * aq_matchspec_free()), or AQ_USER with what is wrong and what to write
 * instead, or AQ_SYS; *ret is untouched then.
 */
AQ_CHECK int aq_matchspec_parse(const char *text, struct aq_matchspec *ret,
				struct aq_err *err);

/* Append the one spelling that this project writes:
 * "channel/subdir::name version build[build_number=…,md5=…,sha256=…]", what
 * is not there left out.  Parsing it gives the same spec; conda's clients
 * read it.
 */
void aq_matchspec_print(const struct aq_matchspec *spec, struct aq_str *out);

/* Whether it says more than name and version. */
bool aq_matchspec_is_special(const struct aq_matchspec *spec);

/* Whether 'name' is one of conda's platforms ("linux-64", "noarch", …). */
bool aq_is_subdir(const char *name);

void aq_matchspec_free(struct aq_matchspec *spec);
#define cleanup_matchspec __attribute__((cleanup(aq_matchspec_free)))

#endif
