/* SPDX-License-Identifier: Apache-2.0 */
/* Python files that say what they need (PEP 723, packaging.python.org,
 * "Inline script metadata"):
 *
 *   # /// script
 *   # requires-python = ">=3.11"
 *   # dependencies = ["numpy>=2"]
 *   # ///
 */
#ifndef AQ_SCRIPT_H
#define AQ_SCRIPT_H

#include "common/sections.h"

/* A Python file is code besides: it may be longer than a request. */
#define AQ_SCRIPT_FILE_MAX (1024 * 1024)

/* Read the block of 'text' into r->req, unsorted: dependencies as pip's
 * requirements, requires-python as a condition on Python.  The file is never
 * run.  What is wrong goes to r->problems, all of it.
 */
void aq_script_read(struct aq_reading *r, const char *text);

/* requires-python, a set of PEP 440's specifiers, as a condition in the normal
 * form of conda's versions.  Returns 0 and sets *ret (malloc'ed), or AQ_USER,
 * or AQ_SYS.
 */
AQ_CHECK int aq_script_python(const char *specifiers, char **ret,
			      struct aq_err *err);

#endif
