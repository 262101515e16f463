/* SPDX-License-Identifier: Apache-2.0 */
/* What a value of aq.conf may be, by the type of its key. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf_table.h"
#include "common/grow.h"
#include "common/url.h"

#define CONF_PATH_MAX 512 /* bytes of cache_dir: prefixes are baked into
			   * packages, whose placeholder has 255 */

void *aq_conf_field(struct aq_conf *conf, const struct aq_conf_key *key)
{
	return (char *)conf + key->offset;
}

int aq_conf_set_text(char **dst, const char *value, struct aq_err *err)
{
	char *copy = strdup(value);

	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory for the configuration");
	free(*dst);
	*dst = copy;
	return 0;
}

/* %n: the node's name; %h: the host's; %%: a per cent sign. */
static int expand(const char *value, const char *node, struct aq_str *out,
		  struct aq_err *err)
{
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		return aq_fail_errno(err, "cannot get the host's name");
	host[strcspn(host, ".")] = '\0';
	for (const char *p = value; *p; p++) {
		if (*p != '%')
			aq_str_add_char(out, *p);
		else if (*++p == 'n')
			aq_str_add(out, node);
		else if (*p == 'h')
			aq_str_add(out, host);
		else if (*p == '%')
			aq_str_add_char(out, '%');
		else
			return aq_fail(err, AQ_USER,
				       "'%s' has a per cent sign that is none of %%n, %%h, %%%%",
				       value);
	}
	while (out->len > 1 && out->s[out->len - 1] == '/')
		aq_str_truncate(out, out->len - 1);
	if (out->broken == E2BIG)
		return aq_fail(err, AQ_USER, "a directory's name is over %d bytes",
			       CONF_PATH_MAX);
	return aq_str_done(out, "a directory's name", err);
}

static int set_dir(struct aq_conf *conf, char **dst, const char *value,
		   struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(CONF_PATH_MAX);
	int rc = expand(value, conf->node, &out, err);

	if (rc)
		return rc;
	if (aq_str_get(&out)[0] != '/' || out.len == 1 ||
	    aq_path_climbs(aq_str_get(&out)))
		return aq_fail(err, AQ_USER,
			       "'%s' is no absolute path of a directory: write one that begins with '/' and has no '..'",
			       value);
	return aq_conf_set_text(dst, aq_str_get(&out), err);
}

static bool is_channel_name(const char *name, size_t len)
{
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_./", name[i]))
			return false;
	return true;
}

static bool is_url(const char *text)
{
	return aq_starts_with(text, "https://") ||
	       aq_starts_with(text, "http://") ||
	       aq_starts_with(text, "file:///");
}

static int add_channel(struct aq_conf *conf, const char *word,
		       struct aq_err *err)
{
	const char *eq = strchr(word, '=');
	struct aq_channel *c;
	size_t len;

	if (!eq || !is_channel_name(word, (size_t)(eq - word)))
		return aq_fail(err, AQ_USER,
			       "'%s' is no channel: write name=URL", word);
	/* a name may have slashes: the word says nothing of its URL */
	if (aq_url_has_secret(eq + 1))
		return aq_fail(err, AQ_USER,
			       "the URL of channel '%.*s' must not hold credentials: write them to the file that 'credentials' names",
			       (int)(eq - word), word);
	if (conf->n_channels >= AQ_CONF_ITEMS_MAX)
		return aq_fail(err, AQ_USER, "more than %d channels",
			       AQ_CONF_ITEMS_MAX);
	if (!aq_grow(conf->channels, conf->n_channels, AQ_CONF_ITEMS_MAX))
		return aq_fail_errno(err, "cannot remember the channels");
	c = &conf->channels[conf->n_channels];
	c->name = strndup(word, (size_t)(eq - word));
	c->url = strdup(eq + 1);
	conf->n_channels++;
	if (!c->name || !c->url)
		return aq_fail(err, AQ_SYS, "out of memory for the channels");
	len = strlen(c->url);
	while (len && c->url[len - 1] == '/')
		c->url[--len] = '\0';
	/* "https://" alone is none any more */
	if (!is_url(c->url))
		return aq_fail(err, AQ_USER,
			       "the URL of channel '%s' must begin with https://, http:// or file:///",
			       word);
	return 0;
}

void aq_conf_drop_channels(struct aq_conf *conf)
{
	for (size_t i = 0; i < conf->n_channels; i++) {
		free(conf->channels[i].name);
		free(conf->channels[i].url);
	}
	free(conf->channels);
	conf->channels = NULL;
	conf->n_channels = 0;
}

static int each_word(struct aq_conf *conf, const char *value,
		     struct aq_strv *list, struct aq_err *err)
{
	int rc = 0;

	while (!rc && *(value += strspn(value, " \t"))) {
		size_t len = strcspn(value, " \t");
		cleanup_free char *word = strndup(value, len);

		if (!word)
			return aq_fail(err, AQ_SYS, "out of memory");
		if (list)
			aq_strv_add(list, word);
		else
			rc = add_channel(conf, word, err);
		value += len;
	}
	if (!rc && list && list->broken == E2BIG)
		rc = aq_fail(err, AQ_USER, "the list has over %d items",
			     AQ_CONF_ITEMS_MAX);
	return rc ? rc : list ? aq_strv_done(list, "the list", err) : 0;
}

