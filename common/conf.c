/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf_table.h"
#include "common/redact.h"
#include "common/trust.h"

#define CONF_FILE_MAX (256 * 1024) /* bytes; a thousand channels fit */

struct where {
	const char *file;
	unsigned int line;
};

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
	return fail_at(at, aq_conf_set_value(conf, key, value, err), err);
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
		int rc = aq_conf_set_value(conf, &aq_conf_keys[i],
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
	return aq_conf_set_text(&conf->node, node, err);
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
		conf->bases.max = conf->virtuals.max = AQ_CONF_ITEMS_MAX;
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
			rc = aq_conf_set_text(&conf->path, path, err);
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
	rc = aq_conf_set_text(&conf->cache_dir, dir, err);
	if (!rc)
		rc = aq_conf_set_text(&conf->builder_user, me ? me->pw_name : "", err);
	if (!rc)
		rc = aq_conf_set_text(&conf->probe_user, me ? me->pw_name : "", err);
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
			free(*(char **)aq_conf_field(conf, key));
		else if (key->type == AQ_CONF_LIST ||
			 key->type == AQ_CONF_VIRTUALS)
			aq_strv_free(aq_conf_field(conf, key));
	}
	aq_conf_drop_channels(conf);
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
