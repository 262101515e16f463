/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sha256.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/cleanup.h"

#define SHA256_SIZE 32
#define READ_SIZE (64 * 1024)

static void free_ctx(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

#define cleanup_ctx __attribute__((cleanup(free_ctx)))

static int begin(EVP_MD_CTX **ret, struct aq_err *err)
{
	EVP_MD_CTX *ctx = NULL;

	/* the host's openssl.cnf costs more to read than a digest does, and may
	 * name modules to load
	 */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1)
		ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return aq_fail(err, AQ_SYS, "libcrypto cannot do SHA-256");
	}
	*ret = ctx;
	return 0;
}

static int finish(EVP_MD_CTX *ctx, char ret_hex[AQ_SHA256_HEX_SIZE],
		  struct aq_err *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_DigestFinal_ex(ctx, md, &len) != 1 || len != SHA256_SIZE)
		return aq_fail(err, AQ_SYS, "libcrypto cannot do SHA-256");
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		ret_hex[2 * i] = digits[md[i] >> 4];
		ret_hex[2 * i + 1] = digits[md[i] & 15];
	}
	ret_hex[2 * SHA256_SIZE] = '\0';
	return 0;
}

int aq_sha256(const void *mem, size_t len, char ret_hex[AQ_SHA256_HEX_SIZE],
	      struct aq_err *err)
{
	cleanup_ctx EVP_MD_CTX *ctx = NULL;
	int rc;

	rc = begin(&ctx, err);
	if (rc)
		return rc;
	if (EVP_DigestUpdate(ctx, mem, len) != 1)
		return aq_fail(err, AQ_SYS, "libcrypto cannot do SHA-256");
	return finish(ctx, ret_hex, err);
}

int aq_sha256_fd(int fd, size_t max, char ret_hex[AQ_SHA256_HEX_SIZE],
		 struct aq_err *err)
{
	cleanup_ctx EVP_MD_CTX *ctx = NULL;
	cleanup_free char *buf = malloc(READ_SIZE);
	size_t total = 0;
	int rc;

	if (!buf)
		return aq_fail(err, AQ_SYS, "out of memory for a digest");
	rc = begin(&ctx, err);
	if (rc)
		return rc;
	for (;;) {
		ssize_t n = read(fd, buf, READ_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot read for a digest");
		if (n == 0)
			return finish(ctx, ret_hex, err);
		if ((size_t)n > max - total)
			return aq_fail(err, AQ_SYS,
				       "the file is over its limit of %zu "
				       "bytes",
				       max);
		total += (size_t)n;
		if (EVP_DigestUpdate(ctx, buf, (size_t)n) != 1)
			return aq_fail(err, AQ_SYS,
				       "libcrypto cannot do SHA-256");
	}
}
