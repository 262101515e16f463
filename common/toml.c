/* SPDX-License-Identifier: Apache-2.0 */
#include "common/toml.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "common/text.h"
#include "common/toml_inside.h"

#define STRING_MAX (64 * 1024) /* bytes of one: all of a request has so many */

static const char bare_keys[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz0123456789_-";

void aq_toml_free(struct aq_toml *node)
{
	while (node) {
		struct aq_toml *next = node->next;

		aq_toml_free(node->child); /* AQ_TOML_DEPTH_MAX deep, twice */
		free(node->text);
		free(node->key);
		free(node);
		node = next;
	}
}

int toml_fail(struct toml_reader *r, struct aq_toml_place place,
	      const char *what, const char *of)
{
	char show[AQ_SHOW_SIZE];

	r->place = place;
	if (!of)
		return aq_fail(r->err, AQ_USER, "not valid TOML: %s", what);
	return aq_fail(r->err, AQ_USER, "not valid TOML: '%s' %s",
		       aq_show(of, show), what);
}

int toml_no_memory(struct toml_reader *r)
{
	return aq_fail(r->err, AQ_SYS, "out of memory for TOML");
}

static int fail_here(struct toml_reader *r, const char *what)
{
	return toml_fail(r, r->now, what, NULL);
}

/* Everything moves by this, so that each place is known. */
static void step(struct toml_reader *r, size_t bytes)
{
	for (; bytes && *r->at; bytes--, r->at++) {
		if (*r->at == '\n')
			r->now = (struct aq_toml_place){ r->now.line + 1, 1 };
		/* all but a character's further bytes */
		else if (((unsigned char)r->at[0] & 0xc0) != 0x80)
			r->now.column++;
	}
}

static void skip_blanks(struct toml_reader *r)
{
	step(r, strspn(r->at, " \t"));
}

/* Blanks, newlines and comments: between the items of an array. */
static void skip_lines(struct toml_reader *r)
{
	while (*r->at && strchr(" \t\n#", *r->at))
		step(r, *r->at == '#' ? strcspn(r->at, "\n") : 1);
}

/* -- strings -- */

/* "\uXXXX", "\UXXXXXXXX"; r->at is behind the letter. */
static int read_codepoint(struct toml_reader *r, size_t digits,
			  struct aq_str *out)
{
	uint32_t c = 0;

	for (size_t i = 0; i < digits; i++) {
		char hex[2] = { r->at[i], '\0' };

		if (!isxdigit((unsigned char)r->at[i]))
			return fail_here(r, "an escape lacks digits");
		c = c << 4 | (uint32_t)strtoul(hex, NULL, 16);
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return fail_here(r, "an escape is no character");
	step(r, digits);
	aq_utf8_add(out, c);
	return 0;
}

/* A '\' and what follows; in a string of several lines also a line's end. */
static int read_escape(struct toml_reader *r, bool is_long, struct aq_str *out)
{
	static const char letters[] = "btnfr\"\\", stand_for[] = "\b\t\n\f\r\"\\";
	const char *letter;
	char c = r->at[1];

	if (is_long && r->at[1 + strspn(r->at + 1, " \t")] == '\n') {
		step(r, 1);
		step(r, strspn(r->at, " \t\n"));
		return 0;
	}
	letter = c ? strchr(letters, c) : NULL;
	if (!letter && c != 'u' && c != 'U')
		return fail_here(r, "an escape that there is not: write '\\\\' "
				    "for a backslash, or the text in single quotes");
	step(r, 2);
	if (!letter)
		return read_codepoint(r, c == 'u' ? 4 : 8, out);
	aq_str_add_char(out, stand_for[letter - letters]);
	return 0;
}

/* At the quotes that end a string of several lines, two of its own before them
 * perhaps: how many there are.
 */
static size_t count_quotes(const char *at, char quote)
{
	size_t n = 0;

	while (n < 5 && at[n] == quote)
		n++;
	return n;
}

static int read_string(struct toml_reader *r, bool may_be_long, char **ret)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(STRING_MAX);
	struct aq_toml_place begin = r->now;
	char quote = *r->at;
	bool is_long = may_be_long && r->at[1] == quote && r->at[2] == quote;
	int rc = 0;

	step(r, is_long ? 3 : 1);
	if (is_long && *r->at == '\n')
		step(r, 1);
	while (!rc) {
		size_t quotes = *r->at == quote ? count_quotes(r->at, quote) : 0;

		if (is_long ? quotes >= 3 : quotes) {
			quotes = is_long ? quotes : 1;
			if (is_long)
				aq_str_add_mem(&out, r->at, quotes - 3);
			step(r, quotes);
			break;
		}
		if (!*r->at || (*r->at == '\n' && !is_long))
			return toml_fail(r, begin, "a string has no end", NULL);
		if (*r->at == '\\' && quote == '"') {
			rc = read_escape(r, is_long, &out);
		} else {
			aq_str_add_char(&out, *r->at);
			step(r, 1);
		}
	}
	if (!rc)
		rc = aq_text_done(&out, "a string", r->err);
	if (!rc && !(*ret = strdup(aq_str_get(&out))))
		rc = toml_no_memory(r);
	return rc;
}

/* -- keys -- */

/* One part of a key. */
static int read_part(struct toml_reader *r, char **ret)
{
	size_t len = strspn(r->at, bare_keys);

	if (*r->at == '"' || *r->at == '\'')
		return read_string(r, false, ret);
	if (!len)
		return fail_here(r, "a key is expected here: letters, digits, "
				    "'_' and '-', or quotes around it");
	*ret = strndup(r->at, len);
	if (!*ret)
		return toml_no_memory(r);
	step(r, len);
	return 0;
}

/* "a.b.c": walk to "c" from 'from' by 'enter', which makes what is missing.  *ret_key
 * is the last part, *ret the table that it belongs into.
 */
static int read_key(struct toml_reader *r, struct aq_toml *from,
		    toml_enter_fn *enter, struct toml_key *key,
		    struct aq_toml **ret)
{
	for (size_t depth = 0;; depth++) {
		int rc;

		key->place = r->now;
		rc = read_part(r, &key->text);
		if (rc)
			return rc;
		skip_blanks(r);
		if (*r->at != '.')
			break;
		if (depth + 2 > AQ_TOML_DEPTH_MAX)
			return fail_here(r, "a key has too many parts");
		step(r, 1);
		skip_blanks(r);
		rc = enter(r, from, key, &from);
		free(key->text);
		key->text = NULL;
		if (rc)
			return rc;
	}
	*ret = from;
	return 0;
}

/* -- values -- */

static int read_value(struct toml_reader *r, size_t depth,
		      struct aq_toml **ret);

static int read_pair(struct toml_reader *r, struct aq_toml *table, size_t depth)
{
	cleanup_toml_key struct toml_key key = { 0 };
	cleanup_toml struct aq_toml *value = NULL;
	int rc = read_key(r, table, toml_enter_dotted, &key, &table);

	if (rc)
		return rc;
	if (*r->at != '=')
		return toml_fail(r, r->now, "needs a value: write '=' behind it",
				 key.text);
	step(r, 1);
	skip_blanks(r);
	rc = read_value(r, depth, &value);
	if (rc)
		return rc;
	return toml_add(r, table, &key, steal(&value));
}

static int read_array(struct toml_reader *r, size_t depth, struct aq_toml *array)
{
	struct aq_toml_place begin = r->now;

	for (step(r, 1);;) {
		cleanup_toml struct aq_toml *item = NULL;
		int rc;

		skip_lines(r);
		if (*r->at == ']')
			break;
		if (!*r->at)
			return toml_fail(r, begin, "a list has no end", NULL);
		rc = read_value(r, depth + 1, &item);
		if (!rc)
			rc = toml_add(r, array, NULL, steal(&item));
		if (rc)
			return rc;
		skip_lines(r);
		if (*r->at == ',')
			step(r, 1);
		else if (*r->at != ']')
			return fail_here(r, "a list goes on with ',' or ends "
					    "with ']'");
	}
	step(r, 1);
	return 0;
}

static int read_inline(struct toml_reader *r, size_t depth,
		       struct aq_toml *table)
{
	step(r, 1);
	skip_blanks(r);
	while (*r->at != '}') {
		int rc = read_pair(r, table, depth + 1);

		if (rc)
			return rc;
		skip_blanks(r);
		if (*r->at == '}')
			break;
		if (*r->at != ',')
			return fail_here(r, "a table in a line goes on with "
					    "',' or ends with '}'");
		step(r, 1);
		skip_blanks(r);
		if (*r->at == '}')
			return fail_here(r, "a table in a line has no ',' at "
					    "its end");
	}
	step(r, 1);
	return 0;
}

/* true, 12, -0.5e3, inf, 1979-05-27 07:32:00Z: its extent, and its beginning. */
static int read_word(struct toml_reader *r, char **ret)
{
	static const char *const words[] = { "true", "false", "inf", "nan" };
	static const char others[] = "+-_.:";
	const char *p = r->at, *digits;
	size_t len;
	bool is_word = false;

	while (isalnum((unsigned char)*p) || (*p && strchr(others, *p)) ||
	       /* a date and a time */
	       (*p == ' ' && p - r->at == 10 && p[-3] == '-' &&
		isdigit((unsigned char)p[1])))
		p++;
	len = (size_t)(p - r->at);
	digits = r->at + (*r->at == '+' || *r->at == '-');
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		is_word |= (size_t)(p - digits) == strlen(words[i]) &&
			   strncmp(digits, words[i], strlen(words[i])) == 0;
	if (!len)
		return fail_here(r, "a value is expected here");
	if (!is_word && !isdigit((unsigned char)*digits))
		return fail_here(r, "text needs quotes around it");
	*ret = strndup(r->at, len);
	if (!*ret)
		return toml_no_memory(r);
	step(r, len);
	return 0;
}

static int read_value(struct toml_reader *r, size_t depth, struct aq_toml **ret)
{
	cleanup_toml struct aq_toml *node = NULL;
	enum aq_toml_kind kind = *r->at == '"' || *r->at == '\'' ?
					 AQ_TOML_STRING :
				 *r->at == '[' ? AQ_TOML_ARRAY :
				 *r->at == '{' ? AQ_TOML_TABLE :
						 AQ_TOML_OTHER;
	int rc = 0;

	if (depth > AQ_TOML_DEPTH_MAX)
		return fail_here(r, "lists and tables are too deep inside each "
				    "other");
	node = toml_new(kind, r->now);
	if (!node)
		return toml_no_memory(r);
	switch (kind) {
	case AQ_TOML_STRING:
		rc = read_string(r, true, &node->text);
		break;
	case AQ_TOML_OTHER:
		rc = read_word(r, &node->text);
		break;
	case AQ_TOML_ARRAY:
		rc = read_array(r, depth, node);
		break;
	case AQ_TOML_TABLE:
		rc = read_inline(r, depth, node);
		break;
	}
	if (rc)
		return rc;
	toml_close(node);
	*ret = steal(&node);
	return 0;
}

/* -- the whole -- */

/* "[a.b]", "[[a.b]]": what the lines below it are added to. */
static int read_header(struct toml_reader *r, struct aq_toml *root,
		       struct aq_toml **ret)
{
	cleanup_toml_key struct toml_key key = { 0 };
	bool is_item = r->at[1] == '[';
	struct aq_toml *parent;
	int rc;

	step(r, is_item ? 2 : 1);
	skip_blanks(r);
	rc = read_key(r, root, toml_enter_header, &key, &parent);
	if (rc)
		return rc;
	if (strncmp(r->at, "]]", is_item ? 2 : 1) != 0)
		return fail_here(r, is_item ? "']]' is missing" :
					      "']' is missing");
	step(r, is_item ? 2 : 1);
	return is_item ? toml_add_item(r, parent, &key, ret) :
			 toml_name_table(r, parent, &key, ret);
}

static int read_lines(struct toml_reader *r, struct aq_toml *root)
{
	struct aq_toml *table = root;
	int rc = 0;

	for (skip_lines(r); *r->at && !rc; skip_lines(r)) {
		rc = *r->at == '[' ? read_header(r, root, &table) :
				     read_pair(r, table, 1);
		skip_blanks(r);
		if (!rc && *r->at && *r->at != '\n' && *r->at != '#')
			rc = fail_here(r, "the line's end is expected here");
	}
	return rc;
}

/* Tabs and newlines aside there may be none, not in comments either. */
static int check_controls(struct toml_reader *r)
{
	for (; *r->at; step(r, 1))
		if (((unsigned char)*r->at < ' ' && !strchr("\t\n", *r->at)) ||
		    *r->at == '\x7f')
			return fail_here(r, "control characters are not "
					    "allowed");
	return 0;
}

int aq_toml_parse(const char *text, struct aq_toml **ret,
		  struct aq_toml_place *ret_place, struct aq_err *err)
{
	struct toml_reader r = { .at = text, .now = { 1, 1 }, .err = err };
	cleanup_toml struct aq_toml *root = toml_new(AQ_TOML_TABLE, r.now);
	int rc;

	if (!root)
		return toml_no_memory(&r);
	rc = check_controls(&r);
	r.at = text;
	if (!rc) {
		r.now = (struct aq_toml_place){ 1, 1 };
		rc = read_lines(&r, root);
	}
	if (rc) {
		*ret_place = r.place;
		return rc;
	}
	*ret = steal(&root);
	return 0;
}
