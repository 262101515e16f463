/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pep508.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/direct.h"
#include "common/marker.h"
#include "common/matchspec.h"
#include "common/pep440.h"
#include "common/text.h"

struct scan {
	const char *p;
	const char *text; /* the whole, for messages */
	struct aq_err *err;
};

void aq_requirement_free(struct aq_requirement *r)
{
	free(r->name);
	aq_strv_free(&r->extras);
	free(r->versions);
	free(r->url);
	free(r->marker);
	*r = (struct aq_requirement){ 0 };
}

static int fail_req(struct scan *s, const char *why)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(s->err, AQ_USER, "'%s' %s", aq_show(s->text, show), why);
}

static int out_of_memory(struct scan *s)
{
	return aq_fail(s->err, AQ_SYS, "out of memory for a requirement");
}

static void skip_space(struct scan *s)
{
	s->p += strspn(s->p, " \t");
}

static bool is_url(const char *text)
{
	size_t scheme = 0;

	while (isalnum((unsigned char)text[scheme]) ||
	       (text[scheme] && strchr("+-.", text[scheme])))
		scheme++;
	return scheme && strncmp(text + scheme, "://", 3) == 0;
}

/* What is no requirement on an index, though pip takes it. */
static int refuse_others(struct scan *s)
{
	size_t word = strcspn(s->p, " \t;#");

	if (!*s->p)
		return fail_req(s, "is empty: write a package or remove it");
	if (*s->p == '-')
		return fail_req(s, "looks like an option: write a package's "
				   "name");
	if (strstr(s->p, "{{") || strstr(s->p, "{%") || strstr(s->p, "${"))
		return fail_req(s, "is a template: write what it stands for");
	if (aq_direct_find(s->p) && strpbrk(s->p, "@:/")[0] == '@')
		return 0;
	if (is_url(s->p) || aq_direct_find(s->p))
		return fail_req(s, "is a URL or a repository without a name: "
				   "name a released package, or write "
				   "'NAME @ git+https://HOST/PATH'");
	if (strchr("./~\\", *s->p) || memchr(s->p, '/', word) ||
	    (word > 4 && memcmp(s->p + word - 4, ".whl", 4) == 0) ||
	    (word > 7 && memcmp(s->p + word - 7, ".tar.gz", 7) == 0))
		return fail_req(s, "is a local path, which the nodes may not "
				   "have: name a released package");
	return 0;
}

void aq_pep503_name(const char *name, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		char c = (char)tolower((unsigned char)name[i]);

		if (strchr("-_.", c))
			c = '-';
		if (c != '-' || !n || ret[n - 1] != '-')
			ret[n++] = c;
	}
	ret[n] = '\0';
}

/* A name by PEP 508, normalised by PEP 503, from s->p on. */
static int parse_name(struct scan *s, char **ret)
{
	size_t len = 0;
	char *name;

	while (isalnum((unsigned char)s->p[len]) ||
	       (s->p[len] && strchr("-_.", s->p[len])))
		len++;
	if (!len || len > AQ_PACKAGE_NAME_MAX ||
	    !isalnum((unsigned char)*s->p) ||
	    !isalnum((unsigned char)s->p[len - 1]))
		return fail_req(s, "has no valid name: letters, digits, '-', "
				   "'_', '.', the first and last a letter or "
				   "digit");
	name = malloc(len + 1);
	if (!name)
		return out_of_memory(s);
	aq_pep503_name(s->p, len, name, len + 1);
	s->p += len;
	*ret = name;
	return 0;
}

static int parse_extras(struct scan *s, struct aq_strv *extras)
{
	skip_space(s);
	if (*s->p != '[')
		return 0;
	s->p++;
	skip_space(s);
	while (*s->p != ']') {
		cleanup_free char *extra = NULL;
		int rc = parse_name(s, &extra);

		if (rc)
			return rc;
		aq_strv_add(extras, extra);
		skip_space(s);
		if (*s->p == ']')
			break;
		if (*s->p != ',')
			return fail_req(s, "has extras that are not "
					   "'[one,two]'");
		s->p++;
		skip_space(s);
		if (*s->p == ']')
			return fail_req(s, "has an empty extra");
	}
	s->p++;
	aq_strv_sort_unique(extras);
	return aq_text_list_done(extras, "a requirement's extras", s->err);
}

