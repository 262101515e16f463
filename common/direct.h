/* SPDX-License-Identifier: Apache-2.0 */
/* Direct references (PEP 508, "NAME @ URL"): a git repository, or a wheel that lies
 * where the request's user can read it.
 *
 *   git+https://HOST/PATH[@REVISION][#subdirectory=PATH]    http and file too
 *   file:///PATH.whl#sha256=HEX
 */
#ifndef AQ_DIRECT_H
#define AQ_DIRECT_H

#include <stdbool.h>

#include "common/domain.h"
#include "common/err.h"
#include "common/str.h"

/* Where the URL begins in 'text', a requirement, if it is written as one, whatever
 * of; or NULL.
 */
const char *aq_direct_find(const char *text);

/* Judge the URL, 'len' bytes at 'url', and append it.  A wheel's may lack its hash
 * yet.  Returns 0, or AQ_USER with what is wrong with it.
 */
AQ_CHECK int aq_direct_url(const char *url, size_t len, struct aq_str *ret,
			   struct aq_err *err);

/* Of one that was judged. */
enum aq_input aq_direct_input(const char *url);
/* The hash that a wheel's URL has, or NULL. */
const char *aq_direct_sha256(const char *url);

/* Whether a requirement is a path, as pip takes it: "./a-1.0-py3-none-any.whl". */
bool aq_direct_is_path(const char *text);
/* Append "NAME @ file:///PATH#sha256=HEX" for the wheel 'path', relative to the
 * directory of 'file'.  Reads it as the calling user.  AQ_USER: it is no wheel, or
 * cannot be read.
 */
AQ_CHECK int aq_direct_read(const char *path, const char *file,
			    struct aq_str *ret, struct aq_err *err);
/* Append the URL of a wheel with its file's hash; one that it has must be that. */
AQ_CHECK int aq_direct_hash(const char *url, struct aq_str *ret,
			    struct aq_err *err);

#endif
