/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STR_FIRST_SIZE 64
#define STRV_FIRST_SIZE 8

/* Make room for 'more' bytes and the NUL. */
static bool str_grow(struct aq_str *s, size_t more)
{
	size_t need, size;
	char *p;

	if (s->broken)
		return false;
	if (more > s->max || s->len > s->max - more) {
		s->broken = E2BIG;
		return false;
	}
	need = s->len + more + 1;
	if (need <= s->size)
		return true;
	size = s->size ? s->size : STR_FIRST_SIZE;
	while (size < need)
		size *= 2;
	p = realloc(s->s, size);
	if (!p) {
		s->broken = ENOMEM;
		return false;
	}
	s->s = p;
	s->size = size;
	return true;
}

void aq_str_free(struct aq_str *s)
{
	free(s->s);
	s->s = NULL;
	s->len = s->size = 0;
}

void aq_str_add_mem(struct aq_str *s, const void *mem, size_t len)
{
	if (!str_grow(s, len))
		return;
	if (len)
		memcpy(s->s + s->len, mem, len);
	s->len += len;
	s->s[s->len] = '\0';
}

void aq_str_add(struct aq_str *s, const char *text)
{
	aq_str_add_mem(s, text, strlen(text));
}

void aq_str_add_char(struct aq_str *s, char c)
{
	aq_str_add_mem(s, &c, 1);
}

/* The text, which is the caller's; NULL: out of memory. */
static char *format(int *broken, const char *fmt, va_list ap) AQ_PRINTF(2, 0);
static char *format(int *broken, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) >= 0)
		return text;
	*broken = *broken ? *broken : ENOMEM;
	return NULL;
}

void aq_str_add_vfmt(struct aq_str *s, const char *fmt, va_list ap)
{
	cleanup_free char *text = format(&s->broken, fmt, ap);

	if (text)
		aq_str_add(s, text);
}

void aq_str_add_fmt(struct aq_str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	aq_str_add_vfmt(s, fmt, ap);
	va_end(ap);
}

void aq_str_truncate(struct aq_str *s, size_t len)
{
	if (len >= s->len)
		return;
	s->len = len;
	s->s[len] = '\0';
}

const char *aq_str_get(const struct aq_str *s)
{
	return s->s ? s->s : "";
}

static int done(int broken, size_t max, const char *what, struct aq_err *err)
{
	if (!broken)
		return 0;
	if (broken == E2BIG)
		return aq_fail(err, AQ_SYS, "%s is over its limit of %zu",
			       what, max);
	return aq_fail(err, AQ_SYS, "out of memory for %s", what);
}

int aq_str_done(const struct aq_str *s, const char *what, struct aq_err *err)
{
	return done(s->broken, s->max, what, err);
}

void aq_strv_free(struct aq_strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i]);
	free(v->v);
	v->v = NULL;
	v->n = v->size = 0;
}

static bool strv_grow(struct aq_strv *v)
{
	size_t size;
	char **p;

	if (v->broken)
		return false;
	if (v->n >= v->max) {
		v->broken = E2BIG;
		return false;
	}
	if (v->n + 2 <= v->size)
		return true;
	size = v->size ? v->size * 2 : STRV_FIRST_SIZE;
	p = realloc(v->v, size * sizeof(*p));
	if (!p) {
		v->broken = ENOMEM;
		return false;
	}
	v->v = p;
	v->size = size;
	return true;
}

void aq_strv_add_mem(struct aq_strv *v, const char *text, size_t len)
{
	char *copy;

	if (!strv_grow(v))
		return;
	copy = strndup(text, len);
	if (!copy) {
		v->broken = ENOMEM;
		v->v[v->n] = NULL;
		return;
	}
	v->v[v->n++] = copy;
	v->v[v->n] = NULL;
}

void aq_strv_add(struct aq_strv *v, const char *text)
{
	aq_strv_add_mem(v, text, strlen(text));
}

void aq_strv_add_fmt(struct aq_strv *v, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format(&v->broken, fmt, ap);
	va_end(ap);
	if (text)
		aq_strv_add(v, text);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void aq_strv_sort(struct aq_strv *v)
{
	if (v->n > 1)
		qsort(v->v, v->n, sizeof(*v->v), by_bytes);
}

void aq_strv_sort_unique(struct aq_strv *v)
{
	size_t out = 0;

	aq_strv_sort(v);
	for (size_t i = 0; i < v->n; i++) {
		if (out && strcmp(v->v[out - 1], v->v[i]) == 0)
			free(v->v[i]);
		else
			v->v[out++] = v->v[i];
	}
	v->n = out;
	if (v->v)
		v->v[out] = NULL;
}

bool aq_strv_has(const struct aq_strv *v, const char *text)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i], text) == 0)
			return true;
	return false;
}

int aq_strv_done(const struct aq_strv *v, const char *what, struct aq_err *err)
{
	return done(v->broken, v->max, what, err);
}

bool aq_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		if (*text < '0' || *text > '9')
			return false;
		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

bool aq_parse_size(const char *text, uint64_t max, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char number[24];
	size_t len = strspn(text, "0123456789");
	const char *unit = text[len] ? strchr(units, text[len]) : NULL;
	unsigned int shift = unit ? 10 * (unsigned int)(unit - units + 1) : 0;

	if (len >= sizeof(number) || (text[len] && (!unit || text[len + 1])))
		return false;
	memcpy(number, text, len);
	number[len] = '\0';
	if (!aq_parse_u64(number, max >> shift, ret))
		return false;
	*ret <<= shift;
	return true;
}

uint64_t aq_hash(const void *mem, size_t len)
{
	const unsigned char *p = mem;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

bool aq_is_hex(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") == len && text[len] == '\0';
}

bool aq_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool aq_ends_with(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

const char *aq_next_line(const char *line)
{
	line += strcspn(line, "\n");
	return line + (*line == '\n');
}

bool aq_copy_mem(char *dst, size_t size, const char *mem, size_t len)
{
	if (len >= size)
		return false;
	memcpy(dst, mem, len);
	dst[len] = '\0';
	return true;
}

bool aq_path_climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

const char *aq_path_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/')
		len--;
	if (!len && *dir) /* all that is absolute is in "/" */
		return *path == '/' ? path + !path[1] : NULL;
	if (!len || strncmp(path, dir, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

bool aq_copy_text(char *dst, size_t size, const char *src)
{
	bool fits = aq_copy_mem(dst, size, src, strlen(src));

	if (!fits && size)
		dst[0] = '\0';
	return fits;
}
