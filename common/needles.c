/* SPDX-License-Identifier: Apache-2.0 */
#include "common/needles.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A bit for each value that a name's first bytes may come to: of 10,000 names one in a
 * hundred is set, and only there is one looked up.
 */
#define HEAD_BITS 20
#define HEADS_SIZE ((1U << HEAD_BITS) / 8)

/* Knuth's multiplicative hash of AQ_NEEDLE_MIN bytes. */
static uint32_t head_of(const char *text)
{
	uint32_t head;

	memcpy(&head, text, sizeof(head));
	return head * 2654435761U >> (32 - HEAD_BITS);
}

int aq_needles_make(struct aq_strv *names, struct aq_needles *ret,
		    struct aq_err *err)
{
	int rc = aq_strv_done(names, "the names", err);

	if (rc)
		return rc;
	*ret = (struct aq_needles){ .names = names };
	aq_strv_sort_unique(names);
	ret->found = calloc(names->n + 1, sizeof(*ret->found));
	ret->heads = calloc(HEADS_SIZE, 1);
	if (!ret->found || !ret->heads) {
		aq_needles_free(ret);
		return aq_fail(err, AQ_SYS, "out of memory for names");
	}
	for (size_t i = 0; i < names->n; i++) {
		size_t len = strlen(names->v[i]);
		uint32_t head;

		if (len < AQ_NEEDLE_MIN || len > AQ_NEEDLE_MAX)
			continue;
		head = head_of(names->v[i]);
		ret->heads[head / 8] |= (unsigned char)(1U << head % 8);
		ret->has_length[len] = true;
	}
	return 0;
}

void aq_needles_free(struct aq_needles *n)
{
	free(n->found);
	free(n->heads);
	*n = (struct aq_needles){ 0 };
}

static int compare(const char *name, const char *text, size_t len)
{
	size_t its = strlen(name);
	int order = memcmp(name, text, its < len ? its : len);

	return order ? order : (its > len) - (its < len);
}

/* The name that is 'len' bytes at 'text', if there is one. */
static bool look_up(struct aq_needles *n, const char *text, size_t len)
{
	size_t low = 0, high = n->names->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(n->names->v[middle], text, len);

		if (!order)
			return n->found[middle] = true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool aq_needles_find(struct aq_needles *n, const char *text, size_t len)
{
	bool is_found = false;

	for (; len >= AQ_NEEDLE_MIN; text++, len--) {
		uint32_t head = head_of(text);

		if (!(n->heads[head / 8] & 1U << head % 8))
			continue;
		for (size_t l = AQ_NEEDLE_MIN; l <= AQ_NEEDLE_MAX && l <= len; l++)
			is_found |= n->has_length[l] && look_up(n, text, l);
	}
	return is_found;
}
