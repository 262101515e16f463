/* SPDX-License-Identifier: Apache-2.0 */
/* A request as a conda client must be told it: the administrator's URLs
 * instead of channel names, so that no client's own notion of a channel
 * (channel_alias, rc files) ever decides.
 */
#ifndef AQ_SOURCES_H
#define AQ_SOURCES_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/lock.h"
#include "common/matchspec.h"
#include "common/request.h"
#include "common/str.h"
#include "common/vmatch.h"

/* The URLs of req's channels in their order; if it names none, all of the
 * administrator's map in its order.  Channels that only a spec names
 * ("pytorch::pytorch") follow behind.  Without slashes at their ends.
 * 'req' was read or parsed with the same 'conf'; AQ_USER if the map lacks a
 * channel, AQ_SYS.
 */
AQ_CHECK int aq_sources_channels(const struct aq_request *req,
				 const struct aq_conf *conf,
				 struct aq_strv *ret_urls, struct aq_err *err);

/* The match specs to solve: "python 3.9.*" first if it wants Python, then
 * req->conda, "channel::name" turned into "URL::name".
 */
AQ_CHECK int aq_sources_specs(const struct aq_request *req,
			      const struct aq_conf *conf,
			      struct aq_strv *ret_specs, struct aq_err *err);

/* Whether 'item' is what 'spec' asks for, and whether it lies below the channel that
 * the spec names, else below one of the channels 'urls'.  The spec's channel is taken
 * from it.
 */
enum aq_match aq_sources_match(const struct aq_conf *conf,
			       const struct aq_strv *urls,
			       struct aq_matchspec *spec,
			       const struct aq_lock_item *item,
			       bool *ret_is_from);

#endif
