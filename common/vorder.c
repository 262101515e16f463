/* SPDX-License-Identifier: Apache-2.0 */
#include "common/vorder.h"

#include <ctype.h>
#include <string.h>

#include "common/cleanup.h"

/* Digits of a number that 64 bits always hold. */
#define SURE_DIGITS 19

static const struct aq_vpart zero = { AQ_VPART_NUMBER, "0", 1 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_dash(char c)
{
	return c == '-' || c == '_';
}

/* Versions compare without regard to case; conda makes '_' of '-'. */
static int fold(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

/* -- parsing ------------------------------------------------------------- */

static bool add_part(struct aq_vorder *v, const struct aq_vpart *part)
{
	if (v->n_parts == AQ_VORDER_PARTS_MAX)
		return false;
	v->parts[v->n_parts++] = *part;
	v->segments[v->n_all].n++;
	return true;
}

static bool is_word(const struct aq_vpart *part, const char *word)
{
	return part->len == strlen(word) &&
	       strncasecmp(part->s, word, part->len) == 0;
}

static bool add_word(struct aq_vorder *v, struct aq_vpart part)
{
	part.kind = is_word(&part, "post")  ? AQ_VPART_POST
		    : is_word(&part, "dev") ? AQ_VPART_DEV
					    : AQ_VPART_WORD;
	if (part.kind == AQ_VPART_WORD &&
	    ((part.len > 4 && strncasecmp(part.s, "post", 4) == 0) ||
	     (part.len > 3 && strncasecmp(part.s, "dev", 3) == 0)))
		v->is_odd = true;
	return add_part(v, &part);
}

/* One segment, p[0..len), as runs of digits and of everything else. */
static bool add_segment(struct aq_vorder *v, const char *p, size_t len)
{
	const char *end = p + len;

	if (!len || v->n_parts == AQ_VORDER_PARTS_MAX)
		return false; /* no part, so no segment either */
	v->segments[v->n_all].first = v->n_parts;
	if (!is_digit(*p) && !add_part(v, &zero))
		return false;
	while (p < end) {
		struct aq_vpart part = { AQ_VPART_NUMBER, p, 0 };
		bool digits = is_digit(*p);

		for (; p < end && is_digit(*p) == digits; p++)
			part.len++;
		if (digits && part.len > SURE_DIGITS)
			v->is_odd = true;
		if (!(digits ? add_part(v, &part) : add_word(v, part)))
			return false;
	}
	v->n_all++;
	return true;
}

/* conda leaves a dash that ends the version in the last segment, for versions
 * such as openssl's; not in a local one.
 */
static size_t segment_len(const char *p, const char *end, bool is_local)
{
	size_t len = 0;

	while (p + len < end && p[len] != '.' && !is_dash(p[len]))
		len++;
	if (!is_local && p + len + 1 == end && is_dash(p[len]))
		len++;
	return len;
}

static bool add_segments(struct aq_vorder *v, const char *p, const char *end,
			 bool is_local)
{
	for (;;) {
		size_t len = segment_len(p, end, is_local);

		if (!add_segment(v, p, len))
			return false;
		p += len;
		if (p == end)
			return true;
		p++;
	}
}

static bool add_epoch(struct aq_vorder *v, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(p[i]))
			return false;
	return add_segment(v, p, len);
}

/* Of conda's characters, and not both kinds of dash. */
static bool has_characters(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!p[i] ||
		    (!isalnum((unsigned char)p[i]) && !strchr("!+._-", p[i])))
			return false;
	return !memchr(p, '-', len) || !memchr(p, '_', len);
}

bool aq_vorder_parse(const char *text, size_t len, struct aq_vorder *ret)
{
	const char *end = text + len, *bang, *plus;

	ret->n_parts = ret->n_main = ret->n_all = 0;
	ret->is_odd = false;
	memset(ret->segments, 0, sizeof(ret->segments));
	if (!len || !has_characters(text, len))
		return false;
	bang = memchr(text, '!', len);
	if (!(bang ? add_epoch(ret, text, (size_t)(bang - text))
		   : add_segment(ret, zero.s, zero.len)))
		return false;
	if (bang)
		text = bang + 1;
	plus = memchr(text, '+', (size_t)(end - text));
	if (memchr(text, '!', (size_t)(end - text)) ||
	    (plus && memchr(plus + 1, '+', (size_t)(end - plus - 1))))
		return false;
	if (!add_segments(ret, text, plus ? plus : end, false))
		return false;
	if (is_dash((plus ? plus : end)[-1]))
		ret->is_odd = true;
	ret->n_main = ret->n_all;
	return !plus || add_segments(ret, plus + 1, end, true);
}

/* -- order --------------------------------------------------------------- */

static int compare_words(const struct aq_vpart *a, const struct aq_vpart *b)
{
	for (size_t i = 0; i < a->len && i < b->len; i++)
		if (fold(a->s[i]) != fold(b->s[i]))
			return fold(a->s[i]) - fold(b->s[i]);
	return a->len < b->len ? -1 : a->len > b->len;
}

/* Of any size: without leading zeros the longer is the greater. */
static int compare_numbers(struct aq_vpart a, struct aq_vpart b)
{
	for (; a.len && *a.s == '0'; a.len--)
		a.s++;
	for (; b.len && *b.s == '0'; b.len--)
		b.s++;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.s, b.s, a.len);
}

int aq_vpart_compare(const struct aq_vpart *a, const struct aq_vpart *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == AQ_VPART_WORD)
		return compare_words(a, b);
	return a->kind == AQ_VPART_NUMBER ? compare_numbers(*a, *b) : 0;
}

bool aq_vorder_has_part(const struct aq_vorder *v, size_t segment, size_t i)
{
	return segment < v->n_all && i < v->segments[segment].n;
}

const struct aq_vpart *aq_vorder_part(const struct aq_vorder *v, size_t segment,
				      size_t i)
{
	return aq_vorder_has_part(v, segment, i)
		       ? &v->parts[v->segments[segment].first + i]
		       : &zero;
}

/* Segment sa of 'a' with sb of 'b': beyond the last one all is 0. */
static int compare_segments(const struct aq_vorder *a, size_t sa,
			    const struct aq_vorder *b, size_t sb)
{
	int diff = 0;

	for (size_t i = 0; !diff && (aq_vorder_has_part(a, sa, i) ||
				     aq_vorder_has_part(b, sb, i));
	     i++)
		diff = aq_vpart_compare(aq_vorder_part(a, sa, i),
					aq_vorder_part(b, sb, i));
	return diff;
}

int aq_vorder_compare(const struct aq_vorder *a, const struct aq_vorder *b)
{
	int diff = 0;

	for (size_t i = 0; !diff && (i < a->n_main || i < b->n_main); i++)
		diff = compare_segments(a, i < a->n_main ? i : a->n_all, b,
					i < b->n_main ? i : b->n_all);
	for (size_t i = 0;
	     !diff && (a->n_main + i < a->n_all || b->n_main + i < b->n_all);
	     i++)
		diff = compare_segments(a, a->n_main + i, b, b->n_main + i);
	return diff;
}
