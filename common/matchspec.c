/* SPDX-License-Identifier: Apache-2.0 */
#include "common/matchspec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

/* A spec being taken apart: the pieces lie in one copy of the text. */
struct pieces {
	char *copy;
	char *brackets; /* inside of [...], or NULL */
	char *channel;  /* before "::", or NULL */
	char *name;
	char *rest; /* behind the name */
	const char *text; /* as written, for messages */
	struct aq_err *err;
};

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

/* conda/base/constants.py: KNOWN_SUBDIRS. */
bool aq_is_subdir(const char *name)
{
	static const char *const subdirs[] = {
		"noarch",	 "emscripten-wasm32", "wasi-wasm32",
		"freebsd-64",	 "linux-32",	      "linux-64",
		"linux-aarch64", "linux-armv6l",      "linux-armv7l",
		"linux-ppc64",	 "linux-ppc64le",     "linux-riscv32",
		"linux-riscv64", "linux-s390x",	      "linux-loongarch64",
		"osx-64",	 "osx-arm64",	      "win-32",
		"win-64",	 "win-arm64",	      "zos-z",
	};

	for (size_t i = 0; i < ARRAY_LEN(subdirs); i++)
		if (strcmp(name, subdirs[i]) == 0)
			return true;
	return false;
}

static int out_of_memory(struct aq_err *err)
{
	return aq_fail(err, AQ_SYS, "out of memory for a package spec");
}

static int fail_spec(struct pieces *p, const char *why)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(p->err, AQ_USER, "'%s' %s", aq_show(p->text, show), why);
}

/* Cut white space off both ends, in place. */
static char *trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len && strchr(" \t", s[len - 1]))
		s[--len] = '\0';
	return s;
}

/* What is no package spec at all, though people write it. */
static int refuse_others(struct pieces *p, const char *s)
{
	if (!*s)
		return fail_spec(p, "is empty: write a package or remove it");
	if (*s == '-')
		return fail_spec(p, "looks like an option: write a package's "
				    "name");
	if (strstr(s, "{{") || strstr(s, "{%") || strchr(s, '{'))
		return fail_spec(p, "is a template: write what it stands for");
	if (strchr(s, '"') && !strchr(s, '['))
		return fail_spec(p, "has quotes inside: leave them out");
	if (strchr(s, '\'') && !strchr(s, '['))
		return fail_spec(p, "has quotes inside: leave them out");
	if (strchr(s, ';'))
		return fail_spec(p, "has an environment marker: those belong "
				    "to pip's list");
	if (strchr("./~", *s) || aq_ends_with(s, ".conda") ||
	    aq_ends_with(s, ".tar.bz2") ||
	    (strstr(s, "://") && !strstr(s, "::")))
		return fail_spec(p, "is a file or URL: name the package and "
				    "its channel instead");
	return 0;
}

