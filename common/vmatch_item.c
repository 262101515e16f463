/* SPDX-License-Identifier: Apache-2.0 */
/* Packages and match specs: the version's part is common/vmatch.c's. */
#include "common/vmatch.h"

#include <ctype.h>
#include <string.h>

/* conda-build's short hash of a build's inputs: "h" and this many digits. */
#define BUILD_HASH_LEN 7

static enum aq_match match_if(bool yes)
{
	return yes ? AQ_MATCH_YES : AQ_MATCH_NO;
}

static bool is_same(char a, char b, bool any_case)
{
	return a == b || (any_case && tolower((unsigned char)a) ==
					      tolower((unsigned char)b));
}

/* '*' is any run of characters, also none.  Only the last one met has to be
 * tried again: what an earlier one could take, it can.
 */
static bool is_like(const char *pattern, const char *text, bool any_case)
{
	const char *star = NULL, *tried = text;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = text;
		} else if (is_same(*pattern, *text, any_case)) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++tried;
		} else {
			return false;
		}
	}
	return !pattern[strspn(pattern, "*")];
}

/* Whether the build string's end is what conda-build writes of itself, hash
 * and build number: "py39h1234567_0".  *ret is the number's digits then.  Other
 * ends are up to the recipe, and may be anything.
 */
static bool find_build_number(const char *build, const char **ret)
{
	const char *line = strrchr(build, '_'), *hash;

	if (!line || line - build < 1 + BUILD_HASH_LEN)
		return false;
	hash = line - BUILD_HASH_LEN;
	if (hash[-1] != 'h' ||
	    strspn(hash, "0123456789abcdef") != BUILD_HASH_LEN)
		return false;
	*ret = line + 1;
	return true;
}

static enum aq_match match_build_number(const char *spec, const char *build)
{
	size_t op = strspn(spec, "=!<>");
	uint64_t wanted, number;
	const char *digits;

	if (!find_build_number(build, &digits) ||
	    !aq_parse_u64(digits, UINT32_MAX, &number) ||
	    !aq_parse_u64(spec + op, UINT32_MAX, &wanted))
		return AQ_MATCH_UNSURE;
	if (!op)
		return match_if(number == wanted);
	if (op == 2 && strncmp(spec, "!=", op) == 0)
		return match_if(number != wanted);
	if (op > 2 || !strchr("<>", *spec) || (op == 2 && spec[1] != '='))
		return AQ_MATCH_UNSURE;
	if (op == 2 && number == wanted)
		return AQ_MATCH_YES;
	return match_if(*spec == '<' ? number < wanted : number > wanted);
}

/* The directory that a channel has a package in: ".../noarch/x-1-0.conda". */
static enum aq_match match_subdir(const char *subdir, const char *url)
{
	const char *end = strrchr(url, '/'), *begin = end;
	char directory[32]; /* longer ones are no platform's */
	size_t len;

	if (!end || strpbrk(url, "?#"))
		return AQ_MATCH_UNSURE;
	while (begin > url && begin[-1] != '/')
		begin--;
	len = (size_t)(end - begin);
	if (len >= sizeof(directory))
		return AQ_MATCH_UNSURE;
	memcpy(directory, begin, len);
	directory[len] = '\0';
	if (!aq_is_subdir(directory))
		return AQ_MATCH_UNSURE;
	return match_if(strcmp(directory, subdir) == 0);
}

/* Build strings have no case to rattler since CEP 29, and had one before. */
static enum aq_match match_build(const char *pattern, const char *build)
{
	if (is_like(pattern, build, false))
		return AQ_MATCH_YES;
	return is_like(pattern, build, true) ? AQ_MATCH_UNSURE : AQ_MATCH_NO;
}

enum aq_match aq_matchspec_matches(const struct aq_matchspec *spec,
				   const struct aq_lock_item *item)
{
	const enum aq_match answers[] = {
		match_if(item->kind == AQ_LOCK_CONDA &&
			 is_like(spec->name, item->name, true)),
		aq_vspec_matches(spec->version, item->version),
		spec->build && item->build
			? match_build(spec->build, item->build)
			: AQ_MATCH_YES,
		spec->build_number && item->build
			? match_build_number(spec->build_number, item->build)
			: AQ_MATCH_YES,
		match_if(!spec->sha256 ||
			 strcmp(spec->sha256, item->sha256) == 0),
		spec->subdir ? match_subdir(spec->subdir, item->url)
			     : AQ_MATCH_YES,
		spec->channel || spec->md5 ? AQ_MATCH_UNSURE : AQ_MATCH_YES,
	};
	enum aq_match match = AQ_MATCH_YES;

	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		if (answers[i] != AQ_MATCH_YES && match != AQ_MATCH_NO)
			match = answers[i];
	return match;
}
