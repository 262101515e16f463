/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redact.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/url.h"

/* Names of a query's values that are secrets (AWS Signature V4, Google's and
 * Azure's signed URLs, GitLab's and Artifactory's tokens).
 */
static const char *const secret_names[] = {
	"token", "access_token", "auth_token", "private_token", "job_token",
	"api_key", "apikey", "key", "password", "passwd", "secret", "sig",
	"signature", "awsaccesskeyid", "x-amz-signature", "x-amz-credential",
	"x-amz-security-token", "x-goog-signature", "x-goog-credential",
};

struct scan {
	struct aq_str *out;
	const char *at, *end;
	const struct aq_strv *secrets;
	bool is_in_url;
};

static size_t left(const struct scan *s)
{
	return (size_t)(s->end - s->at);
}

static bool is_at(const struct scan *s, const char *word)
{
	size_t len = strlen(word);

	return len <= left(s) && strncasecmp(s->at, word, len) == 0;
}

static void keep(struct scan *s, size_t len)
{
	aq_str_add_mem(s->out, s->at, len);
	s->at += len;
}

static void drop(struct scan *s, size_t len)
{
	aq_str_add(s->out, AQ_REDACTED);
	s->at += len;
}

/* Where a URL, or a value in it, has ended: what else would be in a sentence,
 * in JSON or in a page of HTML.
 */
static size_t span_until(const struct scan *s, const char *stop)
{
	size_t n = 0;

	for (; n < left(s); n++)
		if (!s->at[n] || isspace((unsigned char)s->at[n]) ||
		    strchr("\"'`<>", s->at[n]) || strchr(stop, s->at[n]))
			break;
	return n;
}

static bool take_known(struct scan *s)
{
	for (size_t i = 0; s->secrets && i < s->secrets->n; i++) {
		const char *secret = s->secrets->v[i];
		size_t len = strlen(secret);

		if (len && len <= left(s) && memcmp(s->at, secret, len) == 0) {
			drop(s, len);
			return true;
		}
	}
	return false;
}

static bool take_authority(struct scan *s)
{
	size_t n;

	if (!is_at(s, "://"))
		return false;
	keep(s, 3);
	s->is_in_url = true;
	n = aq_url_userinfo(s->at, left(s));
	if (n)
		drop(s, n);
	return true;
}

static bool take_token(struct scan *s)
{
	size_t n;

	if (!s->is_in_url || !is_at(s, "/t/"))
		return false;
	keep(s, 3);
	n = span_until(s, "/?#,;)");
	if (n)
		drop(s, n);
	return true;
}

static bool take_query(struct scan *s)
{
	if (!s->is_in_url || !strchr("?&;", *s->at))
		return false;
	keep(s, 1);
	for (size_t i = 0; i < ARRAY_LEN(secret_names); i++) {
		size_t len = strlen(secret_names[i]), n;

		if (!is_at(s, secret_names[i]) || len >= left(s) ||
		    s->at[len] != '=')
			continue;
		keep(s, len + 1);
		n = span_until(s, "&#)");
		if (n)
			drop(s, n);
		break;
	}
	return true;
}

/* "Authorization: Basic …" and as a word in JSON or Python; of a line, since a
 * value has blanks.
 */
static bool take_header(struct scan *s)
{
	static const char name[] = "authorization";
	size_t n = strlen(name), value;

	if (!is_at(s, name))
		return false;
	while (n < left(s) && strchr("\"' :=", s->at[n]) && s->at[n])
		n++;
	keep(s, n);
	if (!memchr(s->at - n, ':', n) && !memchr(s->at - n, '=', n))
		return true; /* a sentence about it */
	for (value = 0; value < left(s) && !strchr("\r\n\"'", s->at[value]);)
		value++;
	if (value)
		drop(s, value);
	return true;
}

void aq_redact(struct aq_str *out, const char *text, size_t len,
	       const struct aq_strv *secrets)
{
	struct scan s = { out, text, text + len, secrets, false };

	while (s.at < s.end) {
		if (take_known(&s) || take_authority(&s) || take_header(&s))
			continue;
		if (!*s.at || isspace((unsigned char)*s.at) ||
		    strchr("\"'`<>", *s.at))
			s.is_in_url = false;
		if (*s.at && (take_token(&s) || take_query(&s)))
			continue;
		keep(&s, 1);
	}
}

void aq_redact_in_place(char *text, size_t size, const struct aq_strv *secrets)
{
	/* what it may grow by: "a@" becomes "***@" */
	cleanup_str struct aq_str out = AQ_STR_INIT(4 * size);

	aq_redact(&out, text, strlen(text), secrets);
	if (out.broken)
		snprintf(text, size, AQ_REDACTED);
	else
		snprintf(text, size, "%s", aq_str_get(&out));
}
