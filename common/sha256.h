/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) by libcrypto, whose only user sha256.c is. */
#ifndef AQ_SHA256_H
#define AQ_SHA256_H

#include <stddef.h>

#include "common/err.h"

#define AQ_SHA256_HEX_SIZE 65 /* 64 lower-case digits and the NUL */

/* The digest of mem[0..len) as hexadecimal digits. */
AQ_CHECK int aq_sha256(const void *mem, size_t len,
		       char ret_hex[AQ_SHA256_HEX_SIZE], struct aq_err *err);

/* The digest of what can be read from 'fd' from its present offset on, at
 * most 'max' bytes (more is AQ_SYS).
 */
AQ_CHECK int aq_sha256_fd(int fd, size_t max, char ret_hex[AQ_SHA256_HEX_SIZE],
			  struct aq_err *err);

#endif
