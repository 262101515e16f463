/* SPDX-License-Identifier: Apache-2.0 */
#include "common/vspec.h"

#include <stdlib.h>
#include <string.h>

#include "common/boolean.h"
#include "common/str.h"
#include "common/text.h"

struct scan {
	const char *p;
	struct aq_err *err;
};

/* Exact and prefix, lower bounds, upper bounds, exclusions, groups. */
static int rank(const char *atom)
{
	switch (*atom) {
	case '>':
		return 1;
	case '<':
		return 2;
	case '!':
		return 3;
	case '(':
		return 4;
	default:
		return 0;
	}
}

static const struct aq_boolean_style style = { ",", "|", rank };

static bool is_version_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr("._-+!", c));
}

/* conda's VersionOrder: [epoch!]version[+local], no empty component. */
static bool is_version(const char *v, size_t len)
{
	bool local = false;
	char before = '.';
	size_t bang = 0;

	for (size_t i = 0; i < len; i++) {
		char c = v[i];

		if (!is_version_char(c))
			return false;
		if (c == '!') {
			if (bang || !i || strspn(v, "0123456789") != i)
				return false;
			bang = i;
			c = '.';
		} else if (c == '+') {
			if (local || before == '.')
				return false;
			local = true;
			c = '.';
		} else if (c == '.' && before == '.') {
			return false;
		} else if (before == '.' && strchr("-+", c)) {
			return false;
		}
		before = c;
	}
	return len && before != '.' && before != '-';
}

static int fail_atom(struct scan *s, const char *atom, const char *why)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(s->err, AQ_USER, "version '%s' %s", aq_show(atom, show),
		       why);
}

/* What the version behind operator 'op' (NULL-terminated) and its star mean.
 * 'v' has no star any more.
 */
static int write_atom(struct scan *s, const char *atom, const char *op,
		      const char *v, bool star, struct aq_str *out)
{
	bool loose = !*op || strcmp(op, "=") == 0;

	if (strcmp(op, "=") == 0)
		star = true;
	if (star && strcmp(op, "~=") == 0)
		return fail_atom(s, atom, "has '*' behind '~=': write '>='");
	if (star && (strcmp(op, ">") == 0 || strcmp(op, "<=") == 0))
		return fail_atom(s, atom,
				 "is read differently by different clients: "
				 "write a version without '*'");
	if (star && (loose || strcmp(op, "==") == 0))
		aq_str_add_fmt(out, "%s.*", v);
	else if (star && strcmp(op, "!=") == 0)
		aq_str_add_fmt(out, "!=%s.*", v);
	else
		aq_str_add_fmt(out, "%s%s", *op ? op : "==", v);
	return 0;
}

/* One atom, from s->p[0..len): an operator, a version, perhaps a star. */
static int parse_atom(struct scan *s, const char *atom, struct aq_boolean *ret)
{
	static const char *const ops[] = { "==", "!=", ">=", "<=", "~=",
					   "=",	 ">",  "<",  "" };
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	cleanup_free char *v = NULL;
	const char *op = NULL;
	size_t len;
	bool star = false;
	int rc;

	for (size_t i = 0; !op; i++)
		if (aq_starts_with(atom, ops[i]))
			op = ops[i];
	v = strdup(atom + strlen(op));
	if (!v)
		return aq_fail(s->err, AQ_SYS, "out of memory for a version");
	len = strlen(v);
	if (!len)
		return fail_atom(s, atom, "is missing behind the operator");
	if (v[len - 1] == '*') {
		star = true;
		v[--len] = '\0';
		if (len && v[len - 1] == '.')
			v[--len] = '\0';
	}
	if (star && !len &&
	    (!*op || strcmp(op, "=") == 0 || strcmp(op, "==") == 0 ||
	     strcmp(op, ">=") == 0)) {
		*ret = (struct aq_boolean){ .kind = AQ_BOOLEAN_ANY };
		return 0;
	}
	if (strchr(v, '*'))
		return fail_atom(s, atom,
				 "has a '*' inside: only a last one, as in "
				 "'1.2.*', is supported");
	if (strpbrk(v, "<>~") || strstr(v, "!=") || strstr(v, "=="))
		return fail_atom(s, atom,
				 "is not a version: put a comma between two "
				 "conditions");
	if (!is_version(v, len))
		return fail_atom(s, atom, "is not a version");
	rc = write_atom(s, atom, op, v, star, &out);
	if (!rc)
		rc = aq_text_done(&out, "a version", s->err);
	if (rc)
		return rc;
	*ret = aq_boolean_atom(aq_str_get(&out));
	return 0;
}

static int parse_or(struct scan *s, int depth, struct aq_boolean *ret);

