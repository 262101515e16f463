/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pep440.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"
#include "common/vspec.h"

/* Conditions of one requirement. */
#define CONDITIONS_MAX 256

struct scan {
	const char *p, *end;
	struct aq_str *out;
};

static bool at_digit(const struct scan *s)
{
	return s->p < s->end && isdigit((unsigned char)*s->p);
}

/* Copy a number without leading zeros; "0" if there is none. */
static void copy_number(struct scan *s)
{
	const char *from;

	while (s->p < s->end && *s->p == '0')
		s->p++;
	from = s->p;
	while (at_digit(s))
		s->p++;
	if (s->p == from)
		aq_str_add_char(s->out, '0');
	else
		aq_str_add_mem(s->out, from, (size_t)(s->p - from));
}

/* If one of 'words' (with an optional separator before) comes next, step over
 * it and an optional separator behind.
 */
static bool skip_word(struct scan *s, const char *const *words)
{
	const char *p = s->p;

	if (p < s->end && strchr("-_.", *p))
		p++;
	for (; *words; words++) {
		size_t len = strlen(*words);

		if ((size_t)(s->end - p) < len ||
		    strncasecmp(p, *words, len) != 0)
			continue;
		p += len;
		if (p + 1 < s->end && strchr("-_.", *p) &&
		    isdigit((unsigned char)p[1]))
			p++;
		s->p = p;
		return true;
	}
	return false;
}

/* The release, N(.N)*, its last zeros dropped if 'strip'. */
static bool copy_release(struct scan *s, bool strip)
{
	size_t keep;

	if (!at_digit(s))
		return false;
	copy_number(s);
	keep = s->out->len;
	while (s->p + 1 < s->end && *s->p == '.' &&
	       isdigit((unsigned char)s->p[1])) {
		size_t before = s->out->len;

		s->p++;
		aq_str_add_char(s->out, '.');
		copy_number(s);
		if (!strip || s->out->len != before + 2 ||
		    aq_str_get(s->out)[before + 1] != '0')
			keep = s->out->len;
	}
	aq_str_truncate(s->out, keep);
	return true;
}

static void copy_suffixes(struct scan *s)
{
	static const char *const alpha[] = { "alpha", "a", NULL };
	static const char *const beta[] = { "beta", "b", NULL };
	static const char *const rc[] = { "preview", "pre", "rc", "c", NULL };
	static const char *const post[] = { "post", "rev", "r", NULL };
	static const char *const dev[] = { "dev", NULL };
	const char *pre = NULL;

	if (skip_word(s, alpha))
		pre = "a";
	else if (skip_word(s, beta))
		pre = "b";
	else if (skip_word(s, rc))
		pre = "rc";
	if (pre) {
		aq_str_add(s->out, pre);
		copy_number(s);
	}
	if (s->p + 1 < s->end && *s->p == '-' &&
	    isdigit((unsigned char)s->p[1])) {
		s->p++;
		aq_str_add(s->out, ".post");
		copy_number(s);
	} else if (skip_word(s, post)) {
		aq_str_add(s->out, ".post");
		copy_number(s);
	}
	if (skip_word(s, dev)) {
		aq_str_add(s->out, ".dev");
		copy_number(s);
	}
}

/* "+local": segments of letters and digits, '.' between them. */
static bool copy_local(struct scan *s)
{
	char sep = '+';

	while (s->p < s->end) {
		const char *from = ++s->p;

		while (s->p < s->end && isalnum((unsigned char)*s->p))
			s->p++;
		if (s->p == from || (s->p < s->end && !strchr("-_.", *s->p)))
			return false;
		aq_str_add_char(s->out, sep);
		sep = '.';
		if (strspn(from, "0123456789") >= (size_t)(s->p - from)) {
			struct scan number = { from, s->p, s->out };

			copy_number(&number);
			continue;
		}
		for (; from < s->p; from++)
			aq_str_add_char(s->out,
					(char)tolower((unsigned char)*from));
	}
	return true;
}

bool aq_pep440_version(const char *text, size_t len,
		       struct aq_pep440_flags flags, struct aq_str *out)
{
	struct scan s = { text, text + len, out };
	size_t digits;

	if (s.p < s.end && (*s.p == 'v' || *s.p == 'V'))
		s.p++;
	digits = strspn(s.p, "0123456789");
	if (digits && s.p + digits < s.end && s.p[digits] == '!') {
		size_t begin = out->len;

		copy_number(&s);
		s.p++;
		if (strcmp(aq_str_get(out) + begin, "0") == 0)
			aq_str_truncate(out, begin);
		else
			aq_str_add_char(out, '!');
	}
	if (!copy_release(&s, flags.strip))
		return false;
	if (!flags.plain)
		copy_suffixes(&s);
	if (flags.local && !flags.plain && s.p < s.end && *s.p == '+' &&
	    !copy_local(&s))
		return false;
	return s.p == s.end;
}

/* How many numbers the release of a normal version has. */
static size_t release_size(const char *version)
{
	const char *bang = strchr(version, '!');
	size_t n = 1;

	for (version = bang ? bang + 1 : version;
	     isdigit((unsigned char)*version) ||
	     (*version == '.' && isdigit((unsigned char)version[1]));
	     version++)
		n += *version == '.';
	return n;
}

static int fail_condition(const char *c, const char *why, struct aq_err *err)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(err, AQ_USER, "version '%s' %s", aq_show(c, show), why);
}