/* Those that clients can be told of by CONDA_OVERRIDE_…; only of a driver they also know
 * how to be told that there is none.
 */
static bool is_virtual(const char *word)
{
	static const char *const names[] = { "__cuda=", "__glibc=", "__linux=",
					     "__archspec=1=" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *rest;

		if (!aq_starts_with(word, names[i]))
			continue;
		rest = word + strlen(names[i]);
		return strlen(rest) < 64 &&
		       strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789_.-") ==
			       strlen(rest) &&
		       *rest != '-' && (*rest || i == 0);
	}
	return false;
}

static int set_virtuals(struct aq_strv *list, const char *value,
			struct aq_err *err)
{
	int rc;

	aq_strv_free(list);
	rc = each_word(NULL, value, list, err);
	for (size_t i = 0; !rc && i < list->n; i++)
		if (!is_virtual(list->v[i]))
			rc = aq_fail(err, AQ_USER, "'%s' is none of __cuda=VERSION (or __cuda= for none), __glibc=VERSION, __linux=VERSION, __archspec=1=NAME",
				     list->v[i]);
	return rc;
}

static int refuse_secret(const struct aq_conf_key *key, const char *url,
			 struct aq_err *err)
{
	if (!aq_url_has_secret(url))
		return 0;
	return aq_fail(err, AQ_USER,
		       "a URL of '%s' must not hold credentials: write them to the file that 'credentials' names",
		       key->name);
}

/* aq.conf is everybody's to read, and keys and locks are made of its URLs; a
 * proxy's is in neither, and clients take it in no other way.  A text that is no
 * list may hold blanks: each word of it, and the whole.
 */
static int refuse_secrets(const struct aq_conf_key *key, const char *value,
			  struct aq_err *err)
{
	int rc = 0;

	if (strcmp(key->name, "proxy") == 0)
		return 0;
	/* a path, whatever is in it; %n may stand for anything */
	if ((key->type == AQ_CONF_DIR || key->type == AQ_CONF_FILE) && *value == '/')
		return 0;
	if (key->type == AQ_CONF_TEXT)
		rc = refuse_secret(key, value, err);
	for (; !rc && *(value += strspn(value, " \t"));
	     value += strcspn(value, " \t")) {
		cleanup_free char *word =
			strndup(value, strcspn(value, " \t"));

		rc = word ? refuse_secret(key, word, err) :
			    aq_fail(err, AQ_SYS, "out of memory");
	}
	return rc;
}

int aq_conf_set_value(struct aq_conf *conf, const struct aq_conf_key *key,
		      const char *value, struct aq_err *err)
{
	int rc = refuse_secrets(key, value, err);

	if (rc)
		return rc;
	switch (key->type) {
	case AQ_CONF_TEXT:
		return aq_conf_set_text(aq_conf_field(conf, key), value, err);
	case AQ_CONF_NAME:
		if (!*value || strpbrk(value, " \t:/"))
			return aq_fail(err, AQ_USER,
				       "'%s' is no account's name", value);
		return aq_conf_set_text(aq_conf_field(conf, key), value, err);
	case AQ_CONF_FILE:
		if (*value && *value != '/')
			return aq_fail(err, AQ_USER,
				       "'%s' is no absolute path",
				       value);
		return aq_conf_set_text(aq_conf_field(conf, key), value, err);
	case AQ_CONF_DIR:
		return set_dir(conf, aq_conf_field(conf, key), value, err);
	case AQ_CONF_LIST:
		aq_strv_free(aq_conf_field(conf, key));
		return each_word(conf, value, aq_conf_field(conf, key), err);
	case AQ_CONF_CHANNELS:
		aq_conf_drop_channels(conf);
		return each_word(conf, value, NULL, err);
	case AQ_CONF_VIRTUALS:
		return set_virtuals(aq_conf_field(conf, key), value, err);
	case AQ_CONF_POLICY:
		return aq_policy_parse(value, aq_conf_field(conf, key), err);
	case AQ_CONF_SECONDS:
		if (!aq_parse_u64(value, key->max, aq_conf_field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no number of seconds from 0 to %llu",
				       value, (unsigned long long)key->max);
		return 0;
	case AQ_CONF_SIZE:
		if (!aq_parse_size(value, key->max, aq_conf_field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no size: write bytes, or 500M, 20G, 2T",
				       value);
		return 0;
	case AQ_CONF_SWITCH:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return aq_fail(err, AQ_USER, "'%s' is neither yes nor no",
				       value);
		*(uint64_t *)aq_conf_field(conf, key) = *value == 'y';
		return 0;
	case AQ_CONF_COUNT:
		if (!aq_parse_u64(value, key->max, aq_conf_field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no number from 0 to %llu",
				       value, (unsigned long long)key->max);
		return 0;
	}
	return aq_fail(err, AQ_SYS, "key '%s' has no type", key->name);
}
