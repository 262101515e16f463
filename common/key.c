/* SPDX-License-Identifier: Apache-2.0 */
#include "common/key.h"

#include <string.h>

#include "common/canonical.h"
#include "common/sha256.h"
#include "common/text.h"

#define KEY_HEADER "aq-key 1\n"
#define CONTEXT_HEADER "aq-context 1\n"

const char *aq_platform_subdir(void)
{
#if defined(__x86_64__)
	return "linux-64";
#elif defined(__i386__)
	return "linux-32";
#elif defined(__aarch64__)
	return "linux-aarch64";
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return "linux-ppc64le";
#elif defined(__powerpc64__)
	return "linux-ppc64";
#elif defined(__s390x__)
	return "linux-s390x";
#elif defined(__riscv) && __riscv_xlen == 64
	return "linux-riscv64";
#elif defined(__loongarch64)
	return "linux-loongarch64";
#elif defined(__arm__)
	return "linux-armv7l";
#else
#error "which of conda's platforms is this?"
#endif
}

static void add_domain(struct aq_str *out, const struct aq_domain *domain)
{
	if (domain->kind == AQ_SHARED)
		aq_str_add(out, "domain shared\n");
	else
		aq_str_add_fmt(out, "domain private %lu %s\n",
			       (unsigned long)domain->uid, domain->user);
}

/* Where packages come from: URLs without slashes at their ends, so that two
 * spellings of one map make one key.
 */
static void add_url(struct aq_str *out, const char *word, const char *url)
{
	size_t len = strlen(url);

	while (len && url[len - 1] == '/')
		len--;
	aq_str_add_fmt(out, "%s %.*s\n", word, (int)len, url);
}

static void add_sources(struct aq_str *out, const struct aq_conf *conf)
{
	for (size_t i = 0; i < conf->n_channels; i++) {
		aq_str_add_fmt(out, "channel %s", conf->channels[i].name);
		add_url(out, "", conf->channels[i].url);
	}
	if (conf->pip_index && *conf->pip_index)
		add_url(out, "index", conf->pip_index);
	for (size_t i = 0; i < conf->find_links.n; i++)
		add_url(out, "find-links", conf->find_links.v[i]);
}

/* Newlines divide the lines: in a value they would make another line. */
static bool is_clean_context(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\n') ||
		    *text == 0x7f)
			return false;
	return true;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

int aq_key_context(const struct aq_conf *conf, const struct aq_domain *domain,
		   const char *base_lock, char **ret, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_KEY_CONTEXT_MAX);
	size_t lines = 4 + conf->n_channels + conf->find_links.n +
		       (conf->pip_index && *conf->pip_index);
	int rc;

	if (domain->kind == AQ_PRIVATE && (!domain->user || !*domain->user))
		return aq_fail(err, AQ_SYS, "a private domain has no user");
	if (base_lock && !aq_is_hex(base_lock, AQ_SHA256_HEX_SIZE - 1))
		return aq_fail(err, AQ_SYS, "a base's lock is no digest");
	aq_str_add(&out, CONTEXT_HEADER);
	aq_str_add_fmt(&out, "platform %s\n", aq_platform_subdir());
	add_domain(&out, domain);
	add_sources(&out, conf);
	aq_str_add_fmt(&out, "base %s\n", base_lock ? base_lock : "none");
	rc = aq_str_done(&out, "a key's context", err);
	if (rc)
		return rc;
	if (count_lines(out.s) != lines || !is_clean_context(out.s))
		return aq_fail(err, AQ_SYS,
			       "aq.conf: control characters in a channel or "
			       "index");
	*ret = steal(&out.s);
	return 0;
}

int aq_key(const struct aq_request *req, const char *context,
	   char ret_key[AQ_SHA256_HEX_SIZE], struct aq_err *err)
{
	cleanup_str struct aq_str text =
		AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX + AQ_KEY_CONTEXT_MAX + 64);
	int rc;

	aq_str_add(&text, KEY_HEADER);
	aq_canonical_package_part(req, &text);
	aq_str_add(&text, context);
	rc = aq_str_done(&text, "a key", err);
	if (rc)
		return rc;
	return aq_sha256(text.s, text.len, ret_key, err);
}
