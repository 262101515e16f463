/* SPDX-License-Identifier: Apache-2.0 */
#include "common/exported.h"

#include <string.h>

#include "common/matchspec.h"
#include "common/text.h"

#define BY_PIP "pypi_0"
static const char blanks[] = " \t\r\f\v";
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789._+!-";

/* A line, its blanks cut off both ends. */
struct line {
	const char *text;
	size_t len;
};

static struct line cut(const char *text)
{
	struct line l = { text + strspn(text, blanks), 0 };

	l.len = strcspn(l.text, "\n");
	while (l.len && strchr(blanks, l.text[l.len - 1]))
		l.len--;
	return l;
}

static bool is_nothing(const struct line *l)
{
	return !l->len || *l->text == '#';
}

/* Whether it is three words with '=' between them; where the last one begins. */
static bool is_package(const struct line *l, const char **ret_build)
{
	const char *p = l->text;

	for (int i = 0; i < 2; i++) {
		size_t n = strspn(p, letters);

		if (!n || p[n] != '=')
			return false;
		p += n + 1;
	}
	*ret_build = p;
	return p < l->text + l->len && strspn(p, letters) == l->len - (size_t)(p - l->text);
}

bool aq_exported_is(const char *text)
{
	const char *build;

	for (; *text; text = aq_next_line(text)) {
		struct line l = cut(text);

		if (!is_nothing(&l))
			return is_package(&l, &build);
	}
	return false;
}

static void read_line(struct aq_reading *r, struct aq_place at,
		      const struct line *l)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	const size_t suffix = strlen("=" BY_PIP);
	const char *build;
	struct aq_err err;
	bool is_pip = is_package(l, &build) && l->len > suffix &&
		      memcmp(l->text + l->len - suffix, "=" BY_PIP, suffix) == 0;
	size_t name = strcspn(l->text, "=");

	if (is_pip)
		aq_str_add_fmt(&out, "%.*s==%.*s", (int)name, l->text,
			       (int)(l->len - suffix - name - 1),
			       l->text + name + 1);
	else
		aq_str_add_mem(&out, l->text, l->len);
	if (aq_text_done(&out, "a line", &err))
		aq_problem_err(&r->problems, at, &err);
	else if (is_pip)
		aq_pip_requirement(&r->pip, at, aq_str_get(&out));
	else
		aq_sections_spec(r, at, aq_str_get(&out));
}

void aq_exported_read(struct aq_reading *r, const char *text)
{
	struct aq_place at = { .file = r->file };

	for (; *text; text = aq_next_line(text)) {
		struct line l = cut(text);

		at.line++;
		at.column = (size_t)(l.text - text) + 1;
		if (!is_nothing(&l))
			read_line(r, at, &l);
	}
}
