/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void keys_add(struct aq_str *text, const char *ours, uint64_t now)
{
	aq_str_add_fmt(text, "%" PRIu64 " %.*s\n", now, KEYS_DIGITS, ours);
}

struct keys keys_read(const char *text, const char *ours, uint64_t now,
		      uint64_t period, struct aq_str *kept)
{
	struct keys k = { 0 };
	char key[KEYS_DIGITS + 1];
	uint64_t at;
	int end;

	for (; *text; text += end) {
		end = 0;
		if (sscanf(text, "%20" SCNu64 " %16[0-9a-f]%n", &at, key,
			   &end) != 2 || text[end++] != '\n')
			break;
		if (at > now || now - at >= period)
			continue;
		if (strncmp(key, ours, KEYS_DIGITS) == 0) {
			k.has_ours = true;
			continue;
		}
		if (!k.n++ || at < k.oldest)
			k.oldest = at;
		if (kept)
			keys_add(kept, key, at);
	}
	return k;
}
