/* SPDX-License-Identifier: Apache-2.0 */
/* PEP 440: Python's version numbers and version specifiers.
 *
 * Normal form of a version: PEP 440's "Normalization" (case, separators,
 * spellings such as alpha and c, leading zeros and v).  Where the operator
 * compares (==, !=, <, <=, >, >=) zeros at the end of the release are dropped
 * too, since 1.2 == 1.2.0; not for ~=, ==X.* and !=X.*, where their number
 * has meaning, nor for ===, which compares text.
 * Normal form of a specifier set: sorted, each once, without white space.
 */
#ifndef AQ_PEP440_H
#define AQ_PEP440_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/str.h"

/* Append the normal form of the version text[0..len); false (with 'out'
 * perhaps begun) if it is not one.  'strip' drops the release's last zeros;
 * 'plain' wants nothing but epoch and release; 'local' permits "+local".
 */
struct aq_pep440_flags {
	bool strip, plain, local;
};
AQ_CHECK bool aq_pep440_version(const char *text, size_t len,
				struct aq_pep440_flags flags,
				struct aq_str *out);

/* Normalise the specifier set 'text' (">= 1.0, <2"; "" for any).
 * Returns 0 and sets *ret (malloc'ed), or AQ_USER with what is wrong and what
 * to write instead, or AQ_SYS.
 */
AQ_CHECK int aq_pep440_specifiers(const char *text, char **ret,
				  struct aq_err *err);

#endif
