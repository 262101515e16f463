/* SPDX-License-Identifier: Apache-2.0 */
#include "common/credentials.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/grow.h"
#include "common/trust.h"
#include "common/url.h"

#define FILE_MAX (256 * 1024) /* bytes */
#define HOSTS_MAX 256
#define BEARER "bearer"

struct reader {
	const char *path;
	unsigned int line;
	struct aq_credentials *all;
	struct aq_credential *now; /* the entry that is being read */
	bool is_bearer;
};

static int fail_at(const struct reader *r, unsigned int line, const char *what,
		   struct aq_err *err)
{
	return aq_fail(err, AQ_SYS, "%s:%u: %s", r->path, line, what);
}

/* -- an entry -- */

/* Clients look a host up as it stands in a URL. */
static const char *wrong_host(const char *host)
{
	if (strstr(host, "//") || strchr(host, '/'))
		return "'machine' takes a host alone, without https:// and path";
	if (strchr(host, ':'))
		return "'machine' takes a host without a port: it stands for all of them";
	if (strlen(host) >= AQ_HOST_SIZE)
		return "the host's name is too long";
	for (; *host; host++)
		if (!isalnum((unsigned char)*host) && !strchr("._-", *host))
			return "'machine' takes a host's name";
	return NULL;
}

/* Readers of netrc differ in what else a word may have. */
static const char *wrong_value(const char *value)
{
	if (*value == '#' || strpbrk(value, "\"\\"))
		return "a login or password cannot begin with '#', nor have quotes or backslashes, which clients read differently";
	for (; *value; value++)
		if (*value <= ' ' || *value > '~')
			return "a login or password has a character that is not printable ASCII";
	return NULL;
}

static const char *wrong_secret(const char *secret)
{
	if (strlen(secret) < AQ_SECRET_MIN)
		return "a password of fewer than 8 characters cannot be kept out of logs: have another one made";
	if (strlen(secret) > AQ_SECRET_MAX)
		return "the password is too long";
	return wrong_value(secret);
}

static int begin_entry(struct reader *r, const char *host, struct aq_err *err)
{
	struct aq_credentials *all = r->all;

	if (aq_credentials_find(all, host))
		return fail_at(r, r->line, "this host has an entry already",
			       err);
	if (!aq_grow(all->v, all->n, HOSTS_MAX))
		return aq_fail_errno(err, "cannot remember the credentials");
	r->now = &all->v[all->n];
	*r->now = (struct aq_credential){ .line = r->line };
	r->now->host = strdup(host);
	if (!r->now->host)
		return aq_fail(err, AQ_SYS, "out of memory for credentials");
	all->n++;
	r->is_bearer = false;
	for (char *p = r->now->host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

static int end_entry(struct reader *r, struct aq_err *err)
{
	const struct aq_credential *c = r->now;

	if (!c)
		return 0;
	if (!c->secret)
		return fail_at(r, c->line, "this machine has no password", err);
	if (!c->login && !r->is_bearer)
		return fail_at(r, c->line, "this machine has no login: write one, or 'account bearer' where the password is a token",
			       err);
	if (c->login && r->is_bearer)
		return fail_at(r, c->line, "this machine has both a login and 'account bearer': a token is sent without one",
			       err);
	return 0;
}

static int set(struct reader *r, char **field, const char *value,
	       const char *wrong, struct aq_err *err)
{
	if (!r->now)
		return fail_at(r, r->line, "'machine HOST' must come first",
			       err);
	if (wrong)
		return fail_at(r, r->line, wrong, err);
	if (*field)
		return fail_at(r, r->line, "this machine has that twice", err);
	*field = strdup(value);
	return *field ? 0 :
			aq_fail(err, AQ_SYS, "out of memory for credentials");
}

/* -- the file -- */

static int take_pair(struct reader *r, const char *word, const char *value,
		     struct aq_err *err)
{
	int rc;

	if (strcmp(word, "machine") == 0) {
		const char *wrong = wrong_host(value);

		rc = end_entry(r, err);
		if (rc)
			return rc;
		return wrong ? fail_at(r, r->line, wrong, err) :
			       begin_entry(r, value, err);
	}
	if (strcmp(word, "login") == 0)
		return set(r, r->now ? &r->now->login : NULL, value,
			   wrong_value(value), err);
	if (strcmp(word, "password") == 0)
		return set(r, r->now ? &r->now->secret : NULL, value,
			   wrong_secret(value), err);
	if (!r->now || strcmp(value, BEARER) != 0)
		return fail_at(r, r->line, "'account' takes 'bearer', behind a machine",
			       err);
	r->is_bearer = true;
	return 0;
}

static bool is_keyword(const char *word)
{
	return strcmp(word, "machine") == 0 || strcmp(word, "login") == 0 ||
	       strcmp(word, "password") == 0 || strcmp(word, "account") == 0;
}

static int take_line(struct reader *r, char *line, struct aq_err *err)
{
	char *save = NULL, *word = strtok_r(line, " \t\r", &save);
	int rc = 0;

	if (word && *word == '#')
		return 0;
	for (; word && !rc; word = strtok_r(NULL, " \t\r", &save)) {
		const char *value;

		if (strcmp(word, "default") == 0 || strcmp(word, "macdef") == 0)
			return fail_at(r, r->line, "'default' and 'macdef' are not taken: name each host",
				       err);
		/* what it is could be a secret: it is not quoted */
		if (!is_keyword(word))
			return fail_at(r, r->line, "a word is none of machine, login, password, account",
				       err);
		value = strtok_r(NULL, " \t\r", &save);
		if (!value)
			return fail_at(r, r->line, "the line ends where a value belongs",
				       err);
		rc = take_pair(r, word, value, err);
	}
	return rc;
}

int aq_credentials_parse(const char *text, const char *path,
			 struct aq_credentials **ret, struct aq_err *err)
{
	cleanup_credentials struct aq_credentials *all =
		calloc(1, sizeof(*all));
	cleanup_free char *copy = strdup(text);
	struct reader r = { .path = path, .all = all };
	char *next;
	int rc = 0;

	if (!all || !copy)
		return aq_fail(err, AQ_SYS, "out of memory for credentials");
	for (char *line = copy; line && !rc; line = next) {
		r.line++;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		rc = take_line(&r, line, err);
	}
	explicit_bzero(copy, strlen(text));
	if (!rc)
		rc = end_entry(&r, err);
	if (rc)
		return rc;
	*ret = steal(&all);
	return 0;
}

int aq_credentials_load(const struct aq_conf *conf,
			struct aq_credentials **ret, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(FILE_MAX);
	int rc = 0;

	if (*conf->credentials)
		rc = aq_trust_read(conf->credentials, AQ_TRUST_SECRET, &text,
				   err);
	if (!rc)
		rc = aq_credentials_parse(aq_str_get(&text), conf->credentials,
					  ret, err);
	if (text.s)
		explicit_bzero(text.s, text.len);
	return rc ? AQ_SYS : 0;
}

const struct aq_credential *aq_credentials_find(const struct aq_credentials *c,
						const char *host)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcasecmp(c->v[i].host, host) == 0)
			return &c->v[i];
	return NULL;
}

