/* SPDX-License-Identifier: Apache-2.0 */
/* What reqfile.c and reqfile_options.c have in common; for no one else. */
#ifndef AQ_REQFILE_INSIDE_H
#define AQ_REQFILE_INSIDE_H

#include "common/reqfile.h"

/* The value behind option 'name' in 'text' ("-r x", "-rx", "--long x", "--long=x"), or
 * NULL.
 */
const char *reqfile_option_value(const char *text, const char *name);

/* Take a line that begins with '-', but for -r and -c. */
void reqfile_option(struct aq_pip *pip, struct aq_place at, const char *text);

/* Bytes of 'text' that are --hash options, with the white space, and the ends of lines
 * that are continued, before each.  Pure.
 */
size_t reqfile_hashes_len(const char *text);

#endif
