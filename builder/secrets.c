/* SPDX-License-Identifier: Apache-2.0 */
/* What private channels and indexes want, for the one program that fetches from
 * them.  It lies in a file system of memory that is mounted in that program's own
 * mount namespace: nobody else sees it, it is on no disk and in no swap, and
 * whatever ends the program ends it too.  While it is there nothing below
 * cache_dir can be executed, so that no interpreter of a prefix, which runs what
 * packages bring, is beside it.
 */
#include "builder/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/builder.h"
#include "builder/run.h"
#include "common/credentials.h"
#include "common/io.h"
#include "common/redact.h"
#include "common/sources.h"
#include "common/url.h"

#define FILE_MAX (1024 * 1024)
#define HOSTS_MAX 1024

static const char *const file_names[] = { NULL, "netrc", "rattler.json" };

void secrets_for(struct secrets *s, enum secrets_of of, enum secrets_how how)
{
	s->of = of;
	s->how = how;
	s->hosts.max = s->given.max = HOSTS_MAX;
}

void secrets_free(struct secrets *s)
{
	for (size_t i = 0; i < s->known.n; i++)
		explicit_bzero(s->known.v[i], strlen(s->known.v[i]));
	if (s->file.s)
		explicit_bzero(s->file.s, s->file.len);
	aq_str_free(&s->file);
	aq_strv_free(&s->known);
	aq_strv_free(&s->hosts);
	aq_strv_free(&s->given);
}

/* -- which -- */

static void add_host(struct aq_strv *hosts, const char *url)
{
	char host[AQ_HOST_SIZE], port[8];

	if (aq_url_host(url, host, sizeof(host), port) &&
	    !aq_strv_has(hosts, host))
		aq_strv_add(hosts, host);
}

/* The hosts that the program fetches from, by aq.conf. */
static int find_hosts(const struct build *b, enum secrets_of of,
		      struct aq_strv *hosts, struct aq_err *err)
{
	cleanup_strv struct aq_strv urls = AQ_STRV_INIT(HOSTS_MAX);
	int rc = 0;

	if (of == SECRETS_OF_CHANNELS)
		rc = aq_sources_channels(b->req, b->conf, &urls, err);
	for (size_t i = 0; i < urls.n; i++)
		add_host(hosts, urls.v[i]);
	if (of == SECRETS_OF_WHEELS) {
		add_host(hosts, b->conf->pip_index);
		for (size_t i = 0; i < b->conf->find_links.n; i++)
			add_host(hosts, b->conf->find_links.v[i]);
	}
	return rc ? rc : aq_strv_done(hosts, "hosts", err);
}

/* A shared build's alone: the URLs of any other are not the administrator's. */
static int load(struct build *b, const struct aq_strv *hosts,
		struct aq_credentials **ret, struct aq_err *err)
{
	enum build_verdict was = b->verdict;
	int rc;

	if (b->is_personal || geteuid() != 0 || !hosts->n)
		return aq_credentials_parse("", "", ret, err);
	/* a word in a file of the administrator's is no verdict */
	b->verdict = BUILD_NOT_KEPT;
	rc = aq_credentials_load(b->conf, ret, err);
	if (!rc)
		b->verdict = was;
	return rc;
}

/* Of a node's build: a cache of one's own has no cage to keep it in. */
static bool has_proxy_secret(const struct build *b)
{
	return !b->is_personal && geteuid() == 0 &&
	       aq_url_has_secret(b->conf->proxy);
}

bool secrets_are_wanted(struct build *b, enum secrets_of of)
{
	cleanup_credentials struct aq_credentials *all = NULL;
	cleanup_strv struct aq_strv hosts = AQ_STRV_INIT(HOSTS_MAX);

	if (has_proxy_secret(b))
		return true;
	if (find_hosts(b, of, &hosts, NULL) != 0 ||
	    load(b, &hosts, &all, NULL) != 0)
		return true; /* run() says so */
	for (size_t i = 0; i < hosts.n; i++)
		if (aq_credentials_find(all, hosts.v[i]))
			return true;
	return false;
}

/* -- as the program reads them -- */