/* A second word is mostly an option: --hash=…, -f URL. */
static int refuse_options(struct scan *s, const char *versions)
{
	for (const char *c = versions; *c; c++)
		if (*c == '-' && (c == versions || strchr(" \t", c[-1])) &&
		    (c[1] == '-' || isalpha((unsigned char)c[1])))
			return fail_req(s, "has an option behind it: remove "
					   "it, the administrator chooses "
					   "where packages come from");
	return 0;
}

static int parse_versions(struct scan *s, char **ret)
{
	cleanup_free char *text = NULL;
	char show[AQ_SHOW_SIZE];
	size_t len;
	int rc;

	skip_space(s);
	len = strcspn(s->p, ";");
	text = strndup(s->p, len);
	if (!text)
		return out_of_memory(s);
	rc = refuse_options(s, text);
	if (!rc && ((*text == '=' && !strchr("= \t", text[1])) ||
		    aq_starts_with(text, "::")))
		rc = fail_req(s, "is a conda spec: write it outside of pip's "
				 "list, or '==' for pip");
	if (rc)
		return rc;
	s->p += len;
	if (*text == '(') {
		char *close = strchr(text, ')');

		if (!close || close[1 + strspn(close + 1, " \t")])
			return fail_req(s, "has an unmatched parenthesis");
		*text = ' ';
		*close = '\0';
	}
	rc = aq_pep440_specifiers(text, ret, s->err);
	if (rc)
		aq_fail_prefix(s->err, "'%s'", aq_show(s->text, show));
	return rc;
}

/* Behind "name @": up to white space, since a URL may hold a ';'. */
static int parse_url(struct scan *s, char **ret)
{
	cleanup_str struct aq_str url = AQ_STR_INIT(AQ_SPEC_MAX);
	size_t len;
	int rc;

	s->p++;
	skip_space(s);
	len = strcspn(s->p, " \t");
	rc = aq_direct_url(s->p, len, &url, s->err);
	if (!rc)
		rc = aq_str_done(&url, "a URL", s->err);
	s->p += len;
	skip_space(s);
	if (!rc && *s->p && *s->p != ';')
		rc = fail_req(s, "has something behind its URL");
	if (!rc)
		*ret = steal(&url.s);
	return rc;
}

static int parse_what(struct scan *s, struct aq_requirement *r)
{
	skip_space(s);
	if (*s->p != '@')
		return parse_versions(s, &r->versions);
	r->versions = strdup("");
	return r->versions ? parse_url(s, &r->url) : out_of_memory(s);
}

static int parse_marker(struct scan *s, char **ret)
{
	char show[AQ_SHOW_SIZE];
	int rc;

	if (*s->p != ';')
		return 0;
	rc = aq_marker_normalise(s->p + 1, ret, s->err);
	if (rc)
		aq_fail_prefix(s->err, "'%s'", aq_show(s->text, show));
	return rc;
}

static int check_text(struct scan *s)
{
	if (strlen(s->text) > AQ_SPEC_MAX)
		return fail_req(s, "is too long");
	for (const char *c = s->text; *c; c++)
		if ((*c < ' ' && *c != '\t') || *c > '~')
			return fail_req(s, "has a character that a "
					   "requirement cannot have");
	return 0;
}

int aq_requirement_parse(const char *text, struct aq_requirement *ret,
			 struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = {
		.extras = AQ_STRV_INIT(AQ_EXTRAS_MAX),
	};
	struct scan s = { text, text, err };
	int rc = check_text(&s);

	skip_space(&s);
	if (!rc)
		rc = refuse_others(&s);
	if (!rc)
		rc = parse_name(&s, &r.name);
	if (!rc)
		rc = parse_extras(&s, &r.extras);
	if (!rc)
		rc = parse_what(&s, &r);
	if (!rc)
		rc = parse_marker(&s, &r.marker);
	if (rc)
		return rc;
	*ret = r;
	r = (struct aq_requirement){ 0 };
	return 0;
}

void aq_requirement_print(const struct aq_requirement *r, struct aq_str *out)
{
	aq_str_add(out, r->name);
	for (size_t i = 0; i < r->extras.n; i++)
		aq_str_add_fmt(out, "%s%s", i ? "," : "[", r->extras.v[i]);
	if (r->extras.n)
		aq_str_add_char(out, ']');
	aq_str_add(out, r->versions);
	if (r->url)
		aq_str_add_fmt(out, " @ %s", r->url);
	if (r->marker)
		aq_str_add_fmt(out, "%s; %s", r->url ? " " : "", r->marker);
}
