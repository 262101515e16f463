/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, for the harnesses that read them as files, as canonical bytes, and as
 * a node gets them.
 */
#ifndef AQ_FUZZ_REQUESTS_H
#define AQ_FUZZ_REQUESTS_H

#include <stdint.h>

#include "common/request.h"

/* Read 'path' by fuzz_conf(), and hold what is said to it to its promises.  NULL:
 * it is no request.
 */
struct aq_request *fuzz_request_read(const char *path);

/* The same of bytes as if they were the file 'name'. */
struct aq_request *fuzz_request_read_as(const char *name, const uint8_t *data,
					size_t size);

/* Parse canonical bytes, and hold the answer to its promises: what is accepted is
 * what would be written.  NULL: they are none.
 */
struct aq_request *fuzz_request_parse(const char *mem, size_t len);

/* Equal meaning, equal digest, for a request that was read or parsed: parsed
 * again; written as a file and read; written in another order, items twice.  And
 * what it is turned into behind that: its key's parts, what clients are told.
 */
void fuzz_request_check(const struct aq_request *req);

#endif
