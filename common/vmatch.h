/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a package that is there is one that a spec asks for, without asking
 * a client.  The answer is yes or no only where conda and rattler give the
 * same; where they differ, or may, it is "unsure", and a client has to say.
 * Pure: no memory, no files.
 */
#ifndef AQ_VMATCH_H
#define AQ_VMATCH_H

#include "common/err.h"
#include "common/lock.h"
#include "common/matchspec.h"

enum aq_match { AQ_MATCH_NO, AQ_MATCH_YES, AQ_MATCH_UNSURE };

/* Compare two versions as conda orders them (VersionOrder in
 * conda/models/version.py): "1!" is the epoch, "+x" local; 1.2 equals 1.2.0,
 * 1.2dev < 1.2a < 1.2 < 1.2.post, upper case is as lower case.  Returns 0 and
 * sets *ret to -1, 0 or 1; or AQ_USER, with *ret untouched: one of them is no
 * version, or has over AQ_VORDER_PARTS_MAX parts (common/vorder.h).
 */
AQ_CHECK int aq_version_compare(const char *a, const char *b, int *ret,
				struct aq_err *err);

/* Whether 'version' is one of 'spec', which is in normal form
 * (common/vspec.h); text that is not, or that a client would refuse, is
 * AQ_MATCH_UNSURE.  So is an exact version spelt otherwise (==1.2 and 1.2.0):
 * rattler compares versions, libsolv and older condas text.
 */
enum aq_match aq_vspec_matches(const char *spec, const char *version);

/* Whether 'item' is what 'spec' asks for.  AQ_MATCH_NO for a wheel, which no
 * match spec names.  Unsure about what the lock does not say: the md5, the
 * channel (the caller knows them by URL), and the build number unless the
 * build string is of the form that conda-build makes, "…h1234567_0".  A
 * spec's name may have '*' here, though the parser refuses that.
 */
enum aq_match aq_matchspec_matches(const struct aq_matchspec *spec,
				   const struct aq_lock_item *item);

#endif
