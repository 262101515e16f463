/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: clients, and where packages come from. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "builder/clients.h"
#include "builder/identity.h"
#include "cli/doctor.h"
#include "cli/doctor_parse.h"
#include "cli/program.h"
#include "common/key.h"
#include "common/url.h"
#include "common/worker.h"

#define PATH_SIZE 4096
#define VERSION_MAX 4096 /* bytes of what --version prints */

/* -- clients -- */

/* Versions before these let a package write outside of where it is installed:
 * as builder_user, who owns the package caches that all users share.  micromamba
 * and mamba: none is known.  rattler's own command does not tell which version of
 * its library (CVE-2026-47425: 0.43.2) it has.
 */
static const struct floor {
	const char *name, *version, *why;
} floors[] = {
	/* GHSA-4gg8-gxpx-9rph: names of entry points */
	{ "uv", "0.11.15", "GHSA-4gg8-gxpx-9rph" },
	/* the same of conda packages; with it GHSA-q53q-5r4j-5729: build strings
	 * as paths of the package cache
	 */
	{ "aq-rattler", "0.24.0", "CVE-2026-53956, CVE-2026-47425" },
	/* names of entry points, too */
	{ "conda", "26.5.2", "CVE-2026-53940" },
};

/* 'besides': what else there is to say of it. */
static void check_version(struct doctor *d, const char *name,
			  const char *program, const char *besides)
{
	const char *const argv[] = { program, "--version", NULL };
	cleanup_str struct aq_str out = AQ_STR_INIT(VERSION_MAX);
	char version[64], remedy[128];
	struct aq_err err = { 0 };

	if (program_run(argv, d->conf->builder_user, DOCTOR_LIMIT_MS, &out,
			&err) != 0 ||
	    !parse_version(aq_str_get(&out), version, sizeof(version))) {
		doctor_say(d, DOCTOR_ERROR,
			   "see that builder_user can run it, and every directory above it can be passed",
			   "'%s --version' says nothing%s%s", program,
			   err.text[0] ? ": " : "", err.text);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(floors); i++) {
		const struct floor *f = &floors[i];

		if (strcmp(f->name, name) != 0 ||
		    compare_versions(version, f->version) >= 0)
			continue;
		snprintf(remedy, sizeof(remedy), "install %s or newer",
			 f->version);
		doctor_say(d, DOCTOR_WARNING, remedy,
			   "%s %s (%s): a package can write outside of its environment (%s)",
			   name, version, program, f->why);
		return;
	}
	doctor_say(d, DOCTOR_OK, NULL, "%s %s (%s)%s", name, version, program,
		   besides);
}

void doctor_client(struct doctor *d)
{
	const char *name = NULL;
	char program[PATH_SIZE];
	struct aq_err err = { 0 };

	if (client_choose(d->conf->client, &name, program, sizeof(program),
			  &err) == 0)
		check_version(d, name, program,
			      client_is_alone(name) ?
				      "; it links what it fetches before that can be looked at, so environments share no packages: aq-rattler, micromamba and mamba do" :
				      "");
	else
		doctor_say(d, DOCTOR_ERROR,
			   "install micromamba or mamba in /usr/bin or /usr/local/bin, or py-rattler for the bundled client",
			   "%s", err.text);
}

/* -- reaching, as who builds -- */

struct target {
	const char *user; /* NULL: as we are */
	const char *path; /* a file or directory that must be readable; or */
	const char *host, *port;
};

static int connect_to(const char *host, const char *port, struct aq_err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(host, port, &hints, &found);

	if (rc)
		return aq_fail(err, AQ_SYS, "'%s': %s", host, gai_strerror(rc));
	rc = AQ_SYS;
	errno = EADDRNOTAVAIL;
	for (struct addrinfo *a = found; a && rc; a = a->ai_next) {
		cleanup_close int fd = socket(a->ai_family,
					      a->ai_socktype | SOCK_CLOEXEC,
					      a->ai_protocol);

		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			rc = 0;
	}
	freeaddrinfo(found);
	return rc ? aq_fail_errno(err, "'%s', port %s", host, port) : 0;
}

int doctor_become(const char *user, struct identity *ret, struct aq_err *err)
{
	int rc = identity_find(user, false, ret, err);

	if (!rc && !identity_become(ret))
		rc = aq_fail(err, AQ_SYS, "cannot become '%s'", user);
	return rc;
}

/* In a child, which changes its user. */
static int reach(void *arg, struct aq_err *err)
{
	const struct target *t = arg;
	struct identity who;
	int rc = t->user ? doctor_become(t->user, &who, err) : 0;

	if (rc)
		return rc;
	if (t->host)
		return connect_to(t->host, t->port, err);
	if (faccessat(AT_FDCWD, t->path, R_OK, AT_EACCESS) < 0)
		return aq_fail_errno(err, "'%s'", t->path);
	return 0;
}

static int try_reach(const struct doctor *d, struct target *t,
		     struct aq_err *err)
{
	t->user = d->is_root ? d->conf->builder_user : NULL;
	return aq_worker_run(reach, t, DOCTOR_LIMIT_MS, -1, err);
}

static int try_path(const struct doctor *d, const char *path,
		    struct aq_err *err)
{
	struct target t = { .path = path };

	return try_reach(d, &t, err);
}

/* The proxy's host where there is one: it goes on from there. */
static int try_host(const struct doctor *d, const char *url,
		    struct aq_err *err)
{
	char host[256], port[8];
	struct target t = { .host = host, .port = port };

