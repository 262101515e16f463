/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nearest.h"

#include <ctype.h>
#include <string.h>

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

static int lower(char c)
{
	return tolower((unsigned char)c);
}

/* Optimal string alignment distance; both at most AQ_NEAREST_WORD_MAX long. */
static size_t distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t d[AQ_NEAREST_WORD_MAX + 1][AQ_NEAREST_WORD_MAX + 1];

	for (size_t i = 0; i <= alen; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= blen; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= alen; i++) {
		for (size_t j = 1; j <= blen; j++) {
			int x = lower(a[i - 1]), y = lower(b[j - 1]);

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				       d[i - 1][j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) &&
			    y == lower(a[i - 2]) &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[alen][blen];
}

const char *aq_nearest(const char *text, const char *const *words, size_t n)
{
	size_t len = strlen(text), best = len / 3 + 1;
	const char *found = NULL;

	if (len < 2 || len > AQ_NEAREST_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t wlen = strlen(words[i]), d;

		if (wlen > AQ_NEAREST_WORD_MAX)
			continue;
		d = distance(text, len, words[i], wlen);
		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
