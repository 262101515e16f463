/* SPDX-License-Identifier: Apache-2.0 */
/* Wheels that a resolver named before, so that it need not hash the same files
 * again: for a directory of wheels (find_links) that is most of a resolution.
 *
 *   work/known/CONTEXT/NAME==VERSION: the lock's line; before it, if that is a
 *   file's, "file INODE SIZE TIME" as it was
 *
 * CONTEXT is of the key's context: the same index, directories and base.  Root
 * writes and reads them.
 */
#ifndef AQ_BUILDER_KNOWN_H
#define AQ_BUILDER_KNOWN_H

#include "builder/builder.h"

/* Append the lock's line for each "name==version" of 'pins' (one a line, with
 * comments) that 'base' does not have.  False: some are not known.
 */
AQ_CHECK bool known_find(const struct build *b, const char *pins,
			 const struct aq_strv *base, struct aq_str *lines);

/* Note the lines "wheel URL SHA256 NAME VERSION".  What cannot be noted is
 * looked up again.
 */
void known_note(const struct build *b, const char *lines);

#endif
