/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: the file of credentials, and whether the places that want them let us
 * in.  No secret is printed, and none is on a command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/clients.h"
#include "cli/doctor.h"
#include "cli/program.h"
#include "common/credentials.h"
#include "common/url.h"

#define PATH_SIZE 4096
#define ANSWER_MAX 64
#define CONFIG_MAX (16 * 1024)
#define ASK_SECONDS "5" /* of one place, with and without */

struct place {
	const char *what; /* "channel", or the key in aq.conf */
	const char *name;
	const char *url;
	const char *page; /* below it: something that is there for clients */
	enum secrets_how how;
	char host[AQ_HOST_SIZE];
};

struct look {
	struct doctor *d;
	const struct aq_credentials *all;
	bool *are_used;
	bool is_curl_missing;
};

/* -- asking -- */

/* A value of curl's configuration (curl(1), --config). */
static void add_value(struct aq_str *out, const char *name, const char *value)
{
	aq_str_add_fmt(out, "%s = \"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			aq_str_add_char(out, '\\');
		aq_str_add_char(out, *value);
	}
	aq_str_add(out, "\"\n");
}

static void add_secret(struct aq_str *out, const struct aq_credential *c)
{
	char text[2 * AQ_SECRET_MAX + 64];

	if (!c)
		return;
	snprintf(text, sizeof(text), c->login ? "%s:%s" : "%sAuthorization: Bearer %s",
		 c->login ? c->login : "", c->secret);
	add_value(out, c->login ? "user" : "header", text);
	explicit_bzero(text, sizeof(text));
}

/* The status of HTTP; 0: there is none. */
static unsigned int ask(struct look *l, const struct place *p,
			const struct aq_credential *c)
{
	static const char *const argv[] = { "curl", "--disable", "--silent",
					    "--head", "--globoff", "--max-time",
					    ASK_SECONDS, "--output", "/dev/null",
					    "--write-out", "%{http_code}",
					    "--config", "-", NULL };
	const struct aq_conf *conf = l->d->conf;
	cleanup_str struct aq_str config = AQ_STR_INIT(CONFIG_MAX);
	cleanup_str struct aq_str out = AQ_STR_INIT(ANSWER_MAX);
	char url[PATH_SIZE];
	struct aq_err err;

	snprintf(url, sizeof(url), "%s/%s", p->url, p->page);
	add_value(&config, "url", url);
	/* as builds go: by aq.conf, not by an environment */
	add_value(&config, *conf->proxy ? "proxy" : "noproxy",
		  *conf->proxy ? conf->proxy : "*");
	if (*conf->ca_bundle)
		add_value(&config, "cacert", conf->ca_bundle);
	add_secret(&config, c);
	if (config.broken)
		return 0;
	if (program_run_fed(argv, conf->builder_user, config.s, DOCTOR_LIMIT_MS,
			    &out, &err) != 0)
		l->is_curl_missing |= strstr(err.text, "is not there") != NULL;
	explicit_bzero(config.s, config.len);
	return (unsigned int)strtoul(aq_str_get(&out), NULL, 10);
}

static bool is_refusal(unsigned int status)
{
	return status == 401 || status == 403;
}

/* -- a place -- */

static void judge_without(struct look *l, const struct place *p)
{
	const char *file = l->d->conf->credentials;
	char remedy[2 * AQ_HOST_SIZE + PATH_SIZE];
	unsigned int status = ask(l, p, NULL);

	if (status != 401)
		return;
	snprintf(remedy, sizeof(remedy),
		 "write 'machine %s login USER password SECRET' to %s%s", p->host,
		 *file ? file : "a file of root's with mode 0600",
		 *file ? "" : ", and its name to aq.conf as 'credentials'");
	doctor_say(l->d, DOCTOR_ERROR, remedy,
		   "%s '%s': '%s' wants credentials (HTTP 401), and there are none for it",
		   p->what, p->name, p->host);
}

static void judge_with(struct look *l, const struct place *p,
		       const struct aq_credential *c)
{
	const char *file = l->d->conf->credentials;
	unsigned int with = ask(l, p, c), without;
	char remedy[PATH_SIZE + 64];

	if (!with) /* the checks of channels and pip say why */
		return;
	snprintf(remedy, sizeof(remedy), "mend line %u of %s", c->line, file);
	if (is_refusal(with)) {
		doctor_say(l->d, DOCTOR_ERROR, remedy,
			   "%s '%s': '%s' refuses its credentials (HTTP %u)",
			   p->what, p->name, p->host, with);
		return;
	}
	without = ask(l, p, NULL);
	if (with == without)
		doctor_say(l->d, DOCTOR_WARNING,
			   "remove its entry, unless other pages of it want it",
			   "%s '%s': '%s' answers the same without its credentials (HTTP %u)",
			   p->what, p->name, p->host, with);
	else
		doctor_say(l->d, DOCTOR_OK, NULL,
			   "%s '%s': '%s' takes its credentials (HTTP %u, without %u)",
			   p->what, p->name, p->host, with, without);
}