static int refuse(struct build *b, const struct secrets *s, const char *host,
		  bool is_token, struct aq_err *err)
{
	const char *file = b->conf->credentials;

	b->verdict = BUILD_NOT_KEPT;
	if (s->of == SECRETS_OF_WHEELS && is_token && s->how != SECRETS_NONE)
		return aq_fail(err, AQ_SYS,
			       "'%s' has a token for '%s', and uv sends none: tell the administrator to write a login and a password there",
			       file, host);
	if (s->of == SECRETS_OF_WHEELS)
		return aq_fail(err, AQ_SYS,
			       "'%s' has credentials for '%s', and what installs with an environment's own interpreter gets none, since that runs what packages bring: tell the administrator to install uv, and to add a base of this Python (aq base add)",
			       file, host);
	return aq_fail(err, AQ_SYS,
		       "'%s' has credentials for '%s' that this conda client %s: tell the administrator to write 'client = aq-rattler' to aq.conf",
		       file, host,
		       is_token && s->how != SECRETS_NONE ?
			       "cannot send, a token" :
			       "does not get, since it runs packages' link scripts");
}

static int add(struct build *b, struct secrets *s,
	       const struct aq_credential *c, const char *host,
	       struct aq_err *err)
{
	if (s->how == SECRETS_NONE || (!c->login && s->how == SECRETS_NETRC))
		return refuse(b, s, host, !c->login, err);
	if (s->how == SECRETS_NETRC) {
		aq_credential_netrc(c, &s->file);
	} else {
		aq_str_add(&s->file, s->given.n ? ",\n" : "{\n");
		aq_credential_rattler(c, &s->file);
	}
	aq_strv_add(&s->given, host);
	return 0;
}

/* A proxy's URL is in the environment: clients take it in no other way. */
static void know_proxy(const struct build *b, struct aq_strv *known)
{
	const char *at = strstr(b->conf->proxy, "://"), *end, *password;

	if (!at)
		return;
	end = at + 3 + aq_url_userinfo(at + 3, strlen(at + 3));
	password = memchr(at + 3, ':', (size_t)(end - at - 3));
	if (password && end - password > AQ_SECRET_MIN)
		aq_strv_add_mem(known, password + 1,
				(size_t)(end - password - 1));
}

int secrets_take(struct build *b, struct command *cmd, struct aq_err *err)
{
	cleanup_credentials struct aq_credentials *all = NULL;
	struct secrets *s = &cmd->secrets;
	int rc;

	s->file.max = FILE_MAX;
	s->known.max = 8 * HOSTS_MAX;
	know_proxy(b, &s->known);
	if (s->of == SECRETS_OF_NOTHING)
		return 0;
	rc = find_hosts(b, s->of, &s->hosts, err);
	if (!rc)
		rc = load(b, &s->hosts, &all, err);
	for (size_t i = 0; !rc && i < s->hosts.n; i++) {
		const struct aq_credential *c =
			aq_credentials_find(all, s->hosts.v[i]);

		if (c)
			rc = add(b, s, c, s->hosts.v[i], err);
	}
	/* what another program could print is kept out of logs as well */
	for (size_t i = 0; !rc && i < all->n; i++)
		aq_credential_forms(&all->v[i], &s->known);
	s->is_alone = s->given.n ||
		      (s->how != SECRETS_NONE && has_proxy_secret(b));
	if (rc || !s->given.n)
		return rc;
	if (s->how == SECRETS_RATTLER)
		aq_str_add(&s->file, "\n}\n");
	aq_strv_add_fmt(&cmd->env, "%s=%s/secrets/%s",
			s->how == SECRETS_NETRC ? "NETRC" : "RATTLER_AUTH_FILE",
			b->inside, file_names[s->how]);
	rc = aq_strv_done(&s->known, "credentials", err);
	return rc ? rc : aq_str_done(&s->file, "credentials", err);
}

/* -- in the program's own mount namespace -- */

/* But for the interpreter that uv asks, a base's without its packages (bare.c). */
static bool forbid_execution(const struct build *b, enum secrets_of of)
{
	const unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID |
				    MS_NODEV | MS_NOEXEC;

	for (size_t i = 0; of != SECRETS_OF_WHEELS && i < ARRAY_LEN(b->shown);
	     i++) {
		char path[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8];

		snprintf(path, sizeof(path), "%s/envs/%s", b->inside,
			 b->shown[i]);
		if (b->shown[i][0] &&
		    mount(NULL, path, NULL, flags | MS_RDONLY, NULL) != 0)
			return false;
	}
	return mount(NULL, b->inside, NULL, flags, NULL) == 0;
}

