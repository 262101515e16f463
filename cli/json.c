/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include <string.h>

#include "cli/cli.h"
#include "common/text.h"

#define NUMBER_DIGITS 20 /* of UINT64_MAX */

/* How many bytes 'text' begins with that stand for themselves. */
static size_t plain_len(const char *text, const char *end)
{
	const char *at = text;

	while (at < end && *at >= ' ' && *at < 0x7f && *at != '"' &&
	       *at != '\\')
		at++;
	return (size_t)(at - text);
}

/* Of a valid sequence of three bytes at most: what is controlled has no more. */
static unsigned int code_point(const char *text, size_t len)
{
	const unsigned char *u = (const unsigned char *)text;

	if (len == 1)
		return u[0];
	if (len == 2)
		return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
	return (u[0] & 0xfu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
}

static void quote(FILE *out, const char *text)
{
	const char *end = text + strlen(text);
	size_t len;

	fputc('"', out);
	for (; text < end; text += len) {
		unsigned char c = (unsigned char)*text;

		/* almost all there is, so at once */
		len = plain_len(text, end);
		if (len) {
			fwrite(text, 1, len, out);
			continue;
		}
		len = aq_utf8_len(text, end);
		if (len == 0) {
			len = 1;
			fputs("\\ufffd", out);
		} else if (c == '"' || c == '\\') {
			fprintf(out, "\\%c", c);
		} else if (aq_text_is_control(text, len)) {
			/* it may be read on a terminal too */
			fprintf(out, "\\u%04x", code_point(text, len));
		} else {
			fwrite(text, 1, len, out);
		}
	}
	fputc('"', out);
}

static void indent(const struct json *j)
{
	static const char blanks[] = "\n                                ";
	size_t len = 1 + 2 * j->depth;

	fwrite(blanks, 1, len < sizeof(blanks) ? len : sizeof(blanks) - 1,
	       j->out);
}

/* What stands before a value. */
static void lead(struct json *j, const char *name)
{
	if (j->has_items)
		fputc(',', j->out);
	if (j->depth)
		indent(j);
	j->has_items = true;
	if (name) {
		/* ours or a variable's: nothing in it is to be quoted */
		fputc('"', j->out);
		fputs(name, j->out);
		fputs("\": ", j->out);
	}
}

void json_open(struct json *j, const char *name, char bracket)
{
	lead(j, name);
	fputc(bracket, j->out);
	j->depth++;
	j->has_items = false;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->has_items)
		indent(j);
	fputc(bracket, j->out);
	j->has_items = true;
}

void json_text(struct json *j, const char *name, const char *value)
{
	lead(j, name);
	if (value)
		quote(j->out, value);
	else
		fputs("null", j->out);
}

void json_number(struct json *j, const char *name, uint64_t value)
{
	char digits[NUMBER_DIGITS];
	size_t at = sizeof(digits);

	/* what printf does, in a third of the time: a list has many */
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	lead(j, name);
	fwrite(digits + at, 1, sizeof(digits) - at, j->out);
}

void json_bool(struct json *j, const char *name, bool value)
{
	lead(j, name);
	fputs(value ? "true" : "false", j->out);
}

void json_list(struct json *j, const char *name, const struct aq_strv *list)
{
	json_open(j, name, '[');
	for (size_t i = 0; i < list->n; i++)
		json_text(j, NULL, list->v[i]);
	json_close(j, ']');
}

void json_begin(struct json *j, FILE *out)
{
	*j = (struct json){ .out = out };
	json_open(j, NULL, '{');
	json_number(j, "schema", CLI_JSON_SCHEMA);
}

void json_end(struct json *j)
{
	json_close(j, '}');
	fputc('\n', j->out);
}
