/* SPDX-License-Identifier: Apache-2.0 */
#include "common/dist_info.h"

#include <stdio.h>
#include <string.h>

#include "common/pep508.h"

bool aq_dist_info_split(const char *info, char ret_name[AQ_DIST_INFO_SIZE],
			char ret_version[AQ_DIST_INFO_SIZE])
{
	static const char end[] = ".dist-info";
	const char *dash = strchr(info, '-');
	size_t len = strlen(info);

	if (!aq_ends_with(info, end) || !dash)
		return false;
	aq_pep503_name(info, (size_t)(dash - info), ret_name, AQ_DIST_INFO_SIZE);
	len -= strlen(end);
	if (len <= (size_t)(dash + 1 - info) ||
	    len - (size_t)(dash + 1 - info) >= AQ_DIST_INFO_SIZE)
		return false;
	snprintf(ret_version, AQ_DIST_INFO_SIZE, "%.*s",
		 (int)(len - (size_t)(dash + 1 - info)), dash + 1);
	return true;
}

const struct aq_lock_item *aq_dist_info_wheel(const struct aq_lock *lock,
					      const char *name, size_t len)
{
	char wanted[AQ_DIST_INFO_SIZE], is[AQ_DIST_INFO_SIZE];

	aq_pep503_name(name, len, wanted, sizeof(wanted));
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind == AQ_LOCK_CONDA)
			continue;
		aq_pep503_name(item->name, strlen(item->name), is, sizeof(is));
		if (strcmp(is, wanted) == 0)
			return item;
	}
	return NULL;
}

/* -- RECORD -- */

static int value_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* "sha256=" and 43 digits of base64url (RFC 4648, 5), as hexadecimal; "" if it
 * is anything else.
 */
static void read_hash(const char *text, char ret[AQ_SHA256_HEX_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	const char *p = text + strlen("sha256=");
	unsigned int bits = 0, n_bits = 0;
	size_t n = 0;

	ret[0] = '\0';
	if (!aq_starts_with(text, "sha256=") ||
	    strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		      "0123456789-_") != 43)
		return;
	for (; n < AQ_SHA256_HEX_SIZE - 1; p++) {
		bits = (bits << 6 | (unsigned int)value_of(*p)) & 0xfff;
		n_bits += 6;
		for (; n_bits >= 4 && n < AQ_SHA256_HEX_SIZE - 1; n_bits -= 4)
			ret[n++] = hex[bits >> (n_bits - 4) & 15];
	}
	ret[n] = '\0';
}

/* A field of RFC 4180 at *at, in place; *at is behind its comma or line. */
static char *take_field(char **at, bool *is_last)
{
	char *start = *at, *from = *at, *to = *at;
	bool is_quoted = *from == '"';

	if (is_quoted)
		from++;
	while (*from) {
		if (is_quoted && *from == '"' && from[1] == '"')
			from++;
		else if (is_quoted && *from == '"') {
			is_quoted = false;
			from++;
			continue;
		} else if (!is_quoted && strchr(",\r\n", *from))
			break;
		*to++ = *from++;
	}
	*is_last = *from != ',';
	if (*from == '\r')
		from++;
	*at = *from ? from + 1 : from;
	*to = '\0';
	return start;
}

/* 'path' below 'site' as one below the prefix: "../../../bin/x" too.  False: it
 * leads out.
 */
static bool resolve(const char *site, const char *path,
		    char ret[AQ_WALK_PATH_MAX])
{
	size_t len = (size_t)snprintf(ret, AQ_WALK_PATH_MAX, "%s", site);

	if (*path == '/')
		return false;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && strncmp(path, "..", 2) == 0) {
			const char *slash = memrchr(ret, '/', len);

			if (!len)
				return false;
			len = slash ? (size_t)(slash - ret) : 0;
		} else if (n && !(n == 1 && *path == '.')) {
			if (len + n + 2 > AQ_WALK_PATH_MAX)
				return false;
			if (len)
				ret[len++] = '/';
			memcpy(ret + len, path, n);
			len += n;
		}
		ret[len] = '\0';
		path += n + (path[n] == '/');
	}
	return len > 0;
}

bool aq_dist_info_next(char **text, const char *site,
		       char ret_path[AQ_WALK_PATH_MAX],
		       char ret_sha256[AQ_SHA256_HEX_SIZE])
{
	while (**text) {
		bool is_last;
		const char *name = take_field(text, &is_last);

		ret_sha256[0] = '\0';
		for (int i = 1; !is_last; i++) {
			const char *value = take_field(text, &is_last);

			if (i == 1)
				read_hash(value, ret_sha256);
		}
		if (*name && resolve(site, name, ret_path))
			return true;
	}
	return false;
}
