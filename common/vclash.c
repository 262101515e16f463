/* SPDX-License-Identifier: Apache-2.0 */
/* Version specs that can never match: what a solver would find out later. */
#include "common/vspec.h"

#include <ctype.h>
#include <string.h>

/* Conditions that are looked at; more say nothing. */
#define CONDITIONS_MAX 16
/* Numbers of a version that are compared, and digits of each. */
#define NUMBERS_MAX 8
#define DIGITS_MAX 9

struct condition {
	enum { FIXED, LOWER, UPPER } kind; /* exact or prefix; >= >; <= < */
	size_t n;
	unsigned long number[NUMBERS_MAX];
};

/* "3.9" or "3.9.*", nothing but numbers, up to 'end'. */
static bool read_numbers(const char *p, const char *end, struct condition *c)
{
	c->n = 0;
	if (end - p > 2 && end[-1] == '*')
		end -= 2;
	while (p < end) {
		unsigned long value = 0;
		int digits = 0;

		for (; p < end && isdigit((unsigned char)*p); p++, digits++)
			value = digits < DIGITS_MAX
					? value * 10 + (unsigned long)(*p - '0')
					: value;
		if (!digits || digits > DIGITS_MAX || c->n == NUMBERS_MAX ||
		    (p < end && *p != '.'))
			return false;
		c->number[c->n++] = value;
		p += p < end;
	}
	return c->n > 0;
}

static bool read_condition(const char *atom, size_t len, struct condition *c)
{
	size_t op = strspn(atom, "=<>!~");

	if (*atom == '!' || op >= len)
		return false;
	c->kind = *atom == '>' || *atom == '~' ? LOWER
		  : *atom == '<'	       ? UPPER
					       : FIXED;
	return read_numbers(atom + op, atom + len, c);
}

/* The first difference within what both say: 3.9 and 3.9.1 have none. */
static int compare(const struct condition *a, const struct condition *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->number[i] != b->number[i])
			return a->number[i] < b->number[i] ? -1 : 1;
	return 0;
}

static bool clash(const struct condition *a, const struct condition *b)
{
	int diff = compare(a, b);

	if (a->kind > b->kind)
		return clash(b, a);
	if (a->kind == FIXED && b->kind == FIXED)
		return diff != 0;
	if (a->kind == FIXED)
		return b->kind == LOWER ? diff < 0 : diff > 0;
	return a->kind == LOWER && b->kind == UPPER && diff > 0;
}

bool aq_vspec_contradicts_itself(const char *spec)
{
	struct condition seen[CONDITIONS_MAX];
	size_t n = 0;

	if (strpbrk(spec, "|("))
		return false;
	while (*spec && n < CONDITIONS_MAX) {
		size_t len = strcspn(spec, ",");

		if (read_condition(spec, len, &seen[n])) {
			for (size_t i = 0; i < n; i++)
				if (clash(&seen[i], &seen[n]))
					return true;
			n++;
		}
		spec += len + (spec[len] == ',');
	}
	return false;
}
