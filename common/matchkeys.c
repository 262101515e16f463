/* SPDX-License-Identifier: Apache-2.0 */
#include "common/matchkeys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

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

int aq_match_oom(struct aq_err *err)
{
	return aq_fail(err, AQ_SYS, "out of memory for a package spec");
}

int aq_match_fail(struct aq_match *p, const char *why)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(p->err, AQ_USER, "'%s' %s", aq_show(p->text, show), why);
}

/* Cut white space off both ends, in place. */
char *aq_match_trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len && strchr(" \t", s[len - 1]))
		s[--len] = '\0';
	return s;
}

/* A build string: its characters, with '*' once in a row. */
int aq_match_build(struct aq_match *p, const char *build, char **ret)
{
	char *out;

	if (strpbrk(build, "^$|"))
		return aq_match_fail(p,
				     "has a pattern as build string: only '*' "
				     "is supported");
	for (const char *c = build; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_.+*", *c))
			return aq_match_fail(p, "has a character that a build "
						"string cannot have");
	if (strspn(build, "*") == strlen(build))
		return 0; /* any */
	*ret = strdup(build);
	if (!*ret)
		return aq_match_oom(p->err);
	out = *ret;
	for (const char *c = build; *c; c++)
		if (*c != '*' || out == *ret || out[-1] != '*')
			*out++ = *c;
	*out = '\0';
	return 0;
}

int aq_match_version(struct aq_match *p, const char *version, char **ret)
{
	char show[AQ_SHOW_SIZE];
	int rc = aq_vspec_normalise(version, ret, p->err);

	if (rc)
		aq_fail_prefix(p->err, "'%s'", aq_show(p->text, show));
	return rc;
}

/* "3", "=3", ">=3": how conda and rattler write a build number. */
static int set_build_number(struct aq_match *p, const char *value, char **ret)
{
	size_t op = strspn(value, "=!<>");
	const char *digits = value + op;
	static const char *const ops[] = { "", ">=", "<=", "!=", ">", "<" };
	uint64_t n;

	if (op <= 2 && strspn(value, "=") == op)
		op = 0; /* "=3", "==3" */
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strlen(ops[i]) != op || strncmp(value, ops[i], op) != 0)
			continue;
		if (!aq_parse_u64(digits, UINT32_MAX, &n))
			break;
		if (asprintf(ret, "%s%u", ops[i], (unsigned int)n) >= 0)
			return 0;
		*ret = NULL;
		return aq_match_oom(p->err);
	}
	return aq_match_fail(p,
			     "has a build_number that is not a number such as "
			     "'3' or '>=3'");
}

static int set_hash(struct aq_match *p, const char *value, size_t len,
		    char **ret)
{
	char *hash = strdup(value);

	if (!hash)
		return aq_match_oom(p->err);
	for (char *c = hash; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!aq_is_hex(hash, len)) {
		free(hash);
		return aq_match_fail(p, "has an md5 or sha256 that is not one");
	}
	*ret = hash;
	return 0;
}

/* A name or a URL, of which nothing becomes another part of a spec. */
static bool is_channel(const char *channel)
{
	size_t len = strlen(channel);

	for (const char *c = channel; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_./:%~+@", *c))
			return false;
	return len && isalnum((unsigned char)*channel) &&
	       channel[len - 1] != ':' && !strstr(channel, "::");
}

/* "channel" or "channel/linux-64". */
int aq_match_channel(struct aq_match *p, const char *value,
		     struct aq_matchspec *spec)
{
	size_t len = strlen(value);
	char *slash;

	spec->channel = strdup(value);
	if (!spec->channel)
		return aq_match_oom(p->err);
	while (len > 1 && spec->channel[len - 1] == '/')
		spec->channel[--len] = '\0';
	slash = strrchr(spec->channel, '/');
	if (slash && aq_is_subdir(slash + 1) && !spec->subdir) {
		spec->subdir = strdup(slash + 1);
		*slash = '\0';
		if (!spec->subdir)
			return aq_match_oom(p->err);
	}
	return is_channel(spec->channel) ?
		0 : aq_match_fail(p, "has a channel that is neither a name nor "
				     "a URL");
}

static int set_subdir(struct aq_match *p, const char *value, char **ret)
{
	if (!aq_is_subdir(value))
		return aq_match_fail(p,
				     "has an unknown subdir: write for example "
				     "'linux-64'");
	*ret = strdup(value);
	return *ret ? 0 : aq_match_oom(p->err);
}

static int set_key(struct aq_match *p, const char *key, const char *value,
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
		return aq_match_version(p, value, &spec->version);
	if (strcmp(key, "build") == 0)
		return aq_match_build(p, value, &spec->build);
	if (strcmp(key, "build_number") == 0)
		return set_build_number(p, value, &spec->build_number);
	if (strcmp(key, "md5") == 0)
		return set_hash(p, value, 32, &spec->md5);
	if (strcmp(key, "sha256") == 0)
		return set_hash(p, value, 64, &spec->sha256);
	if (strcmp(key, "channel") == 0)
		return aq_match_channel(p, value, spec);
	if (strcmp(key, "subdir") == 0)
		return set_subdir(p, value, &spec->subdir);
	return aq_match_fail(p, "has an unsupported key in brackets: version, "
				"build, build_number, channel, subdir, md5 and "
				"sha256 are");
}

/* key=value,key='value',… in place. */
int aq_match_brackets(struct aq_match *p, struct aq_matchspec *spec)
{
	char *s = p->brackets;

	while (s) {
		char *key = s + strspn(s, " \t"), *value, *end;
		int rc;

		value = strchr(key, '=');
		if (!value)
			return aq_match_fail(p, "has brackets that are not "
						"key=value");
		*value++ = '\0';
		value += strspn(value, " \t");
		if (*value == '"' || *value == '\'') {
			end = strchr(value + 1, *value);
			if (!end)
				return aq_match_fail(p,
						     "has an unmatched quote");
			value++;
			*end++ = '\0';
			end += strspn(end, " \t");
			if (*end && *end != ',')
				return aq_match_fail(
					p, "has brackets that are not "
					   "key=value");
			s = *end ? end + 1 : NULL;
		} else {
			end = strchr(value, ',');
			s = end ? end + 1 : NULL;
			if (end)
				*end = '\0';
		}
		value = aq_match_trim(value);
		if (!*value)
			return aq_match_fail(p,
					     "has an empty value in brackets");
		rc = set_key(p, aq_match_trim(key), value, spec);
		if (rc)
			return rc;
	}
	return 0;
}
