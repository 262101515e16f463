/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sha256.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The functions of the algorithm itself, not those that find an implementation
 * at run time: these read the host's openssl.cnf, may load modules that it names,
 * and take ten times as long as a digest.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "common/cleanup.h"

#define READ_SIZE (64 * 1024)

static int fail(struct aq_err *err)
{
	return aq_fail(err, AQ_SYS, "libcrypto cannot do SHA-256");
}

static int finish(SHA256_CTX *ctx, char ret_hex[AQ_SHA256_HEX_SIZE],
		  struct aq_err *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[SHA256_DIGEST_LENGTH];

	if (SHA256_Final(md, ctx) != 1)
		return fail(err);
	for (size_t i = 0; i < sizeof(md); i++) {
		ret_hex[2 * i] = digits[md[i] >> 4];
		ret_hex[2 * i + 1] = digits[md[i] & 15];
	}
	ret_hex[2 * sizeof(md)] = '\0';
	return 0;
}

int aq_sha256(const void *mem, size_t len, char ret_hex[AQ_SHA256_HEX_SIZE],
	      struct aq_err *err)
{
	SHA256_CTX ctx;

	if (SHA256_Init(&ctx) != 1 || SHA256_Update(&ctx, mem, len) != 1)
		return fail(err);
	return finish(&ctx, ret_hex, err);
}

int aq_sha256_fd(int fd, size_t max, char ret_hex[AQ_SHA256_HEX_SIZE],
		 struct aq_err *err)
{
	cleanup_free char *buf = malloc(READ_SIZE);
	SHA256_CTX ctx;
	size_t total = 0;

	if (!buf)
		return aq_fail(err, AQ_SYS, "out of memory for a digest");
	if (SHA256_Init(&ctx) != 1)
		return fail(err);
	for (;;) {
		ssize_t n = read(fd, buf, READ_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot read for a digest");
		if (n == 0)
			return finish(&ctx, ret_hex, err);
		if ((size_t)n > max - total)
			return aq_fail(err, AQ_SYS,
				       "the file is over its limit of %zu "
				       "bytes",
				       max);
		total += (size_t)n;
		if (SHA256_Update(&ctx, buf, (size_t)n) != 1)
			return fail(err);
	}
}
