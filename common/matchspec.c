/* SPDX-License-Identifier: Apache-2.0 */
#include "common/matchspec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/matchkeys.h"
#include "common/text.h"

void aq_matchspec_free(struct aq_matchspec *spec)
{
	free(spec->channel);
	free(spec->subdir);
	free(spec->name);
	free(spec->version);
	free(spec->build);
	free(spec->build_number);
	free(spec->md5);
	free(spec->sha256);
	*spec = (struct aq_matchspec){ 0 };
}

bool aq_matchspec_is_special(const struct aq_matchspec *spec)
{
	return spec->channel || spec->subdir || spec->build ||
	       spec->build_number || spec->md5 || spec->sha256;
}

/* "numpy-1.2-0.conda": its name, since a version may end as it likes. */
static bool is_archive(const char *s)
{
	static const char *const ends[] = { ".conda", ".tar.bz2" };
	size_t len = strcspn(s, " \t=<>!~[(");

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t n = strlen(ends[i]);

		if (len >= n && strncasecmp(s + len - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

/* What is no package spec at all, though people write it. */
static int refuse_others(struct aq_match *p, const char *s)
{
	if (!*s)
		return aq_match_fail(p,
				     "is empty: write a package or remove it");
	if (*s == '-')
		return aq_match_fail(p,
				     "looks like an option: write a package's "
				     "name");
	if (strstr(s, "{{") || strstr(s, "{%") || strchr(s, '{'))
		return aq_match_fail(p,
				     "is a template: write what it stands for");
	if (strchr(s, ';'))
		return aq_match_fail(p,
				     "has an environment marker: those belong "
				     "to pip's list");
	if (strchr(s, '"') && !strchr(s, '['))
		return aq_match_fail(p, "has quotes inside: leave them out");
	if (strchr(s, '\'') && !strchr(s, '['))
		return aq_match_fail(p, "has quotes inside: leave them out");
	if (strchr("./~", *s) || is_archive(s) ||
	    (strstr(s, "://") && !strstr(s, "::")))
		return aq_match_fail(p,
				     "is a file or URL: name the package and "
				     "its channel instead");
	return 0;
}

/* Take "[…]" out.  conda lets it stand anywhere behind the name. */
static int cut_brackets(struct aq_match *p, char *s)
{
	char *open = strchr(s, '['), *close = strrchr(s, ']');
	size_t tail;

	if (!open && !close)
		return 0;
	if (!open || !close || close < open)
		return aq_match_fail(p, "has an unmatched bracket");
	p->brackets = strndup(open + 1, (size_t)(close - open - 1));
	if (!p->brackets)
		return aq_match_oom(p->err);
	if (!strchr(p->brackets, '='))
		return aq_match_fail(p,
				     "has brackets without key=value: extras "
				     "belong to pip's list");
	tail = strlen(close + 1);
	*open = ' ';
	memmove(open + 1, close + 1, tail + 1);
	return 0;
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Cut channel and name off; the rest is version and build. */
static int cut_name(struct aq_match *p, char *s)
{
	char *colons = strstr(s, "::");
	size_t len = 0;

	if (colons) {
		*colons = '\0';
		p->channel = aq_match_trim(s);
		s = aq_match_trim(colons + 2);
		if (!*p->channel)
			return aq_match_fail(p, "has no channel before '::'");
	}
	while (is_name_char(s[len]))
		len++;
	if (s[len] == '*' || (!len && *s == '*'))
		return aq_match_fail(p,
				     "has a '*' in its name: name one package");
	if (!len || strchr("-.", *s))
		return aq_match_fail(p, "does not begin with a package's name");
	if (s[len] && !strchr(" \t=<>!~", s[len]))
		return aq_match_fail(p, "has a character that a package's name "
					"cannot have");
	if (len > AQ_PACKAGE_NAME_MAX)
		return aq_match_fail(p, "is too long for a package's name");
	p->name = strndup(s, len);
	if (!p->name)
		return aq_match_oom(p->err);
	for (char *c = p->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	p->rest = aq_match_trim(s + len);
	return 0;
}

/* White space in runs of one, and none beside an operator: what is left
 * divides version and build, which a version in parentheses may end before.
 */
static void tidy_spaces(char *s)
{
	char *out = s;
	static const char ops[] = "=<>!~,|()", joins[] = "=<>!~,|(";

	for (const char *in = s; *in; in++) {
		if (*in != ' ' && *in != '\t') {
			*out++ = *in;
			continue;
		}
		while (in[1] == ' ' || in[1] == '\t')
			in++;
		if (out > s && in[1] && !strchr(joins, out[-1]) &&
		    !strchr(ops, in[1]))
			*out++ = ' ';
	}
	*out = '\0';
}

/* Where the build string begins in the tidied 'rest', or NULL; the divider is
 * overwritten.  conda: _parse_version_plus_build(): a blank or '=' that does
 * not belong to an operator, and no operator behind it.
 */
static char *cut_build(char *rest)
{
	for (char *c = rest; *c; c++) {
		if (*c != ' ' && *c != '=')
			continue;
		if (c == rest || strchr("=!|,<>~(", c[-1]) ||
		    strpbrk(c + 1, "=,|<>~() ") || !c[1])
			continue;
		*c = '\0';
		return c + 1;
	}
	return NULL;
}

/* Version and build by position. */
static int read_rest(struct aq_match *p, struct aq_matchspec *spec)
{
	char *version = p->rest, *build;
	int rc;

	tidy_spaces(version);
	if (!*version)
		return 0;
	build = cut_build(version);
	if (strchr(version, ' '))
		return aq_match_fail(p,
				     "has white space inside: write 'name "
				     "version build', and a comma between two "
				     "conditions");
	if (build) {
		rc = aq_match_build(p, build, &spec->build);
		if (rc)
			return rc;
		/* with a build string conda takes =1.2 as exactly 1.2 */
		if (version[0] == '=' && version[1] != '=' &&
		    !strpbrk(version, ",|("))
			version++;
	}
	return aq_match_version(p, version, &spec->version);
}

static int read_pieces(struct aq_match *p, struct aq_matchspec *spec)
{
	char *s = aq_match_trim(p->copy);
	int rc = refuse_others(p, s);

	if (!rc)
		rc = cut_brackets(p, s);
	if (!rc)
		rc = cut_name(p, s);
	if (!rc && p->channel)
		rc = aq_match_channel(p, p->channel, spec);
	if (!rc)
		rc = read_rest(p, spec);
	if (!rc && p->brackets)
		rc = aq_match_brackets(p, spec);
	if (!rc && !spec->version) {
		spec->version = strdup("*");
		rc = spec->version ? 0 : aq_match_oom(p->err);
	}
	return rc;
}

static int check_text(const char *text, struct aq_err *err)
{
	char show[AQ_SHOW_SIZE];

	if (strlen(text) > AQ_SPEC_MAX)
		return aq_fail(err, AQ_USER, "'%s' is over %d characters",
			       aq_show(text, show), AQ_SPEC_MAX);
	for (const char *c = text; *c; c++)
		if ((*c < ' ' && *c != '\t' && strcmp(c, "\n") != 0) || *c > '~')
			return aq_fail(err, AQ_USER,
				       "'%s' has a character that a package "
				       "spec cannot have",
				       aq_show(text, show));
	return 0;
}

int aq_matchspec_parse(const char *text, struct aq_matchspec *ret,
		       struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	struct aq_match p = { .text = text, .err = err };
	int rc = check_text(text, err);

	if (rc)
		return rc;
	/* a comment, or the end of YAML's block scalar, as conda has them */
	p.copy = strndup(text, strcspn(text, "#\n"));
	if (!p.copy)
		return aq_match_oom(err);
	rc = read_pieces(&p, &spec);
	if (!rc) {
		spec.name = steal(&p.name);
		*ret = spec;
		spec = (struct aq_matchspec){ 0 };
	}
	free(p.name);
	free(p.brackets);
	free(p.copy);
	return rc;
}

void aq_matchspec_print(const struct aq_matchspec *spec, struct aq_str *out)
{
	const char *sep = "[";

	if (spec->channel) {
		aq_str_add(out, spec->channel);
		if (spec->subdir)
			aq_str_add_fmt(out, "/%s", spec->subdir);
		aq_str_add(out, "::");
	}
	aq_str_add(out, spec->name);
	if (strcmp(spec->version, "*") != 0 || spec->build)
		aq_str_add_fmt(out, " %s", spec->version);
	if (spec->build)
		aq_str_add_fmt(out, " %s", spec->build);
	if (spec->subdir && !spec->channel) {
		aq_str_add_fmt(out, "%ssubdir=%s", sep, spec->subdir);
		sep = ",";
	}
	if (spec->build_number) {
		aq_str_add_fmt(out, "%sbuild_number=\"%s\"", sep,
			       spec->build_number);
		sep = ",";
	}
	if (spec->md5) {
		aq_str_add_fmt(out, "%smd5=%s", sep, spec->md5);
		sep = ",";
	}
	if (spec->sha256) {
		aq_str_add_fmt(out, "%ssha256=%s", sep, spec->sha256);
		sep = ",";
	}
	if (*sep == ',')
		aq_str_add_char(out, ']');
}
