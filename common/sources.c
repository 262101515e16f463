/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sources.h"

#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/matchspec.h"

static void add_url(struct aq_strv *urls, const struct aq_channel *channel)
{
	cleanup_free char *url = aq_channel_url(channel);

	if (!url)
		urls->broken = ENOMEM;
	else if (!aq_strv_has(urls, url))
		aq_strv_add(urls, url);
}

static int add_named(struct aq_strv *urls, const struct aq_conf *conf,
		     const char *name, struct aq_err *err)
{
	const struct aq_channel *channel;
	int rc = aq_channel_find(conf, name, &channel, err);

	if (!rc)
		add_url(urls, channel);
	return rc;
}

int aq_sources_channels(const struct aq_request *req,
			const struct aq_conf *conf, struct aq_strv *ret_urls,
			struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < req->channels.n && !rc; i++)
		rc = add_named(ret_urls, conf, req->channels.v[i], err);
	for (size_t i = 0; i < conf->n_channels && !req->channels.n; i++)
		add_url(ret_urls, &conf->channels[i]);
	for (size_t i = 0; i < req->conda.n && !rc; i++) {
		cleanup_matchspec struct aq_matchspec spec = { 0 };

		rc = aq_matchspec_parse(req->conda.v[i], &spec, err);
		if (!rc && spec.channel)
			rc = add_named(ret_urls, conf, spec.channel, err);
	}
	return rc ? rc : aq_strv_done(ret_urls, "channels", err);
}

static int add_spec(struct aq_strv *specs, const struct aq_conf *conf,
		    const char *text, struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	cleanup_str struct aq_str out = AQ_STR_INIT(4 * AQ_SPEC_MAX);
	const struct aq_channel *channel;
	int rc = aq_matchspec_parse(text, &spec, err);

	if (!rc && spec.channel)
		rc = aq_channel_find(conf, spec.channel, &channel, err);
	if (rc)
		return rc;
	if (spec.channel) {
		free(spec.channel);
		spec.channel = aq_channel_url(channel);
		if (!spec.channel)
			return aq_fail(err, AQ_SYS,
				       "out of memory for a channel");
	}
	aq_matchspec_print(&spec, &out);
	aq_strv_add(specs, aq_str_get(&out));
	return aq_str_done(&out, "a package spec", err);
}

int aq_sources_specs(const struct aq_request *req, const struct aq_conf *conf,
		     struct aq_strv *ret_specs, struct aq_err *err)
{
	int rc = 0;

	if (req->python && strcmp(req->python, "*") == 0)
		aq_strv_add(ret_specs, "python");
	else if (req->python)
		aq_strv_add_fmt(ret_specs, "python %s", req->python);
	for (size_t i = 0; i < req->conda.n && !rc; i++)
		rc = add_spec(ret_specs, conf, req->conda.v[i], err);
	return rc ? rc : aq_strv_done(ret_specs, "package specs", err);
}

/* Whether 'url' lies below one of the channels 'urls'. */
static bool is_from(const struct aq_strv *urls, const char *url)
{
	for (size_t i = 0; i < urls->n; i++) {
		const char *rest = aq_path_in(url, urls->v[i]);

		if (rest && *rest)
			return true;
	}
	return false;
}

enum aq_match aq_sources_match(const struct aq_conf *conf,
			       const struct aq_strv *urls,
			       struct aq_matchspec *spec,
			       const struct aq_lock_item *item,
			       bool *ret_is_from)
{
	cleanup_strv struct aq_strv own = AQ_STRV_INIT(1);
	const struct aq_channel *channel;

	if (spec->channel) {
		channel = aq_conf_channel(conf, spec->channel);
		aq_strv_add(&own, channel ? channel->url : "");
		urls = &own;
		free(spec->channel);
		spec->channel = NULL; /* said by the URL */
	}
	*ret_is_from = is_from(urls, item->url);
	return aq_matchspec_matches(spec, item);
}
