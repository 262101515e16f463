/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 4096

int aq_text_read(int fd, size_t max, struct aq_str *out, struct aq_err *err)
{
	char buf[READ_SIZE];
	size_t total = 0;

	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return aq_fail_errno(err, "cannot read");
		if (n == 0)
			return aq_str_done(out, "a file's text", err);
		if ((size_t)n > max - total)
			return aq_fail(err, AQ_USER,
				       "is over the limit of %zu bytes", max);
		total += (size_t)n;
		aq_str_add_mem(out, buf, (size_t)n);
	}
}

int aq_text_done(const struct aq_str *s, const char *what, struct aq_err *err)
{
	if (s->broken == E2BIG)
		return aq_fail(err, AQ_USER,
			       "%s is over %zu characters in normal form", what,
			       s->max);
	return aq_str_done(s, what, err);
}

int aq_text_list_done(const struct aq_strv *v, const char *what,
		      struct aq_err *err)
{
	if (v->broken == E2BIG)
		return aq_fail(err, AQ_USER, "%s has too many parts", what);
	return aq_strv_done(v, what, err);
}

size_t aq_utf8_len(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t avail = (size_t)(end - p), n;
	uint32_t c;

	if (!avail)
		return 0;
	if (u[0] < 0x80)
		return 1;
	n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
	if (u[0] < 0xc2 || u[0] > 0xf4 || avail < n)
		return 0;
	c = u[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return c >= 0xd800 && c <= 0xdfff ? 0 : n;
}

void aq_utf8_add(struct aq_str *out, uint32_t c)
{
	if (c < 0x80) {
		aq_str_add_char(out, (char)c);
	} else if (c < 0x800) {
		aq_str_add_char(out, (char)(0xc0 | c >> 6));
		aq_str_add_char(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		aq_str_add_char(out, (char)(0xe0 | c >> 12));
		aq_str_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
		aq_str_add_char(out, (char)(0x80 | (c & 0x3f)));
	} else {
		aq_str_add_char(out, (char)(0xf0 | c >> 18));
		aq_str_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
		aq_str_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
		aq_str_add_char(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* UTF-16 (RFC 2781) to UTF-8; 'high' is the index of the high byte. */
static int decode_utf16(const unsigned char *u, size_t len, size_t high,
			struct aq_str *out, struct aq_err *err)
{
	for (; len >= 2 && u[high] == 0xfe && u[1 - high] == 0xff; len -= 2)
		u += 2;
	for (size_t i = 0; i + 1 < len; i += 2) {
		uint32_t c = (uint32_t)u[i + high] << 8 | u[i + 1 - high];

		if (c >= 0xd800 && c <= 0xdbff && i + 3 < len) {
			uint32_t low = (uint32_t)u[i + 2 + high] << 8 |
				       u[i + 3 - high];

			if (low < 0xdc00 || low > 0xdfff)
				return aq_fail(err, AQ_USER,
					       "is not valid UTF-16: save it "
					       "as UTF-8");
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		if (!c || (c >= 0xd800 && c <= 0xdfff))
			return aq_fail(err, AQ_USER,
				       "is not valid UTF-16: save it as "
				       "UTF-8");
		aq_utf8_add(out, c);
	}
	if (len % 2)
		return aq_fail(err, AQ_USER,
			       "is UTF-16 with half a character at its end: "
			       "save it as UTF-8");
	return aq_str_done(out, "a file's text", err);
}

static int check_utf8(const char *mem, size_t len, struct aq_err *err)
{
	const char *end = mem + len;
	unsigned int line = 1;

	for (const char *p = mem; p < end;) {
		size_t n = aq_utf8_len(p, end);

		if (!n)
			return aq_fail(err, AQ_USER,
				       "is not UTF-8 in line %u: save it as "
				       "UTF-8",
				       line);
		if (!*p)
			return aq_fail(err, AQ_USER,
				       "is not text: line %u has a NUL byte",
				       line);
		if (*p == '\n')
			line++;
		p += n;
	}
	return 0;
}

static int decode_utf8(const char *mem, size_t len, struct aq_str *out,
		       struct aq_err *err)
{
	int rc;

	/* editors and scripts put one before another */
	for (; len >= 3 && memcmp(mem, "\xef\xbb\xbf", 3) == 0; len -= 3)
		mem += 3;
	rc = check_utf8(mem, len, err);
	if (rc)
		return rc;
	aq_str_add_mem(out, mem, len);
	return aq_str_done(out, "a file's text", err);
}

/* CR LF, and CR alone, which ends a line for YAML, pip and Python, too. */
static void make_line_ends(struct aq_str *s, size_t from)
{
	size_t to = from;

	for (size_t i = from; i < s->len; i++)
		if (s->s[i] != '\r')
			s->s[to++] = s->s[i];
		else if (s->s[i + 1] != '\n')
			s->s[to++] = '\n';
	if (to < s->len)
		aq_str_truncate(s, to);
}

int aq_text_decode(const char *mem, size_t len, struct aq_str *out,
		   struct aq_err *err)
{
	const unsigned char *u = (const unsigned char *)mem;
	size_t from = out->len;
	int rc;

	if (len >= 2 && u[0] == 0xff && u[1] == 0xfe)
		rc = decode_utf16(u, len, 1, out, err);
	else if (len >= 2 && u[0] == 0xfe && u[1] == 0xff)
		rc = decode_utf16(u, len, 0, out, err);
	else
		rc = decode_utf8(mem, len, out, err);
	if (!rc)
		make_line_ends(out, from);
	return rc;
}

/* Whether the code point is one that a terminal does not show as a character:
 * C0, DEL, C1, line separators, and what turns the direction of the text
 * (CVE-2021-42574).
 */
static bool is_control_point(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c ||
	       c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

bool aq_text_is_control(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 1)
		return is_control_point(u[0]);
	if (n == 2)
		return is_control_point((u[0] & 0x1fu) << 6 | (u[1] & 0x3fu));
	return n == 3 && is_control_point((u[0] & 0xfu) << 12 |
					  (u[1] & 0x3fu) << 6 |
					  (u[2] & 0x3fu));
}

bool aq_text_has_controls(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		size_t n = aq_utf8_len(text, end);

		if (n && aq_text_is_control(text, n))
			return true;
		text += n ? n : 1;
	}
	return false;
}

/* The length of the escape sequence at p[0] = ESC (ECMA-48): a command with its
 * parameters, or a string up to its end, both within the line.
 */
static size_t escape_len(const char *p, const char *end)
{
	const char *at = p + 1;
	char last = '0'; /* from here on it is what ends the command */

	if (at < end && *at && strchr("]PX^_", *at)) {
		while (at < end && *at != '\n' && *at != '\a' && *at != '\033')
			at++;
		if (at + 1 < end && *at == '\033' && at[1] == '\\')
			at++;
		return (size_t)(at - p) + (at < end && *at != '\n' &&
					   *at != '\033');
	}
	if (at < end && *at == '[') {
		last = '@';
		at++;
	}
	while (at < end && *at >= ' ' && *at < last)
		at++;
	return (size_t)(at - p) + (at < end && *at >= last && *at <= '~');
}

size_t aq_text_make_printable(char *mem, size_t len)
{
	const char *p = mem, *end = mem + len;
	char *to = mem;

	while (p < end) {
		size_t n = *p == '\033' ? escape_len(p, end) :
					  aq_utf8_len(p, end);
		bool is_colour = n > 2 && p[0] == '\033' && p[1] == '[' &&
				 p[n - 1] == 'm';

		n = n ? n : 1;
		if (*p == '\n') {
			*to++ = '\n';
		} else if (*p == '\t' || *p == '\r') {
			*to++ = ' ';
		} else if (*p == '\033' || !aq_utf8_len(p, end) ||
			   aq_text_is_control(p, n)) {
			if (!is_colour)
				*to++ = '?';
		} else {
			memmove(to, p, n);
			to += n;
		}
		p += n;
	}
	return (size_t)(to - mem);
}

void aq_text_make_printable_text(char *text)
{
	text[aq_text_make_printable(text, strlen(text))] = '\0';
}

bool aq_text_is_clean(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		size_t n = aq_utf8_len(text, end);

		if (!n || aq_text_is_control(text, n))
			return false;
		text += n;
	}
	return true;
}

/* Write p[0..n) as \xNN; returns how many bytes that are. */
static size_t escape(const char *p, size_t n, char *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		unsigned char u = (unsigned char)p[i];

		*buf++ = '\\';
		*buf++ = 'x';
		*buf++ = digits[u >> 4];
		*buf++ = digits[u & 15];
	}
	return 4 * n;
}

/* What web pages and mail put where a blank was, or into a name: a message that shows
 * it as it is shows nothing.
 */
static bool is_unseen(const char *p, size_t n)
{
	static const char *const unseen[] = {
		"\u00a0", "\u00ad", "\u200b", "\u200c", "\u200d",
		"\u202f", "\u2060", "\u3000", "\ufeff",
	};

	for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
		if (strlen(unseen[i]) == n && memcmp(p, unseen[i], n) == 0)
			return true;
	return false;
}

static const char *show(const char *text, size_t max, char *buf)
{
	const char *end = text + strlen(text), *p = text;
	size_t out = 0;

	while (p < end) {
		size_t n = aq_utf8_len(p, end);
		bool is_bad = !n || aq_text_is_control(p, n) ||
			      is_unseen(p, n);

		n = n ? n : 1;
		if ((size_t)(p - text) + n > max) {
			memcpy(buf + out, "…", strlen("…"));
			out += strlen("…");
			break;
		}
		if (is_bad) {
			out += escape(p, n, buf + out);
		} else {
			memcpy(buf + out, p, n);
			out += n;
		}
		p += n;
	}
	buf[out] = '\0';
	return buf;
}

const char *aq_show(const char *text, char buf[AQ_SHOW_SIZE])
{
	return show(text, AQ_SHOW_MAX, buf);
}

const char *aq_show_path(const char *path, char buf[AQ_SHOW_PATH_SIZE])
{
	return show(path, AQ_SHOW_PATH_MAX, buf);
}
