/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/held.h"

#include <string.h>

#include "common/redact.h"

static void say(struct held *h, size_t len)
{
	/* what it may grow by: "a@" becomes "***@" */
	cleanup_str struct aq_str clean = AQ_STR_INIT(4 * HELD_MAX);

	aq_redact(&clean, h->text, len, h->secrets);
	if (!clean.broken)
		h->say(h->arg, aq_str_get(&clean), clean.len);
	h->len -= len;
	memmove(h->text, h->text + len, h->len);
}

/* How much of what is held no secret goes on behind: none has a blank. */
static size_t whole_part(const struct held *h)
{
	static const char *const ends[] = { "\r\n", " \t" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		for (size_t n = h->len; n > 0; n--)
			if (h->text[n - 1] && strchr(ends[i], h->text[n - 1]))
				return n;
	return 0;
}

void held_add(struct held *h, const char *text, size_t len)
{
	while (len) {
		size_t n = sizeof(h->text) - h->len;
		bool has_end;

		n = len < n ? len : n;
		has_end = memchr(text, '\n', n) || memchr(text, '\r', n);
		memcpy(h->text + h->len, text, n);
		h->len += n;
		text += n;
		len -= n;
		if (has_end) {
			say(h, whole_part(h));
		} else if (h->len == sizeof(h->text)) {
			if (!whole_part(h)) {
				h->text[0] = '?';
				h->text[1] = '\n';
				h->len = 2;
			}
			say(h, whole_part(h));
		}
	}
}

void held_end(struct held *h)
{
	say(h, h->len);
}