void aq_credentials_free(struct aq_credentials *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		if (c->v[i].secret)
			explicit_bzero(c->v[i].secret, strlen(c->v[i].secret));
		free(c->v[i].host);
		free(c->v[i].login);
		free(c->v[i].secret);
	}
	if (c)
		free(c->v);
	free(c);
}

/* -- as clients have it -- */

void aq_credential_netrc(const struct aq_credential *c, struct aq_str *out)
{
	aq_str_add_fmt(out, "machine %s login %s password %s\n", c->host,
		       c->login, c->secret);
}

/* No value has what JSON would want escaped. */
void aq_credential_rattler(const struct aq_credential *c, struct aq_str *out)
{
	if (c->login)
		aq_str_add_fmt(out, "\"%s\": {\"BasicHTTP\": {\"username\": \"%s\", \"password\": \"%s\"}}",
			       c->host, c->login, c->secret);
	else
		aq_str_add_fmt(out, "\"%s\": {\"BearerToken\": \"%s\"}", c->host,
			       c->secret);
}

/* RFC 4648, 4. */
static void add_base64(struct aq_str *out, const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
				     "stuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)text;
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 3) {
		unsigned int n = (unsigned int)p[i] << 16;

		n |= i + 1 < len ? (unsigned int)p[i + 1] << 8 : 0;
		n |= i + 2 < len ? p[i + 2] : 0;
		aq_str_add_char(out, digits[n >> 18]);
		aq_str_add_char(out, digits[n >> 12 & 63]);
		aq_str_add_char(out, i + 1 < len ? digits[n >> 6 & 63] : '=');
		aq_str_add_char(out, i + 2 < len ? digits[n & 63] : '=');
	}
}

/* RFC 3986, 2.1; 'others' stand for themselves besides letters and digits. */
static void add_percent(struct aq_str *out, const char *text,
			const char *others)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr(others, *text))
			aq_str_add_char(out, *text);
		else
			aq_str_add_fmt(out, "%%%02X", (unsigned char)*text);
}

void aq_credential_forms(const struct aq_credential *c, struct aq_strv *secrets)
{
	/* unreserved; what a browser's and Rust's URLs leave in a password */
	static const char *const others[] = { "-._~", "-._~!$&'()*+,%" };
	cleanup_str struct aq_str pair = AQ_STR_INIT(FILE_MAX);
	cleanup_str struct aq_str header = AQ_STR_INIT(FILE_MAX);

	aq_strv_add(secrets, c->secret);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		cleanup_str struct aq_str url = AQ_STR_INIT(FILE_MAX);

		add_percent(&url, c->secret, others[i]);
		if (!aq_strv_has(secrets, aq_str_get(&url)))
			aq_strv_add(secrets, aq_str_get(&url));
	}
	if (!c->login)
		return;
	aq_str_add_fmt(&pair, "%s:%s", c->login, c->secret);
	add_base64(&header, aq_str_get(&pair));
	aq_strv_add(secrets, aq_str_get(&header));
}
