/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf_table.h"
#include "common/grow.h"
#include "common/redact.h"
#include "common/trust.h"
#include "common/url.h"

#define CONF_FILE_MAX (256 * 1024) /* bytes; a thousand channels fit */
#define CONF_ITEMS_MAX 1024        /* channels, find_links, warnings */
#define CONF_PATH_MAX 512 /* bytes of cache_dir: prefixes are baked into
			   * packages, whose placeholder has 255 */

struct where {
	const char *file;
	unsigned int line;
};

static void *field(struct aq_conf *conf, const struct aq_conf_key *key)
{
	return (char *)conf + key->offset;
}

static int set_text(char **dst, const char *value, struct aq_err *err)
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
	return set_text(dst, aq_str_get(&out), err);
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
	if (conf->n_channels >= CONF_ITEMS_MAX)
		return aq_fail(err, AQ_USER, "more than %d channels",
			       CONF_ITEMS_MAX);
	if (!aq_grow(conf->channels, conf->n_channels, CONF_ITEMS_MAX))
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

static void drop_channels(struct aq_conf *conf)
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
			     CONF_ITEMS_MAX);
	return rc ? rc : list ? aq_strv_done(list, "the list", err) : 0;
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

static int set_value(struct aq_conf *conf, const struct aq_conf_key *key,
		     const char *value, struct aq_err *err)
{
	int rc = refuse_secrets(key, value, err);

	if (rc)
		return rc;
	switch (key->type) {
	case AQ_CONF_TEXT:
		return set_text(field(conf, key), value, err);
	case AQ_CONF_NAME:
		if (!*value || strpbrk(value, " \t:/"))
			return aq_fail(err, AQ_USER,
				       "'%s' is no account's name", value);
		return set_text(field(conf, key), value, err);
	case AQ_CONF_FILE:
		if (*value && *value != '/')
			return aq_fail(err, AQ_USER,
				       "'%s' is no absolute path",
				       value);
		return set_text(field(conf, key), value, err);
	case AQ_CONF_DIR:
		return set_dir(conf, field(conf, key), value, err);
	case AQ_CONF_LIST:
		aq_strv_free(field(conf, key));
		return each_word(conf, value, field(conf, key), err);
	case AQ_CONF_CHANNELS:
		drop_channels(conf);
		return each_word(conf, value, NULL, err);
	case AQ_CONF_POLICY:
		return aq_policy_parse(value, field(conf, key), err);
	case AQ_CONF_SECONDS:
		if (!aq_parse_u64(value, key->max, field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no number of seconds from 0 to %llu",
				       value, (unsigned long long)key->max);
		return 0;
	case AQ_CONF_SIZE:
		if (!aq_parse_size(value, key->max, field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no size: write bytes, or 500M, 20G, 2T",
				       value);
		return 0;
	case AQ_CONF_SWITCH:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return aq_fail(err, AQ_USER, "'%s' is neither yes nor no",
				       value);
		*(uint64_t *)field(conf, key) = *value == 'y';
		return 0;
	case AQ_CONF_COUNT:
		if (!aq_parse_u64(value, key->max, field(conf, key)))
			return aq_fail(err, AQ_USER,
				       "'%s' is no number from 0 to %llu",
				       value, (unsigned long long)key->max);
		return 0;
	}
	return aq_fail(err, AQ_SYS, "key '%s' has no type", key->name);
}

static const struct aq_conf_key *find_key(const char *name)
{
	for (size_t i = 0; i < aq_conf_n_keys; i++)
		if (strcmp(aq_conf_keys[i].name, name) == 0)
			return &aq_conf_keys[i];
	return NULL;
}

static int fail_at(const struct where *at, int rc, struct aq_err *err)
{
	/* it may quote a URL that is written where none belongs */
	if (rc && err)
		aq_redact_in_place(err->text, sizeof(err->text), NULL);
	return rc ? aq_fail_prefix(err, "%s:%u", at->file, at->line) : 0;
}

/* One line without its end: "key = value", '#' begins a comment only at the
 * start of a line, since URLs may hold one.
 */
static int parse_line(struct aq_conf *conf, char *line,
		      const struct where *at, struct aq_err *err)
{
	const struct aq_conf_key *key;
	char *eq, *name, *value, *end;

	name = line + strspn(line, " \t\r");
	if (!*name || *name == '#')
		return 0;
	eq = strchr(name, '=');
	if (!eq)
		return fail_at(at, aq_fail(err, AQ_USER, "'%s' is not key = value",
					   name), err);
	for (end = eq; end > name && strchr(" \t", end[-1]); end--)
		;
	value = eq + 1 + strspn(eq + 1, " \t");
	*end = '\0';
	for (end = value + strlen(value);
	     end > value && strchr(" \t\r", end[-1]); end--)
		;
	*end = '\0';
	key = find_key(name);
	if (!key) {
		aq_strv_add_fmt(&conf->warnings, "%s:%u: unknown key '%s'",
				at->file, at->line, name);
		return 0;
	}
	return fail_at(at, set_value(conf, key, value, err), err);
}

static int parse_text(struct aq_conf *conf, char *text, const char *file,
		      struct aq_err *err)
{
	struct where at = { file, 0 };
	char *next;
	int rc = 0;

	for (char *line = text; line && !rc; line = next) {
		at.line++;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		rc = parse_line(conf, line, &at, err);
	}
	return rc;
}

static int set_defaults(struct aq_conf *conf, struct aq_err *err)
{
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		int rc = set_value(conf, &aq_conf_keys[i],
				   aq_conf_keys[i].initial, err);

		if (rc)
			return rc;
	}
	return 0;
}

static int set_node(struct aq_conf *conf, const char *node, struct aq_err *err)
{
	char host[256] = "";

	if (!node)
		node = getenv("SLURMD_NODENAME");
	if (!node || !*node) {
		if (gethostname(host, sizeof(host) - 1) < 0)
			return aq_fail_errno(err, "cannot get the host's name");
		host[strcspn(host, ".")] = '\0';
		node = host;
	}
	if (strchr(node, '/') || *node == '.')
		return aq_fail(err, AQ_SYS, "'%s' is no node's name", node);
	return set_text(&conf->node, node, err);
}

int aq_conf_load(const char *path, const char *node, struct aq_conf **ret,
		 struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(CONF_FILE_MAX);
	cleanup_conf struct aq_conf *conf = calloc(1, sizeof(*conf));
	bool is_default = !path;
	int rc;

	if (!conf)
		return aq_fail(err, AQ_SYS, "out of memory for the configuration");
	conf->warnings.max = conf->find_links.max =
		conf->bases.max = CONF_ITEMS_MAX;
	if (!path)
		path = AQ_CONF_PATH;
	rc = set_node(conf, node, err);
	if (!rc)
		rc = set_defaults(conf, err);
	if (rc)
		return rc;
	if (!is_default || access(path, F_OK) == 0) {
		rc = aq_trust_read(path, geteuid() == 0 ? AQ_TRUST_ROOTS :
							  AQ_TRUST_ANY,
				   &text, err);
		if (!rc)
			rc = set_text(&conf->path, path, err);
		conf->stamp = aq_hash(aq_str_get(&text), text.len);
		if (!rc && text.s)
			rc = parse_text(conf, text.s, path, err);
	}
	if (!rc && asprintf(&conf->public_dir, "%s-public", conf->run_dir) < 0) {
		conf->public_dir = NULL;
		rc = aq_fail(err, AQ_SYS, "out of memory for the configuration");
	}
	if (rc)
		return rc;
	*ret = steal(&conf);
	return 0;
}

/* Where somebody's own cache is (XDG Base Directory Specification: a relative
 * XDG_CACHE_HOME is to be ignored).
 */
static int personal_dir(char **ret, struct aq_err *err)
{
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (xdg && *xdg == '/') {
		n = asprintf(ret, "%s/slurm-aq", xdg);
	} else {
		if (!home || *home != '/')
			return aq_fail(err, AQ_USER,
				       "no place for a cache: set HOME or XDG_CACHE_HOME to an absolute path");
		n = asprintf(ret, "%s/.cache/slurm-aq", home);
	}
	if (n < 0) {
		*ret = NULL;
		return aq_fail(err, AQ_SYS, "out of memory for the configuration");
	}
	return 0;
}

int aq_conf_load_personal(const char *path, struct aq_conf **ret,
			  struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_free char *dir = NULL;
	const struct passwd *me = getpwuid(geteuid());
	int rc = aq_conf_load(path, NULL, &conf, err);

	if (!rc)
		rc = personal_dir(&dir, err);
	if (rc)
		return rc;
	free(conf->run_dir);
	free(conf->public_dir);
	conf->run_dir = conf->public_dir = NULL;
	if (asprintf(&conf->run_dir, "%s/run", dir) < 0)
		conf->run_dir = NULL;
	if (asprintf(&conf->public_dir, "%s/run-public", dir) < 0)
		conf->public_dir = NULL;
	if (!conf->run_dir || !conf->public_dir)
		return aq_fail(err, AQ_SYS, "out of memory for the configuration");
	rc = set_text(&conf->cache_dir, dir, err);
	if (!rc)
		rc = set_text(&conf->builder_user, me ? me->pw_name : "", err);
	if (!rc)
		rc = set_text(&conf->probe_user, me ? me->pw_name : "", err);
	if (rc)
		return rc;
	*ret = steal(&conf);
	return 0;
}

void aq_conf_free(struct aq_conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		const struct aq_conf_key *key = &aq_conf_keys[i];

		if (key->type == AQ_CONF_TEXT || key->type == AQ_CONF_NAME ||
		    key->type == AQ_CONF_FILE || key->type == AQ_CONF_DIR)
			free(*(char **)field(conf, key));
		else if (key->type == AQ_CONF_LIST)
			aq_strv_free(field(conf, key));
	}
	drop_channels(conf);
	aq_strv_free(&conf->warnings);
	free(conf->path);
	free(conf->node);
	free(conf->public_dir);
	free((char *)conf->domain.user);
	aq_conf_free(conf->site);
	free(conf);
}

static bool is_same_url(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	while (n && a[n - 1] == '/')
		n--;
	while (m && b[m - 1] == '/')
		m--;
	return n == m && memcmp(a, b, n) == 0;
}

const struct aq_channel *aq_conf_channel(const struct aq_conf *conf,
					 const char *name_or_url)
{
	for (size_t i = 0; i < conf->n_channels; i++)
		if (strcmp(conf->channels[i].name, name_or_url) == 0 ||
		    is_same_url(conf->channels[i].url, name_or_url))
			return &conf->channels[i];
	return NULL;
}
