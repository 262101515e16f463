/* SPDX-License-Identifier: Apache-2.0 */
#include "common/domain.h"

#include <string.h>

#include "common/str.h"

#define NO_BINARY "no-binary "
#define PIP "pip "

static const struct kind {
	const char *name, *what, *instead;
} kinds[AQ_INPUT_N] = {
	[AQ_INPUT_VCS] = { "vcs", "a repository", "name a released package" },
	[AQ_INPUT_LOCAL] = { "local", "a local file",
			     "name a released package" },
	[AQ_INPUT_SOURCE] = { "source", "a build from source",
			      "take the package's wheel" },
	[AQ_INPUT_SCRIPT] = { "script", "a package with a link script",
			      "ask for another build or version of it" },
};

const char *aq_input_name(enum aq_input input)
{
	return kinds[input].name;
}

const char *aq_input_what(enum aq_input input)
{
	return kinds[input].what;
}

/* -- policy -- */

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

static int set(const char *word, size_t len, enum aq_policy ret[AQ_INPUT_N],
	       struct aq_err *err)
{
	const char *eq = memchr(word, '=', len);
	size_t name = eq ? (size_t)(eq - word) : 0;
	size_t value = eq ? len - name - 1 : 0, i = 0;

	while (i < AQ_INPUT_N && !(eq && is_word(word, name, kinds[i].name)))
		i++;
	if (i == AQ_INPUT_N)
		return aq_fail(err, AQ_USER,
			       "'%.*s' is no rule: write vcs, local, source or script, and =private or =refuse",
			       (int)len, word);
	if (is_word(eq + 1, value, "shared"))
		return aq_fail(err, AQ_USER,
			       "'%s' cannot be 'shared': it brings code that runs while it is built, or that nobody but its user has seen, and others would use the result: write '%s=private'",
			       kinds[i].name, kinds[i].name);
	if (is_word(eq + 1, value, "private"))
		ret[i] = AQ_POLICY_PRIVATE;
	else if (is_word(eq + 1, value, "refuse"))
		ret[i] = AQ_POLICY_REFUSE;
	else
		return aq_fail(err, AQ_USER,
			       "'%.*s' is no rule: write '%s=private' or '%s=refuse'",
			       (int)len, word, kinds[i].name, kinds[i].name);
	return 0;
}

int aq_policy_parse(const char *value, enum aq_policy ret[AQ_INPUT_N],
		    struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < AQ_INPUT_N; i++)
		ret[i] = AQ_POLICY_REFUSE;
	for (; !rc && *(value += strspn(value, " \t"));
	     value += strcspn(value, " \t"))
		rc = set(value, strcspn(value, " \t"), ret, err);
	return rc;
}

/* 'text' NULL: the request says it somewhere. */
int aq_policy_check(const enum aq_policy policy[AQ_INPUT_N],
		    enum aq_input input, const char *text, struct aq_err *err)
{
	const struct kind *k = &kinds[input];

	if (policy[input] != AQ_POLICY_REFUSE)
		return 0;
	return aq_fail(err, AQ_USER,
		       "%s%.200s%s %s, which this site refuses (aq.conf's policy: %s=refuse): %s, or ask the administrator for '%s=private'",
		       text ? "'" : "", text ? text : "the request",
		       text ? "' is" : " asks for", k->what, k->name,
		       k->instead, k->name);
}

int aq_policy_check_all(const enum aq_policy policy[AQ_INPUT_N],
			unsigned int inputs, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < AQ_INPUT_N; i++)
		if (inputs & 1U << i)
			rc = aq_policy_check(policy, (enum aq_input)i, NULL,
					     err);
	return rc;
}

/* -- what is asked for -- */

static bool has_prefix(const char *line, const char *end, const char *prefix)
{
	size_t len = strlen(prefix);

	return (size_t)(end - line) >= len && memcmp(line, prefix, len) == 0;
}

/* A requirement's "NAME @ URL" (PEP 508); a marker has no " @ " before its ';'. */
static unsigned int input_of_requirement(const char *line, const char *end)
{
	static const char at[] = " @ ";
	const char *semicolon = memchr(line, ';', (size_t)(end - line));
	const char *limit = semicolon ? semicolon : end;
	const char *url = memmem(line, (size_t)(limit - line), at,
				 strlen(at));

	if (!url)
		return 0;
	url += strlen(at);
	return has_prefix(url, end, "git+") ? 1U << AQ_INPUT_VCS :
					      1U << AQ_INPUT_LOCAL;
}

unsigned int aq_domain_inputs(const char *canonical, size_t len)
{
	const char *end = canonical + len, *next;
	/* most requests have none, and need no look at their requirements */
	bool has_at = memchr(canonical, '@', len);
	unsigned int inputs = 0;

	for (const char *line = canonical; line < end; line = next) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;

		next = newline ? newline + 1 : end;
		if (has_at && has_prefix(line, stop, PIP))
			inputs |= input_of_requirement(line, stop);
		else if (has_prefix(line, stop, NO_BINARY))
			inputs |= 1U << AQ_INPUT_SOURCE;
	}
	return inputs;
}
