/* SPDX-License-Identifier: Apache-2.0 */
/* Environment markers (PEP 508, PEP 685): python_version < "3.8" and … */
#ifndef AQ_MARKER_H
#define AQ_MARKER_H

#include "common/err.h"

/* Normalise 'text'.  Normal form: one blank around operators, double quotes,
 * today's names for PEP 345's ("os.name" is os_name), operands of and / or
 * sorted, each once, parentheses only where needed.
 * Returns 0 and sets *ret (malloc'ed), or AQ_USER with what is wrong, or
 * AQ_SYS.
 */
AQ_CHECK int aq_marker_normalise(const char *text, char **ret,
				 struct aq_err *err);

#endif
