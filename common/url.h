/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a URL (RFC 3986).  Pure. */
#ifndef AQ_URL_H
#define AQ_URL_H

#include <stdbool.h>
#include <stddef.h>

#define AQ_HOST_SIZE 256 /* RFC 1035: 255 bytes, and the NUL */

/* Host and port of a URL (http or https, the port by default of these); false:
 * it is none, or they do not fit.
 */
bool aq_url_host(const char *url, char *host, size_t size, char port[8]);

/* Whether the URL holds what nobody may read: a user's name before its host, or
 * conda's /t/TOKEN in its path.
 */
bool aq_url_has_secret(const char *url);

/* How much of 'text' is user information of an authority, up to and without
 * its '@'; 0: there is none.
 */
size_t aq_url_userinfo(const char *text, size_t len);

#endif
