/* SPDX-License-Identifier: Apache-2.0 */
#include "common/marker.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/boolean.h"
#include "common/text.h"
#include "common/vspec.h"

struct scan {
	const char *p;
	struct aq_err *err;
};

static const struct aq_boolean_style style = { " and ", " or ", NULL };

/* What a marker may ask for, PEP 345's old spellings behind. */
static const struct variable {
	const char *name, *now;
} variables[] = {
	{ "python_version", NULL },
	{ "python_full_version", NULL },
	{ "os_name", NULL },
	{ "sys_platform", NULL },
	{ "platform_release", NULL },
	{ "platform_system", NULL },
	{ "platform_version", NULL },
	{ "platform_machine", NULL },
	{ "platform_python_implementation", NULL },
	{ "implementation_name", NULL },
	{ "implementation_version", NULL },
	{ "extra", NULL },
	{ "os.name", "os_name" },
	{ "sys.platform", "sys_platform" },
	{ "platform.version", "platform_version" },
	{ "platform.machine", "platform_machine" },
	{ "platform.python_implementation", "platform_python_implementation" },
	{ "python_implementation", "platform_python_implementation" },
};

static void skip_space(struct scan *s)
{
	s->p += strspn(s->p, " \t");
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* Step over 'word' if it is the next one, whole. */
static bool skip_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	skip_space(s);
	if (strncmp(s->p, word, len) != 0 || is_word_char(s->p[len]))
		return false;
	s->p += len;
	return true;
}

static int fail_marker(struct scan *s, const char *why)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(s->err, AQ_USER, "environment marker: %s at '%s'", why,
		       aq_show(s->p, show));
}

/* A string in either kind of quotes: no escapes, so it ends at the next. */
static int copy_string(struct scan *s, struct aq_str *out)
{
	char quote = *s->p, write;
	size_t len = strcspn(s->p + 1, quote == '"' ? "\"" : "'");

	if (!s->p[1 + len])
		return fail_marker(s, "a quote is missing");
	write = memchr(s->p + 1, '"', len) ? '\'' : '"';
	if (memchr(s->p + 1, '\\', len) || memchr(s->p + 1, '\t', len))
		return fail_marker(s, "backslashes and tabs are not allowed");
	aq_str_add_char(out, write);
	aq_str_add_mem(out, s->p + 1, len);
	aq_str_add_char(out, write);
	s->p += len + 2;
	return 0;
}

/* A string or a variable. */
static int copy_value(struct scan *s, struct aq_str *out, bool *ret_variable)
{
	skip_space(s);
	if (*s->p == '"' || *s->p == '\'')
		return copy_string(s, out);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		if (!skip_word(s, variables[i].name))
			continue;
		aq_str_add(out, variables[i].now ? variables[i].now
						 : variables[i].name);
		*ret_variable = true;
		return 0;
	}
	return fail_marker(s, "a variable such as python_version or a string "
			      "in quotes is expected");
}

static int copy_operator(struct scan *s, struct aq_str *out)
{
	static const char *const ops[] = { "===", "==", "~=", "!=",
					   "<=",  ">=", "<",  ">" };

	skip_space(s);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (!aq_starts_with(s->p, ops[i]))
			continue;
		s->p += strlen(ops[i]);
		aq_str_add_fmt(out, " %s ", ops[i]);
		return 0;
	}
	if (skip_word(s, "in")) {
		aq_str_add(out, " in ");
		return 0;
	}
	if (skip_word(s, "not") && skip_word(s, "in")) {
		aq_str_add(out, " not in ");
		return 0;
	}
	return fail_marker(s, "an operator such as '==' is expected");
}

static int parse_comparison(struct scan *s, struct aq_boolean *ret)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	bool variable = false;
	int rc = copy_value(s, &out, &variable);

	if (!rc)
		rc = copy_operator(s, &out);
	if (!rc)
		rc = copy_value(s, &out, &variable);
	if (!rc && !variable)
		rc = fail_marker(s, "two strings are compared, before what "
				    "stands");
	if (!rc)
		rc = aq_text_done(&out, "an environment marker", s->err);
	if (!rc)
		*ret = aq_boolean_atom(aq_str_get(&out));
	return rc;
}

static int parse_or(struct scan *s, int depth, struct aq_boolean *ret);

static int parse_primary(struct scan *s, int depth, struct aq_boolean *ret)
{
	int rc;

	skip_space(s);
	if (*s->p != '(')
		return parse_comparison(s, ret);
	if (depth >= AQ_BOOLEAN_DEPTH_MAX)
		return fail_marker(s, "too many parentheses");
	s->p++;
	rc = parse_or(s, depth + 1, ret);
	if (rc)
		return rc;
	skip_space(s);
	if (*s->p != ')')
		return fail_marker(s, "a ')' is missing");
	s->p++;
	return 0;
}

static int parse_and(struct scan *s, int depth, struct aq_boolean *ret)
{
	cleanup_boolean struct aq_boolean left = { 0 };
	int rc = parse_primary(s, depth, &left);

	while (!rc && skip_word(s, "and")) {
		cleanup_boolean struct aq_boolean right = { 0 };

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

	while (!rc && skip_word(s, "or")) {
		cleanup_boolean struct aq_boolean right = { 0 };

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

int aq_marker_normalise(const char *text, char **ret, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	cleanup_boolean struct aq_boolean b = { 0 };
	struct scan s = { text, err };
	int rc = parse_or(&s, 0, &b);

	if (rc)
		return rc;
	skip_space(&s);
	if (*s.p)
		return fail_marker(&s, "'and', 'or' or the end is expected");
	aq_boolean_print(&b, &style, &out);
	rc = aq_text_done(&out, "an environment marker", err);
	if (!rc)
		*ret = steal(&out.s);
	return rc;
}
