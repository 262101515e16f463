/* SPDX-License-Identifier: Apache-2.0 */
#include "common/exported.h"

#include <string.h>

#include "common/matchspec.h"
#include "common/text.h"

/* Before CEP 23's packages, which are not pip's whatever the file's name says. */
#define SAYS_IT "# Note: This is a conda requirements file"
static const char blanks[] = " \t\r\f\v";
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789._+!-";
/* A name, or a URL. */
static const char channel_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._+!-/:";

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

static bool is(const struct line *l, const char *text)
{
	return l->len == strlen(text) && memcmp(l->text, text, l->len) == 0;
}

static bool is_nothing(const struct line *l)
{
	return !l->len || *l->text == '#';
}

struct package {
	struct line name, version, build;
};

/* Take a word of the line's, and the '=' behind it. */
static bool take(const char **p, struct line *ret)
{
	*ret = (struct line){ *p, strspn(*p, letters) };
	*p += ret->len;
	return ret->len && *(*p)++ == '=';
}

static bool read_package(const struct line *l, struct package *ret)
{
	const char *p = l->text, *colons = memmem(p, l->len, "::", 2);

	if (colons && strspn(p, channel_letters) < (size_t)(colons - p))
		return false;
	if (colons)
		p = colons + strlen("::");
	if (!take(&p, &ret->name))
		return false;
	p += *p == '=';
	if (!take(&p, &ret->version))
		return false;
	ret->build = (struct line){ p, l->len - (size_t)(p - l->text) };
	return is(&ret->build, "<pip>") ||
	       (ret->build.len && strspn(p, letters) >= ret->build.len);
}

bool aq_exported_is(const char *text)
{
	struct package p;

	for (; *text; text = aq_next_line(text)) {
		struct line l = cut(text);

		if (aq_starts_with(l.text, SAYS_IT))
			return true;
		if (!is_nothing(&l))
			return read_package(&l, &p);
	}
	return false;
}

static void read_line(struct aq_reading *r, struct aq_place at,
		      const struct line *l)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	char show[AQ_SHOW_SIZE];
	struct package p;
	struct aq_err err;
	bool is_package = read_package(l, &p);
	bool is_pip = is_package && (is(&p.build, "pypi_0") || is(&p.build, "<pip>"));

	if (is_pip) /* of conda's channel "pypi" */
		aq_str_add_fmt(&out, "%.*s==%.*s", (int)p.name.len, p.name.text,
			       (int)p.version.len, p.version.text);
	else
		aq_str_add_mem(&out, l->text, l->len);
	if (aq_text_done(&out, "a line", &err))
		aq_problem_err(&r->problems, at, &err);
	else if (is_package && is(&p.build, "dev_0"))
		aq_problem(&r->problems, at,
			   "'%s' was an editable install of code that the "
			   "nodes may not have: remove it, or name a released "
			   "package",
			   aq_show(aq_str_get(&out), show));
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
