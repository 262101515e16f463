/* SPDX-License-Identifier: Apache-2.0 */
/* Channels as requests write them, against the administrator's map. */
#ifndef AQ_CHANNEL_H
#define AQ_CHANNEL_H

#include "common/conf.h"
#include "common/err.h"

#define AQ_CHANNEL_NAME_MAX 256 /* bytes of a channel's name in a request */

/* The channel of conf's map that 'text' means: its name, or its URL (white
 * space around and slashes at the end aside).  Returns 0 and sets *ret, owned
 * by 'conf'; or AQ_USER with what to write instead.  URLs are quoted in
 * messages only if they hold no credentials.
 */
AQ_CHECK int aq_channel_find(const struct aq_conf *conf, const char *text,
			     const struct aq_channel **ret, struct aq_err *err);

/* Its URL without slashes at the end, malloc'ed; NULL: out of memory. */
char *aq_channel_url(const struct aq_channel *channel);

#endif