static int parse_group(struct scan *s, int depth, struct aq_boolean *ret)
{
	int rc;

	if (depth >= AQ_BOOLEAN_DEPTH_MAX)
		return aq_fail(s->err, AQ_USER, "too many parentheses");
	s->p++;
	rc = parse_or(s, depth + 1, ret);
	if (rc)
		return rc;
	if (*s->p != ')')
		return aq_fail(s->err, AQ_USER, "a ')' is missing");
	s->p++;
	return 0;
}

static int parse_primary(struct scan *s, int depth, struct aq_boolean *ret)
{
	cleanup_free char *atom = NULL;
	size_t len;

	if (*s->p == '(')
		return parse_group(s, depth, ret);
	len = strcspn(s->p, ",|()");
	if (!len)
		return aq_fail(s->err, AQ_USER, "a version is missing %s",
			       *s->p ? "before a ',', '|' or parenthesis"
				     : "at the end");
	atom = strndup(s->p, len);
	if (!atom)
		return aq_fail(s->err, AQ_SYS, "out of memory for a version");
	s->p += len;
	return parse_atom(s, atom, ret);
}

static int parse_and(struct scan *s, int depth, struct aq_boolean *ret)
{
	cleanup_boolean struct aq_boolean left = { 0 };
	int rc = parse_primary(s, depth, &left);

	while (!rc && *s->p == ',') {
		cleanup_boolean struct aq_boolean right = { 0 };

		s->p++;
		rc = parse_primary(s, depth, &right);
		if (!rc)
			aq_boolean_and(&left, &right, &style);
	}
	if (rc)
		return rc;
	*ret = left;
	left = (struct aq_boolean){ 0 };
	return 0;
}

static int parse_or(struct scan *s, int depth, struct aq_boolean *ret)
{
	cleanup_boolean struct aq_boolean left = { 0 };
	int rc = parse_and(s, depth, &left);

	while (!rc && *s->p == '|') {
		cleanup_boolean struct aq_boolean right = { 0 };

		s->p++;
		rc = parse_and(s, depth, &right);
		if (!rc)
			aq_boolean_or(&left, &right, &style);
	}
	if (!rc)
		rc = aq_boolean_done(&left, s->err);
	if (rc)
		return rc;
	*ret = left;
	left = (struct aq_boolean){ 0 };
	return 0;
}

/* 'text' without white space, refusing it inside a version. */
static int squeeze(const char *text, struct aq_str *out, struct aq_err *err)
{
	bool space = false;

	for (; *text; text++) {
		if (*text == ' ' || *text == '\t') {
			space = true;
			continue;
		}
		if (space && out->len && !strchr(",|()<>=!~", *text) &&
		    !strchr(",|()<>=!~", out->s[out->len - 1]))
			return aq_fail(err, AQ_USER,
				       "white space inside a version: put a "
				       "comma between two conditions");
		space = false;
		aq_str_add_char(out, *text);
	}
	return aq_text_done(out, "a version spec", err);
}

/* 'text' of up to 'max' bytes; the normal form is AQ_SPEC_MAX at most, so that
 * it can be read again.
 */
static int normalise(const char *text, size_t max, char **ret,
		     struct aq_err *err)
{
	cleanup_str struct aq_str in = AQ_STR_INIT(max);
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	cleanup_boolean struct aq_boolean b = { 0 };
	struct scan s = { .err = err };
	int rc;

	if (strlen(text) > max)
		return aq_fail(err, AQ_USER, "longer than %zu characters", max);
	if (strpbrk(text, "^$"))
		return aq_fail(err, AQ_USER,
			       "regular expressions are not supported: write "
			       "alternatives with '|'");
	rc = squeeze(text, &in, err);
	if (rc)
		return rc;
	s.p = aq_str_get(&in);
	rc = parse_or(&s, 0, &b);
	if (rc)
		return rc;
	if (*s.p)
		return aq_fail(err, AQ_USER,
			       "a ',' or '|' is missing at a parenthesis");
	aq_boolean_print(&b, &style, &out);
	rc = aq_text_done(&out, "a version spec", err);
	if (rc)
		return rc;
	*ret = steal(&out.s);
	return 0;
}

int aq_vspec_normalise(const char *text, char **ret, struct aq_err *err)
{
	return normalise(text, AQ_SPEC_MAX, ret, err);
}

int aq_vspec_and(const char *a, const char *b, char **ret, struct aq_err *err)
{
	cleanup_free char *both = NULL;

	if (asprintf(&both, "(%s),(%s)", a, b) < 0) {
		both = NULL;
		return aq_fail(err, AQ_SYS, "out of memory for a version spec");
	}
	return normalise(both, strlen(both), ret, err);
}