static bool write_file(const struct build *b, const struct secrets *s, int dir)
{
	cleanup_close int fd = openat(dir, file_names[s->how],
				      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
					      O_CLOEXEC, 0400);

	return fd >= 0 && fchown(fd, b->builder.uid, b->builder.gid) == 0 &&
	       aq_write_all(fd, s->file.s, s->file.len, NULL) == 0;
}

bool secrets_place(const struct build *b, const struct secrets *s)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char path[BUILD_PATH_MAX + 16];
	cleanup_close int dir = -1;

	if (!s->is_alone)
		return true;
	if (!forbid_execution(b, s->of))
		return false;
	if (!s->given.n)
		return true;
	/* root's own, in a directory of root's (cage.c); not tmpfs, which swaps */
	snprintf(path, sizeof(path), "%s/secrets", b->inside);
	if (mount("aq-secrets", path, "ramfs", flags, "mode=0711") != 0)
		return false;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir >= 0 && write_file(b, s, dir) &&
	       mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags,
		     NULL) == 0;
}

/* -- what a server said of them -- */

static bool has_word(const char *line, size_t len)
{
	static const char *const words[] = { "unauthorized", "forbidden",
					     "authenti",     "status",
					     "error",	     "code" };
	char text[1024];

	snprintf(text, sizeof(text), "%.*s", (int)len, line);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

/* Whether 'status' stands in the line by itself: a port may have its digits, too. */
static bool has_status(const char *line, size_t len, const char *status)
{
	const char *at = line;

	while ((at = memmem(at, len - (size_t)(at - line), status, strlen(status)))) {
		if (at > line && strchr(" ([:=", at[-1]) &&
		    strchr(" )],.:\"\r\n", at[strlen(status)]))
			return true;
		at++;
	}
	return false;
}

/* A line that says that a server answered 'status', or NULL. */
static const char *find_status(const char *text, const char *status)
{
	for (; *text; text = aq_next_line(text)) {
		size_t len = strcspn(text, "\n");

		if (has_status(text, len, status) && has_word(text, len))
			return text;
	}
	return NULL;
}

/* The host that the line is about; without one in it the text's first. */
static const char *find_host(const struct secrets *s, const char *line,
			     const char *text)
{
	cleanup_free char *copy = strndup(line, strcspn(line, "\n"));
	const char *const places[] = { copy ? copy : "", text };

	for (size_t p = 0; p < ARRAY_LEN(places); p++)
		for (size_t i = 0; i < s->hosts.n; i++)
			if (strcasestr(places[p], s->hosts.v[i]))
				return s->hosts.v[i];
	return s->hosts.v[0];
}

static int fail_refused(struct build *b, const struct secrets *s,
			const char *host, struct aq_err *err)
{
	const char *file = b->conf->credentials;

	b->verdict = BUILD_FAULT;
	if (b->is_personal)
		return aq_fail(err, AQ_SYS,
			       "'%s' wants credentials, which only the builds of nodes have",
			       host);
	if (b->is_private)
		return aq_fail(err, AQ_SYS,
			       "'%s' wants credentials, which only builds have that everybody shares: ask for what needs them without a repository, a local file or a source",
			       host);
	if (aq_strv_has(&s->given, host))
		return aq_fail(err, AQ_SYS,
			       "'%s' refuses the credentials that '%s' has for it: tell the administrator, whom 'aq doctor' tells more",
			       host, file);
	if (*file)
		return aq_fail(err, AQ_SYS,
			       "'%s' wants credentials, and '%s' has none for it: tell the administrator to add 'machine %s login ... password ...'",
			       host, file, host);
	return aq_fail(err, AQ_SYS,
		       "'%s' wants credentials: tell the administrator to write them to a file and name that in aq.conf as 'credentials'",
		       host);
}

int secrets_judge(struct build *b, const struct command *cmd,
		  struct aq_err *err)
{
	const struct secrets *s = &cmd->secrets;
	/* the mambas and conda say what is wrong in JSON */
	const char *json = cmd->output ? aq_str_get(cmd->output) : "";
	const char *const texts[] = { aq_str_get(&cmd->errors),
				      *json == '{' ? json : "" };

	if (!s->hosts.n)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *line = find_status(texts[i], "401");

		if (line)
			return fail_refused(b, s, find_host(s, line, texts[i]),
					    err);
		/* without credentials it is what some say of what is not there */
		line = find_status(texts[i], "403");
		if (line && aq_strv_has(&s->given, find_host(s, line, texts[i])))
			return fail_refused(b, s, find_host(s, line, texts[i]),
					    err);
	}
	return 0;
}
