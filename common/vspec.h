/* SPDX-License-Identifier: Apache-2.0 */
/* conda's version specs: ">=1.2,<2|1.0.*".  See conda's VersionSpec and
 * VersionOrder (conda/models/version.py) and rattler's version_spec.
 *
 * Normal form: no white space; "1.2.*" for =1.2, 1.2*, 1.2.*, ==1.2.*;
 * "==1.2" for a bare 1.2; ">=1.2" for >=1.2.*; alternatives and the parts of
 * each sorted (what is exact first, then lower bounds, upper bounds,
 * exclusions), each once; "*" for any.  Version numbers themselves are not
 * touched: conda compares an exact one as text, so 1.2 is not 1.2.0.
 */
#ifndef AQ_VSPEC_H
#define AQ_VSPEC_H

#include <stdbool.h>

#include "common/err.h"

/* One spec, requirement or marker; the longest in the wild have a few 100. */
#define AQ_SPEC_MAX 2048

/* Normalise 'text'.  Returns 0 and sets *ret (malloc'ed), or AQ_USER with
 * what is wrong, or AQ_SYS.  The normal form of a normal form is itself.
 */
AQ_CHECK int aq_vspec_normalise(const char *text, char **ret,
				struct aq_err *err);

/* The normal form of "a and b", both being in normal form. */
AQ_CHECK int aq_vspec_and(const char *a, const char *b, char **ret,
			  struct aq_err *err);

/* Whether a spec in normal form can never match because two of its conditions
 * exclude each other ("3.10.*,3.9.*", "3.9.*,>=3.10").  Looks at plain numbers
 * only: false does not mean that something matches.
 */
bool aq_vspec_contradicts_itself(const char *spec);

#endif
