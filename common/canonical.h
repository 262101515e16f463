/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical form of a request: the bytes that are hashed and that travel
 * (docs/format.md).  Reading it again is aq_request_parse(), common/request.h.
 */
#ifndef AQ_CANONICAL_H
#define AQ_CANONICAL_H

#include "common/err.h"
#include "common/request.h"
#include "common/str.h"

#define AQ_CANONICAL_HEADER "aq-request 1\n"

/* Items of one list of a request. */
#define AQ_REQUEST_ITEMS_MAX 1024

/* An empty request (all lists with their caps), or NULL: out of memory. */
struct aq_request *aq_request_new(void);

/* Write req->canonical and req->digest from the rest, which is normalised and
 * sorted.  AQ_USER if that is over AQ_REQUEST_CANONICAL_MAX; AQ_SYS.
 */
AQ_CHECK int aq_request_seal(struct aq_request *req, struct aq_err *err);

/* Append the lines of the package part: all but the header, whether it
 * inherits (the context says from what) and the variables. */
void aq_canonical_package_part(const struct aq_request *req,
			       struct aq_str *out);

/* Whether 'name', len bytes, may be the name of a variable of a request. */
bool aq_is_variable_name(const char *name, size_t len);

/* Order of variables, "NAME=VALUE": by name. */
int aq_variable_compare(const char *a, const char *b);

#endif
