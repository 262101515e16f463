/* SPDX-License-Identifier: Apache-2.0 */
#include "common/channel.h"

#include <string.h>

#include "common/nearest.h"
#include "common/str.h"
#include "common/text.h"

/* Names of the map in a message, and room for them. */
#define NAMES_SHOWN 8
#define NAMES_MAX (NAMES_SHOWN * (AQ_CHANNEL_NAME_MAX + 2) + 8)
/* Channels compared for "did you mean". */
#define CANDIDATES_MAX 64

static size_t len_without_slashes(const char *s, size_t len)
{
	while (len && s[len - 1] == '/')
		len--;
	return len;
}

static bool same(const char *a, size_t alen, const char *b)
{
	return len_without_slashes(b, strlen(b)) == alen &&
	       memcmp(a, b, alen) == 0;
}

char *aq_channel_url(const struct aq_channel *channel)
{
	return strndup(channel->url,
		       len_without_slashes(channel->url, strlen(channel->url)));
}

/* "conda-forge, bioconda" for a message. */
static void list_names(const struct aq_conf *conf, struct aq_str *out)
{
	for (size_t i = 0; i < conf->n_channels && i < NAMES_SHOWN; i++)
		aq_str_add_fmt(out, "%s%s", i ? ", " : "",
			       conf->channels[i].name);
	if (conf->n_channels > NAMES_SHOWN)
		aq_str_add(out, ", …");
}

/* A URL whose last part is a channel's name, or a typo of one. */
static const char *guess(const struct aq_conf *conf, const char *text,
			 size_t len)
{
	const char *names[CANDIDATES_MAX + 1] = { "defaults" };
	char word[AQ_CHANNEL_NAME_MAX + 1];
	size_t n = 1, from = len;

	while (from && text[from - 1] != '/')
		from--;
	for (size_t i = 0; i < conf->n_channels && n < CANDIDATES_MAX; i++)
		names[n++] = conf->channels[i].name;
	memcpy(word, text + from, len - from);
	word[len - from] = '\0';
	return from == 0 && strcmp(word, "defaults") == 0 ?
		       NULL : aq_nearest(word, names, n);
}

static int fail_unknown(const struct aq_conf *conf, const char *text,
			size_t len, struct aq_err *err)
{
	cleanup_str struct aq_str names = AQ_STR_INIT(NAMES_MAX);
	char word[AQ_CHANNEL_NAME_MAX + 1], show[AQ_SHOW_SIZE];
	const char *meant = guess(conf, text, len);

	memcpy(word, text, len);
	word[len] = '\0';
	list_names(conf, &names);
	/* RFC 3986 user information, conda's /t/TOKEN/ */
	if (strchr(word, '@') || strstr(word, "/t/"))
		return aq_fail(err, AQ_USER,
			       "a channel with credentials is not in the "
			       "administrator's map: name one of %s",
			       aq_str_get(&names));
	if (meant)
		return aq_fail(err, AQ_USER,
			       "channel '%s' is not in the administrator's "
			       "map: did you mean '%s'?",
			       aq_show(word, show), meant);
	return aq_fail(err, AQ_USER,
		       "channel '%s' is not in the administrator's map: name "
		       "one of %s, or ask for it to be added",
		       aq_show(word, show),
		       names.len ? aq_str_get(&names) : "none (it is empty)");
}

int aq_channel_find(const struct aq_conf *conf, const char *text,
		    const struct aq_channel **ret, struct aq_err *err)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && strchr(" \t", text[len - 1]))
		len--;
	len = len_without_slashes(text, len);
	if (!len)
		return aq_fail(err, AQ_USER,
			       "a channel is empty: write its "
			       "name");
	if (len > AQ_CHANNEL_NAME_MAX)
		return aq_fail(err, AQ_USER,
			       "a channel is over %d characters: write its "
			       "name",
			       AQ_CHANNEL_NAME_MAX);
	for (size_t i = 0; i < conf->n_channels; i++)
		if (same(text, len, conf->channels[i].name)) {
			*ret = &conf->channels[i];
			return 0;
		}
	for (size_t i = 0; i < conf->n_channels; i++)
		if (same(text, len, conf->channels[i].url)) {
			*ret = &conf->channels[i];
			return 0;
		}
	return fail_unknown(conf, text, len, err);
}
