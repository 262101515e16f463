/* SPDX-License-Identifier: Apache-2.0 */
/* Text of clients without what nobody may read: the second line of defence, for
 * clients echo URLs, headers and what a server said.  Three stars stand, here as
 * XXX, for
 *
 *   https://XXX@host/            a URL's user information
 *   https://host/t/XXX/channel   conda's token in a URL's path
 *   https://host/x?sig=XXX       what signs a URL, or is named as a secret
 *   Authorization: XXX           to the end of the line; of Proxy-… too
 *
 * and for the secrets that are known.
 */
#ifndef AQ_REDACT_H
#define AQ_REDACT_H

#include <stddef.h>

#include "common/str.h"

#define AQ_REDACTED "***"

/* Append 'text' so; 'secrets' (NULL: none) are replaced wherever they stand.
 * What is redacted once stays as it is.
 */
void aq_redact(struct aq_str *out, const char *text, size_t len,
	       const struct aq_strv *secrets);

/* The text in text[size] so, cut if it does not fit. */
void aq_redact_in_place(char *text, size_t size, const struct aq_strv *secrets);

#endif