/* Whether the program that fetches there can be given the entry. */
static bool can_be_given(struct look *l, const struct place *p,
			 const struct aq_credential *c)
{
	bool is_wheels = strcmp(p->what, "channel") != 0;

	if (p->how == SECRETS_RATTLER || (p->how == SECRETS_NETRC && c->login))
		return true;
	doctor_say(l->d, DOCTOR_ERROR,
		   p->how == SECRETS_NETRC && is_wheels ?
			   "give it a login and a password" :
		   is_wheels ? "install uv" :
			       "write 'client = aq-rattler' to aq.conf",
		   "%s '%s': its client cannot be given %s", p->what, p->name,
		   p->how == SECRETS_NETRC ? "a token" :
					     "credentials: it runs what packages bring");
	return false;
}

static void check_place(struct look *l, struct place *p)
{
	const struct aq_credential *c;
	char port[8];

	if (!aq_url_host(p->url, p->host, sizeof(p->host), port))
		return;
	c = aq_credentials_find(l->all, p->host);
	if (!c) {
		judge_without(l, p);
		return;
	}
	l->are_used[c - l->all->v] = true;
	if (aq_starts_with(p->url, "http:") && !aq_starts_with(p->host, "127.") &&
	    strcmp(p->host, "localhost") != 0)
		doctor_say(l->d, DOCTOR_WARNING, "write https://",
			   "%s '%s': its credentials go over the network as they are",
			   p->what, p->name);
	if (can_be_given(l, p, c))
		judge_with(l, p, c);
}

/* -- all of them -- */

static void check_places(struct look *l)
{
	const struct aq_conf *conf = l->d->conf;
	const char *client = "";
	char program[PATH_SIZE];
	enum secrets_how how = client_takes(
		client_choose_pip(conf->pip_client, program, sizeof(program),
				  NULL) == 0 ? "uv" : "pip");

	/* a client that is missing is the finding of another check */
	if (client_choose(conf->client, &client, program, sizeof(program),
			  NULL) != 0)
		client = "aq-rattler";
	for (size_t i = 0; i < conf->n_channels; i++)
		check_place(l, &(struct place){ .what = "channel",
						.name = conf->channels[i].name,
						.url = conf->channels[i].url,
						.page = "noarch/repodata.json",
						.how = client_takes(client) });
	check_place(l, &(struct place){ "pip_index", conf->pip_index,
					conf->pip_index, "", how, "" });
	for (size_t i = 0; i < conf->find_links.n; i++)
		check_place(l, &(struct place){ "find_links",
						conf->find_links.v[i],
						conf->find_links.v[i], "", how,
						"" });
}

static void list_unused(struct look *l)
{
	for (size_t i = 0; i < l->all->n; i++)
		if (!l->are_used[i])
			doctor_say(l->d, DOCTOR_WARNING,
				   "remove it, or mend the host's name",
				   "%s:%u: no channel, pip_index or find_links lies on '%s'",
				   l->d->conf->credentials, l->all->v[i].line,
				   l->all->v[i].host);
}

void doctor_credentials(struct doctor *d)
{
	cleanup_credentials struct aq_credentials *all = NULL;
	cleanup_free bool *are_used = NULL;
	struct look l = { .d = d };
	struct aq_err err = { 0 };

	if (aq_credentials_load(d->conf, &all, &err) != 0) {
		doctor_say(d, DOCTOR_ERROR,
			   "mend it, see CREDENTIALS in aq.conf(5): until then builds that fetch over the network fail",
			   "%s", err.text);
		return;
	}
	are_used = calloc(all->n + 1, sizeof(*are_used));
	if (!are_used)
		return;
	l.all = all;
	l.are_used = are_used;
	if (*d->conf->credentials)
		doctor_say(d, DOCTOR_OK, NULL, "'%s' is root's alone, with %zu hosts",
			   d->conf->credentials, all->n);
	check_places(&l);
	list_unused(&l);
	if (l.is_curl_missing && all->n)
		doctor_say(d, DOCTOR_WARNING, "install curl",
			   "whether servers take their credentials is not known: there is no curl");
}
