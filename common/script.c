/* SPDX-License-Identifier: Apache-2.0 */
#include "common/script.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/nearest.h"
#include "common/pep440.h"
#include "common/text.h"
#include "common/toml.h"
#include "common/vspec.h"

#define TYPE "script"
#define OPENS "# /// "
#define CLOSES "# ///"
#define EXAMPLE "'# /// script', '# dependencies = [\"numpy\"]', '# ///'"

/* -- blocks -- */

/* A line of the file: [at, end). */
struct line {
	const char *at, *end;
	size_t number; /* from 1; 0: there is none any more */
};

static struct line line_at(const char *at, size_t number)
{
	const char *end = at + strcspn(at, "\n");
	struct line l = { at, end, *at ? number : 0 };

	/* as Python opens text files */
	if (end > at && end[-1] == '\r')
		l.end--;
	return l;
}

static struct line next_line(const struct line *l)
{
	return line_at(aq_next_line(l->at), l->number + 1);
}

static bool is(const struct line *l, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(l->end - l->at) == len && memcmp(l->at, text, len) == 0;
}

/* "# /// TYPE"; 'ret_type' is in the line. */
static bool opens(const struct line *l, const char **ret_type)
{
	const char *p = l->at + strlen(OPENS);

	if (!aq_starts_with(l->at, OPENS) || p >= l->end)
		return false;
	for (*ret_type = p; p < l->end; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			return false;
	return true;
}

/* "#" or "# …": may stand in a block. */
static bool is_content(const struct line *l)
{
	return l->at < l->end && *l->at == '#' &&
	       (l->at + 1 == l->end || l->at[1] == ' ');
}

/* The reference expression of the specification: content goes on as long as it can,
 * and the last "# ///" in it ends the block; there is a line before it.
 * .number is 0 if nothing ends it; nothing ends what begins before line *ret_until then
 * either, or this were done again for each line of a large file.
 */
static struct line find_end(const struct line *begin, size_t *ret_until)
{
	struct line end = { 0 }, first = next_line(begin), l = first;

	for (; l.number && is_content(&l); l = next_line(&l))
		if (l.number > first.number && is(&l, CLOSES))
			end = l;
	*ret_until = l.number ? l.number : SIZE_MAX;
	return end;
}

struct blocks {
	struct line begin, end;	  /* of the one that counts; .number 0: none */
	struct line again;	  /* where a second one begins */
	struct line open, almost; /* begins, but does not end; looks like one */
};

static bool is_almost(const struct line *l)
{
	cleanup_free char *text = strndup(l->at, (size_t)(l->end - l->at));
	const char *p = text;

	if (!p || *p != '#')
		return false;
	p += 1 + strspn(p + 1, " \t");
	if (!aq_starts_with(p, "///"))
		return false;
	p += strlen("///") + strspn(p + strlen("///"), " \t");
	return aq_starts_with(p, TYPE);
}

static void find_blocks(const char *text, struct blocks *b)
{
	size_t until = 0;

	for (struct line l = line_at(text, 1); l.number; l = next_line(&l)) {
		const char *type = NULL;
		struct line end = { 0 };
		bool is_open = opens(&l, &type);
		bool is_ours = is_open && (size_t)(l.end - type) == strlen(TYPE) &&
			       memcmp(type, TYPE, strlen(TYPE)) == 0;

		if (is_open && l.number >= until)
			end = find_end(&l, &until);
		if (is_ours && !end.number && !b->open.number)
			b->open = l;
		else if (is_ours && end.number && !b->begin.number)
			b->begin = l, b->end = end;
		else if (is_ours && end.number && !b->again.number)
			b->again = l;
		else if (!is_open && !b->almost.number && is_almost(&l))
			b->almost = l;
		if (end.number)
			l = end;
	}
}

static void refuse_none(struct aq_reading *r, const struct blocks *b)
{
	struct aq_place at = { r->file, 1, 1 };

	if (b->open.number) {
		at.line = b->open.number;
		aq_problem(&r->problems, at,
			   "the block '# /// script' has no end: write '# ///' "
			   "below it, and begin each line between with '# '");
	} else if (b->almost.number) {
		at.line = b->almost.number;
		aq_problem(&r->problems, at,
			   "this line looks like the beginning of a block, but is "
			   "none: write exactly '# /// script'");
	} else {
		aq_problem(&r->problems, at,
			   "this Python file does not say what it needs: write a "
			   "block of comments, " EXAMPLE);
	}
}

/* -- keys -- */

/* A place in the block is one in the file: a line further down, two characters
 * further right.
 */
struct block {
	struct aq_reading *r;
	size_t line; /* of its first line's number the one before */
};

static struct aq_place place(const struct block *b, size_t line, size_t column)
{
	return (struct aq_place){ b->r->file, b->line + line, column + 2 };
}

static struct aq_place place_of(const struct block *b, const struct aq_toml *n)
{
	return place(b, n->line, n->column);
}

static void read_dependencies(const struct block *b, const struct aq_toml *n)
{
	struct aq_reading *r = b->r;

	if (n->kind != AQ_TOML_ARRAY) {
		aq_problem(&r->problems, place_of(b, n),
			   "'%s' needs a list: write [\"numpy>=2\"]", n->key);
		return;
	}
	for (n = n->child; n; n = n->next) {
		if (n->kind != AQ_TOML_STRING)
			aq_problem(&r->problems, place_of(b, n),
				   "a requirement is text: write quotes around "
				   "it");
		else if (!n->text[strspn(n->text, " \t")])
			aq_problem(&r->problems, place_of(b, n),
				   "empty item: write a requirement or remove "
				   "it");
		else
			aq_pip_requirement(&r->pip, place_of(b, n), n->text);
	}
}

/* PEP 440 compares 3.11 and 3.11.0 as equal; conda compares them as text, and every
 * Python since 2.0 has three numbers.
 */
static void pad(const char *version, struct aq_str *out)
{
	size_t dots = 0;

	for (; *version; version++) {
		if (*version == '.')
			dots++;
		else if (!isdigit((unsigned char)*version))
			return; /* 3.12rc1: as it is */
	}
	for (; dots < 2; dots++)
		aq_str_add(out, ".0");
}

/* One specifier, which is valid: "== 3.11", "~=3.9".  Zeros at its end stay, as they
 * do in python_version.
 */
static int add_specifier(const char *text, size_t len, struct aq_str *out,
			 struct aq_err *err)
{
	static const struct aq_pep440_flags as_it_is = { .local = true };
	size_t op = strspn(text, "=!<>~"), begin;
	char show[AQ_SHOW_SIZE];
	bool is_any;

	if (aq_starts_with(text, "===")) /* which any text may follow */
		return aq_fail(err, AQ_USER,
			       "'%s' compares text: write '==' and a version "
			       "of Python",
			       aq_show(text, show));
	while (len && strchr(" \t", text[len - 1]))
		len--;
	is_any = text[len - 1] == '*';
	aq_str_add_mem(out, text, op);
	len -= op + strspn(text + op, " \t");
	text += op + strspn(text + op, " \t");
	begin = out->len;
	if (!aq_pep440_version(text, len - (is_any ? 2 : 0), as_it_is, out))
		return aq_fail(err, AQ_SYS, "out of memory for a version");
	if (is_any)
		aq_str_add(out, ".*");
	else if (begin > 1 && out->s[begin - 1] == '=' &&
		 strchr("=!", out->s[begin - 2]))
		pad(out->s + begin, out);
	return 0;
}

int aq_script_python(const char *specifiers, char **ret, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(2 * AQ_SPEC_MAX);
	cleanup_free char *normal = NULL;
	int rc = aq_pep440_specifiers(specifiers, &normal, err);

	for (const char *p = specifiers; !rc && *normal && *p;) {
		size_t len;

		p += strspn(p, " \t,");
		len = strcspn(p, ",");
		if (len && out.len)
			aq_str_add_char(&out, ',');
		if (len)
			rc = add_specifier(p, len, &out, err);
		p += len;
	}
	if (!rc)
		rc = aq_text_done(&out, "requires-python", err);
	if (rc)
		return rc;
	return aq_vspec_normalise(out.len ? out.s : "*", ret, err);
}

static void read_python(const struct block *b, const struct aq_toml *n)
{
	cleanup_free char *version = NULL;
	struct aq_err err;

	if (n->kind != AQ_TOML_STRING)
		aq_problem(&b->r->problems, place_of(b, n),
			   "'%s' is text: write for example \">=3.11\"", n->key);
	else if (aq_script_python(n->text, &version, &err))
		aq_problem_err(&b->r->problems, place_of(b, n), &err);
	else
		aq_sections_python(b->r, place_of(b, n), version);
}

/* Each tool has a table of its own in there. */
static void read_tool(const struct block *b, const struct aq_toml *n)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(4 * AQ_SPEC_MAX);
	char show[AQ_SHOW_SIZE];

	for (n = n->child; n; n = n->next) {
		aq_str_truncate(&text, 0);
		aq_str_add_fmt(&text, "table 'tool.%s' is another tool's: it has "
			       "no effect here", aq_show(n->key, show));
		aq_place_note(b->r->warnings,
			      place(b, n->key_line, n->key_column),
			      aq_str_get(&text));
	}
}