	if (!aq_url_host(*d->conf->proxy ? d->conf->proxy : url, host,
			sizeof(host), port))
		return aq_fail(err, AQ_SYS, "'%s' has no host", url);
	return try_reach(d, &t, err);
}

/* A conda channel in a directory has an index for each platform. */
static int try_channel_dir(const struct doctor *d, const char *dir,
			   struct aq_err *err)
{
	static const char *const names[] = { "repodata.json.zst",
					     "repodata.json",
					     "repodata_shards.msgpack.zst" };
	const char *const subdirs[] = { aq_platform_subdir(), "noarch" };
	char path[PATH_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(subdirs); i++)
		for (size_t j = 0; j < ARRAY_LEN(names); j++) {
			snprintf(path, sizeof(path), "%s/%s/%s", dir,
				 subdirs[i], names[j]);
			if (try_path(d, path, err) == 0)
				return 0;
		}
	return aq_fail(err, AQ_SYS, "'%s' has no repodata.json for %s that can be read",
		       dir, subdirs[0]);
}

static const char *const file_url = "file://";

static void check_channel(struct doctor *d, const struct aq_channel *c)
{
	struct aq_err err = { 0 };
	bool is_file = aq_starts_with(c->url, file_url);

	if (is_file ? try_channel_dir(d, c->url + strlen(file_url), &err) :
		      try_host(d, c->url, &err))
		doctor_say(d, DOCTOR_ERROR,
			   is_file ?
				   "mount or copy it here, readable by builder_user, or mend its place in aq.conf" :
				   "see the network, 'proxy' and the channel's URL in aq.conf",
			   "channel '%s': %s", c->name, err.text);
	else
		doctor_say(d, DOCTOR_OK, NULL, "channel '%s': %s", c->name,
			   is_file	     ? "there, with its index" :
			   *d->conf->proxy ? "the proxy answers" :
					       "its host answers");
}

void doctor_channels(struct doctor *d)
{
	if (!d->conf->n_channels)
		doctor_say(d, DOCTOR_ERROR,
			   "write 'channels = conda-forge=https://...' into aq.conf",
			   "aq.conf names no channel: nothing can be built");
	for (size_t i = 0; i < d->conf->n_channels; i++)
		check_channel(d, &d->conf->channels[i]);
}

/* -- pip -- */

/* A directory, a file or a URL; 'key' is aq.conf's. */
static void check_source(struct doctor *d, const char *key, const char *what)
{
	struct aq_err err = { 0 };
	char host[256], port[8];
	int rc;

	if (aq_starts_with(what, file_url))
		rc = try_path(d, what + strlen(file_url), &err);
	else if (aq_url_host(what, host, sizeof(host), port))
		rc = try_host(d, what, &err);
	else
		rc = try_path(d, what, &err);
	if (rc)
		doctor_say(d, DOCTOR_ERROR,
			   "make it readable or reachable for builder_user, or mend it in aq.conf",
			   "%s: %s", key, err.text);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%s: '%s' answers", key, what);
}

/* What policy lets users have needs programs that nothing else does. */
static void check_policy(struct doctor *d, bool has_uv)
{
	const enum aq_policy *policy = d->conf->policy;
	char program[PATH_SIZE];
	bool is_any = false;

	for (size_t i = 0; i < AQ_INPUT_SCRIPT; i++)
		is_any |= policy[i] == AQ_POLICY_PRIVATE;
	if (is_any && !has_uv)
		doctor_say(d, DOCTOR_ERROR,
			   "install uv, and let pip_client have it; or write no 'policy'",
			   "policy: without uv no repository, local file or source is installed");
	if (policy[AQ_INPUT_VCS] == AQ_POLICY_PRIVATE &&
	    !client_find("git", program, sizeof(program)))
		doctor_say(d, DOCTOR_ERROR,
			   "install git, or write no 'vcs=private' into 'policy'",
			   "policy: without git no repository is installed");
	if (policy[AQ_INPUT_SCRIPT] == AQ_POLICY_PRIVATE &&
	    !client_find("bash", program, sizeof(program)))
		doctor_say(d, DOCTOR_ERROR,
			   "install bash, or write no 'script=private' into 'policy'",
			   "policy: without bash no link script runs");
}

void doctor_pip(struct doctor *d)
{
	const struct aq_conf *conf = d->conf;
	char program[PATH_SIZE];
	bool has_uv = client_choose_pip(conf->pip_client, program,
					sizeof(program), NULL) == 0;

	check_policy(d, has_uv);
	if (has_uv)
		check_version(d, "uv", program, "");
	else if (strcmp(conf->pip_client, "pip") == 0)
		doctor_say(d, DOCTOR_OK, NULL, "each environment's own pip installs wheels; before 26.1.2 it lets them write outside (CVE-2026-8643)");
	else
		doctor_say(d, DOCTOR_WARNING,
			   "install uv 0.11.15 or newer: it takes a tenth of the time",
			   "there is no uv ('pip_client = %s'): each environment's own pip is used",
			   conf->pip_client);
	if (!*conf->pip_index && !conf->find_links.n)
		doctor_say(d, DOCTOR_WARNING,
			   "set pip_index or find_links in aq.conf, or tell users that there is no pip",
			   "aq.conf has neither pip_index nor find_links: requests with pip requirements fail");
	if (*conf->pip_index)
		check_source(d, "pip_index", conf->pip_index);
	for (size_t i = 0; i < conf->find_links.n; i++)
		check_source(d, "find_links", conf->find_links.v[i]);
	if (*conf->ca_bundle)
		check_source(d, "ca_bundle", conf->ca_bundle);
}