/* Take "[…]" out.  conda lets it stand anywhere behind the name. */
static int cut_brackets(struct pieces *p, char *s)
{
	char *open = strchr(s, '['), *close = strrchr(s, ']');
	size_t tail;

	if (!open && !close)
		return 0;
	if (!open || !close || close < open)
		return fail_spec(p, "has an unmatched bracket");
	p->brackets = strndup(open + 1, (size_t)(close - open - 1));
	if (!p->brackets)
		return out_of_memory(p->err);
	if (!strchr(p->brackets, '='))
		return fail_spec(p, "has brackets without key=value: extras "
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
static int cut_name(struct pieces *p, char *s)
{
	char *colons = strstr(s, "::");
	size_t len = 0;

	if (colons) {
		*colons = '\0';
		p->channel = trim(s);
		s = trim(colons + 2);
		if (!*p->channel)
			return fail_spec(p, "has no channel before '::'");
	}
	while (is_name_char(s[len]))
		len++;
	if (s[len] == '*' || (!len && *s == '*'))
		return fail_spec(p, "has a '*' in its name: name one package");
	if (!len || strchr("-.", *s))
		return fail_spec(p, "does not begin with a package's name");
	if (s[len] && !strchr(" \t=<>!~", s[len]))
		return fail_spec(p, "has a character that a package's name "
				    "cannot have");
	if (len > AQ_PACKAGE_NAME_MAX)
		return fail_spec(p, "is too long for a package's name");
	p->name = strndup(s, len);
	if (!p->name)
		return out_of_memory(p->err);
	for (char *c = p->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	p->rest = trim(s + len);
	return 0;
}

/* White space in runs of one, and none beside an operator: what is left
 * divides version and build.
 */
static void tidy_spaces(char *s)
{
	char *out = s;
	static const char ops[] = "=<>!~,|()";

	for (const char *in = s; *in; in++) {
		if (*in != ' ' && *in != '\t') {
			*out++ = *in;
			continue;
		}
		while (in[1] == ' ' || in[1] == '\t')
			in++;
		if (out > s && in[1] && !strchr(ops, out[-1]) &&
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

/* A build string: its characters, with '*' once in a row. */
static int set_build(struct pieces *p, const char *build, char **ret)
{
	char *out;

	if (strpbrk(build, "^$|"))
		return fail_spec(p, "has a pattern as build string: only '*' "
				    "is supported");
	for (const char *c = build; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_.+*", *c))
			return fail_spec(p, "has a character that a build "
					    "string cannot have");
	if (strspn(build, "*") == strlen(build))
		return 0; /* any */
	*ret = strdup(build);
	if (!*ret)
		return out_of_memory(p->err);
	out = *ret;
	for (const char *c = build; *c; c++)
		if (*c != '*' || out == *ret || out[-1] != '*')
			*out++ = *c;
	*out = '\0';
	return 0;
}

static int set_version(struct pieces *p, const char *version, char **ret)
{
	char show[AQ_SHOW_SIZE];
	int rc = aq_vspec_normalise(version, ret, p->err);

	if (rc)
		aq_fail_prefix(p->err, "'%s'", aq_show(p->text, show));
	return rc;
}

/* Version and build by position. */
static int read_rest(struct pieces *p, struct aq_matchspec *spec)
{
	char *version = p->rest, *build;
	int rc;

	tidy_spaces(version);
	if (!*version)
		return 0;
	build = cut_build(version);
	if (strchr(version, ' '))
		return fail_spec(p, "has white space inside: write 'name "
				    "version build', and a comma between two "
				    "conditions");
	if (build) {
		rc = set_build(p, build, &spec->build);
		if (rc)
			return rc;
		/* with a build string conda takes =1.2 as exactly 1.2 */
		if (version[0] == '=' && version[1] != '=' &&
		    !strpbrk(version, ",|("))
			version++;
	}
	return set_version(p, version, &spec->version);
}

/* "3", "=3", ">=3": how conda and rattler write a build number. */
static int set_build_number(struct pieces *p, const char *value, char **ret)
{
	size_t op = strspn(value, "=!<>");
	const char *digits = value + op;
	static const char *const ops[] = { "", ">=", "<=", "!=", ">", "<" };
	uint64_t n;

	if ((op == 1 && *value == '=') || strncmp(value, "==", 3 - (op != 2)) == 0)
		op = 0;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strlen(ops[i]) != op || strncmp(value, ops[i], op) != 0)
			continue;
		if (!aq_parse_u64(digits, UINT32_MAX, &n))
			break;
		if (asprintf(ret, "%s%u", ops[i], (unsigned int)n) >= 0)
			return 0;
		*ret = NULL;
		return out_of_memory(p->err);
	}
	return fail_spec(p, "has a build_number that is not a number such as "
			    "'3' or '>=3'");
}

static int set_hash(struct pieces *p, const char *value, size_t len, char **ret)
{
	char *hash = strdup(value);

	if (!hash)
		return out_of_memory(p->err);
	for (char *c = hash; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!aq_is_hex(hash, len)) {
		free(hash);
		return fail_spec(p, "has an md5 or sha256 that is not one");
	}
	*ret = hash;
	return 0;
}

/* "channel" or "channel/linux-64". */
static int set_channel(struct pieces *p, const char *value,
		       struct aq_matchspec *spec)
{
	size_t len = strlen(value);
	char *slash;

	spec->channel = strdup(value);
	if (!spec->channel)
		return out_of_memory(p->err);
	while (len > 1 && spec->channel[len - 1] == '/')
		spec->channel[--len] = '\0';
	slash = strrchr(spec->channel, '/');
	if (!slash || !aq_is_subdir(slash + 1) || spec->subdir)
		return 0;
	spec->subdir = strdup(slash + 1);
	*slash = '\0';
	return spec->subdir ? 0 : out_of_memory(p->err);
}

static int set_subdir(struct pieces *p, const char *value, char **ret)
{
	if (!aq_is_subdir(value))
		return fail_spec(p, "has an unknown subdir: write for example "
				    "'linux-64'");
	*ret = strdup(value);
	return *ret ? 0 : out_of_memory(p->err);
}

static int set_key(struct pieces *p, const char *key, const char *value,
		   struct aq_matchspec *spec)
{
	char show[AQ_SHOW_SIZE];
	bool twice = (strcmp(key, "version") == 0 && spec->version) ||
		     (strcmp(key, "build") == 0 && spec->build) ||
		     (strcmp(key, "build_number") == 0 && spec->build_number) ||
		     (strcmp(key, "md5") == 0 && spec->md5) ||
		     (strcmp(key, "sha256") == 0 && spec->sha256) ||
		     (strcmp(key, "channel") == 0 && spec->channel) ||
		     (strcmp(key, "subdir") == 0 && spec->subdir);

	if (twice)
		return aq_fail(p->err, AQ_USER, "'%s' says its %s twice",
			       aq_show(p->text, show), key);
	if (strcmp(key, "version") == 0)
		return set_version(p, value, &spec->version);
	if (strcmp(key, "build") == 0)
		return set_build(p, value, &spec->build);
	if (strcmp(key, "build_number") == 0)
		return set_build_number(p, value, &spec->build_number);
	if (strcmp(key, "md5") == 0)
		return set_hash(p, value, 32, &spec->md5);
	if (strcmp(key, "sha256") == 0)
		return set_hash(p, value, 64, &spec->sha256);
	if (strcmp(key, "channel") == 0)
		return set_channel(p, value, spec);
	if (strcmp(key, "subdir") == 0)
		return set_subdir(p, value, &spec->subdir);
	return fail_spec(p, "has an unsupported key in brackets: version, "
			    "build, build_number, channel, subdir, md5 and "
			    "sha256 are");
}

/* key=value,key='value',… in place. */
static int read_brackets(struct pieces *p, struct aq_matchspec *spec)
{
	char *s = p->brackets;

	while (s) {
		char *key = s + strspn(s, " \t"), *value, *end;
		int rc;

		value = strchr(key, '=');
		if (!value)
			return fail_spec(p, "has brackets that are not "
					    "key=value");
		*value++ = '\0';
		value += strspn(value, " \t");
		if (*value == '"' || *value == '\'') {
			end = strchr(value + 1, *value);
			if (!end)
				return fail_spec(p, "has an unmatched quote");
			value++;
			*end++ = '\0';
			end += strspn(end, " \t");
			if (*end && *end != ',')
				return fail_spec(p, "has brackets that are not "
						    "key=value");
			s = *end ? end + 1 : NULL;
		} else {
			end = strchr(value, ',');
			s = end ? end + 1 : NULL;
			if (end)
				*end = '\0';
		}
		value = trim(value);
		if (!*value)
			return fail_spec(p, "has an empty value in brackets");
		rc = set_key(p, trim(key), value, spec);
		if (rc)
			return rc;
	}
	return 0;
}

static int read_pieces(struct pieces *p, struct aq_matchspec *spec)
{
	char *s = trim(p->copy);
	int rc = refuse_others(p, s);

	if (!rc)
		rc = cut_brackets(p, s);
	if (!rc)
		rc = cut_name(p, s);
	if (!rc && p->channel)
		rc = set_channel(p, p->channel, spec);
	if (!rc)
		rc = read_rest(p, spec);
	if (!rc && p->brackets)
		rc = read_brackets(p, spec);
	if (!rc && !spec->version) {
		spec->version = strdup("*");
		rc = spec->version ? 0 : out_of_memory(p->err);
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
		if ((*c < ' ' && *c != '\t') || *c > '~')
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
	struct pieces p = { .text = text, .err = err };
	int rc = check_text(text, err);

	if (rc)
		return rc;
	p.copy = strndup(text, strcspn(text, "#")); /* conda: a comment */
	if (!p.copy)
		return out_of_memory(err);
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