static const struct key {
	const char *name;
	void (*read)(const struct block *b, const struct aq_toml *n);
} keys[] = {
	{ "dependencies", read_dependencies },
	{ "requires-python", read_python },
	{ "tool", read_tool },
};

static void refuse_key(const struct block *b, const struct aq_toml *n)
{
	const char *own[ARRAY_LEN(keys)], *meant;
	char show[AQ_SHOW_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		own[i] = keys[i].name;
	meant = aq_nearest(n->key, own, ARRAY_LEN(keys));
	if (meant)
		aq_problem(&b->r->problems, place(b, n->key_line, n->key_column),
			   "unknown key '%s', did you mean '%s'?",
			   aq_show(n->key, show), meant);
	else
		aq_problem(&b->r->problems, place(b, n->key_line, n->key_column),
			   "unknown key '%s': remove it, or write one of "
			   "dependencies, requires-python; what else is wanted "
			   "(channels, conda packages) belongs into a req.yaml",
			   aq_show(n->key, show));
}

/* What the comments hold. */
static int uncomment(const struct blocks *blocks, struct aq_str *out,
		     struct aq_err *err)
{
	for (struct line l = next_line(&blocks->begin);
	     l.number < blocks->end.number; l = next_line(&l)) {
		size_t len = (size_t)(l.end - l.at);

		if (len > 2)
			aq_str_add_mem(out, l.at + 2, len - 2);
		aq_str_add_char(out, '\n');
	}
	return aq_text_done(out, "the block '# /// script'", err);
}

static void read_block(const struct block *b, const struct aq_toml *root)
{
	for (const struct aq_toml *n = root->child; n; n = n->next) {
		size_t i = 0;

		while (i < ARRAY_LEN(keys) && strcmp(n->key, keys[i].name) != 0)
			i++;
		if (i < ARRAY_LEN(keys))
			keys[i].read(b, n);
		else
			refuse_key(b, n);
	}
}

void aq_script_read(struct aq_reading *r, const char *text)
{
	cleanup_str struct aq_str toml = AQ_STR_INIT(AQ_REQUEST_FILE_MAX);
	cleanup_toml struct aq_toml *root = NULL;
	struct aq_toml_place where = { 0 };
	struct blocks blocks = { 0 };
	struct block b = { .r = r };
	struct aq_err err;
	int rc;

	find_blocks(text, &blocks);
	if (!blocks.begin.number) {
		refuse_none(r, &blocks);
		return;
	}
	if (blocks.again.number) {
		struct aq_place at = { r->file, blocks.again.number, 1 };

		aq_problem(&r->problems, at,
			   "a second block '# /// script', the first begins in "
			   "line %zu: keep one", blocks.begin.number);
		return;
	}
	b.line = blocks.begin.number;
	rc = uncomment(&blocks, &toml, &err);
	if (!rc)
		rc = aq_toml_parse(aq_str_get(&toml), &root, &where, &err);
	if (rc)
		aq_problem_err(&r->problems, place(&b, where.line, where.column),
			       &err);
	else
		read_block(&b, root);
}