/* The version 'v' behind 'op', normalised and appended. */
static int write_version(const char *c, const char *op, const char *v,
			 struct aq_str *out, struct aq_err *err)
{
	bool equality = strcmp(op, "==") == 0 || strcmp(op, "!=") == 0;
	bool star = aq_ends_with(v, ".*"), compatible = strcmp(op, "~=") == 0;
	size_t begin = out->len;
	struct aq_pep440_flags flags = {
		.strip = !star && !compatible,
		.plain = star,
		.local = equality,
	};

	if (star && !equality)
		return fail_condition(c,
				      "has '.*', which only '==' and '!=' "
				      "take: leave it out",
				      err);
	if (!aq_pep440_version(v, strlen(v) - (star ? 2 : 0), flags, out))
		return fail_condition(
			c,
			strchr(v, '+') && !equality
				? "has a '+local' part, which only '==' and "
				  "'!=' take"
				: "is not one by PEP 440: write for example "
				  "'1.2' or '1.2.*'",
			err);
	if (star)
		aq_str_add(out, ".*");
	if (compatible && !out->broken &&
	    release_size(aq_str_get(out) + begin) < 2)
		return fail_condition(c,
				      "needs two numbers behind '~=': "
				      "write '~=1.0'",
				      err);
	return 0;
}

/* What '===' compares with: any text, of which nothing reads as a path or a URL. */
static bool is_arbitrary(const char *v)
{
	for (const char *c = v; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._+!*-", *c))
			return false;
	return !aq_ends_with(v, ".whl") && !aq_ends_with(v, ".tar.gz");
}

/* One condition, trimmed: "==1.2". */
static int normalise_one(const char *c, struct aq_strv *into,
			 struct aq_err *err)
{
	static const char *const ops[] = { "===", "==", "~=", "!=",
					   "<=",  ">=", "<",  ">" };
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	const char *op = NULL, *v;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(ops) && !op; i++)
		if (aq_starts_with(c, ops[i]))
			op = ops[i];
	if (!op)
		return fail_condition(c,
				      *c == '=' ? "has one '=': pip wants "
						  "two, write '=='"
						: "has no operator: write "
						  "'==' before it",
				      err);
	v = c + strlen(op);
	v += strspn(v, " \t");
	if (!*v || strpbrk(v, " \t"))
		return fail_condition(c,
				      !*v ? "is missing behind the operator"
					  : "has white space inside: put a "
					    "comma between two conditions",
				      err);
	aq_str_add(&out, op);
	if (strcmp(op, "===") == 0 && !is_arbitrary(v))
		rc = fail_condition(c, "has what no version has: write letters, "
				       "digits and '.', '_', '+', '!', '*', '-'",
				    err);
	else if (strcmp(op, "===") == 0)
		aq_str_add(&out, v);
	else
		rc = write_version(c, op, v, &out, err);
	if (!rc)
		rc = aq_text_done(&out, "a version", err);
	if (!rc)
		aq_strv_add(into, aq_str_get(&out));
	return rc;
}

/* What is exact first, then lower bounds, upper bounds, exclusions. */
static int rank(const char *c)
{
	return *c == '>' ? 1 : *c == '<' ? 2 : *c == '!' ? 3 : 0;
}

static int by_rank(const void *a, const void *b)
{
	const char *s = *(char *const *)a, *t = *(char *const *)b;
	int diff = rank(s) - rank(t);

	return diff ? diff : strcmp(s, t);
}

static int join(struct aq_strv *conditions, char **ret, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	int rc = aq_text_list_done(conditions, "a requirement's versions", err);

	if (rc)
		return rc;
	/* pip takes everything up to a blank behind '===', commas too */
	for (size_t i = 0; conditions->n > 1 && i < conditions->n; i++)
		if (aq_starts_with(conditions->v[i], "==="))
			return fail_condition(conditions->v[i],
					      "cannot stand beside another "
					      "condition: write '=='",
					      err);
	aq_strv_sort_unique(conditions);
	if (conditions->n)
		qsort(conditions->v, conditions->n, sizeof(*conditions->v),
		      by_rank);
	aq_str_add(&out, "");
	for (size_t i = 0; i < conditions->n; i++)
		aq_str_add_fmt(&out, "%s%s", i ? "," : "", conditions->v[i]);
	rc = aq_text_done(&out, "a requirement's versions", err);
	if (!rc)
		*ret = steal(&out.s);
	return rc;
}

int aq_pep440_specifiers(const char *text, char **ret, struct aq_err *err)
{
	cleanup_strv struct aq_strv conditions = AQ_STRV_INIT(CONDITIONS_MAX);
	cleanup_free char *copy = strdup(text);
	char *s = copy;

	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory for a version");
	if (strspn(s, " \t") == strlen(s))
		return join(&conditions, ret, err);
	while (s) {
		char *comma = strchr(s, ',');
		size_t len;
		int rc;

		if (comma)
			*comma = '\0';
		s += strspn(s, " \t");
		len = strlen(s);
		while (len && strchr(" \t", s[len - 1]))
			s[--len] = '\0';
		if (!len && !comma && conditions.n)
			break; /* pip lets a comma stand at the end */
		rc = normalise_one(s, &conditions, err);
		if (rc)
			return rc;
		s = comma ? comma + 1 : NULL;
	}
	return join(&conditions, ret, err);
}
