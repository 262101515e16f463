/* SPDX-License-Identifier: Apache-2.0 */
#include "common/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

size_t aq_url_userinfo(const char *text, size_t len)
{
	size_t end = 0;

	for (size_t i = 0; i < len; i++) {
		/* a client's sentence goes on where a URL cannot */
		if (isspace((unsigned char)text[i]) ||
		    memchr("/?#\"'`<>", text[i], 8))
			break;
		if (text[i] == '@')
			end = i;
	}
	return end;
}

bool aq_url_host(const char *url, char *host, size_t size, char port[8])
{
	const char *at, *end, *colon;

	if (aq_starts_with(url, "https://"))
		snprintf(port, 8, "443");
	else if (aq_starts_with(url, "http://"))
		snprintf(port, 8, "80");
	else
		return false;
	at = strstr(url, "//") + 2;
	end = at + strcspn(at, "/?#");
	/* a proxy's URL may hold credentials */
	for (const char *p = at; p < end; p++)
		if (*p == '@')
			at = p + 1;
	if (*at == '[') { /* IPv6 */
		const char *bracket = memchr(at, ']', (size_t)(end - at));

		if (!bracket || !aq_copy_mem(host, size, at + 1,
				      (size_t)(bracket - at - 1)))
			return false;
		colon = bracket[1] == ':' ? bracket + 1 : NULL;
	} else {
		colon = memchr(at, ':', (size_t)(end - at));
		if (!aq_copy_mem(host, size, at, (size_t)((colon ? colon : end) - at)))
			return false;
	}
	return *host && (!colon || aq_copy_mem(port, 8, colon + 1,
					(size_t)(end - colon - 1)));
}

bool aq_url_has_secret(const char *url)
{
	const char *host = strstr(url, "//"), *token;

	if (!host)
		return false;
	host += 2;
	if (memchr(host, '@', strcspn(host, "/?#")))
		return true;
	/* what conda takes for a token (split_anaconda_token()) */
	token = aq_starts_with(url, "file:") ? NULL : strstr(host, "/t/");
	return token && (isalnum((unsigned char)token[3]) || token[3] == '-');
}
