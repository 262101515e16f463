/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared_judge.h"

#include <stdlib.h>
#include <string.h>

#include "common/dist_info.h"
#include "common/key.h"
#include "common/pep508.h"
#include "common/sources.h"
#include "common/url.h"

/* Indexes whose files lie on another host. */
static const struct {
	const char *index, *files;
} hosts[] = {
	{ "pypi.org", "files.pythonhosted.org" },
};

struct judging {
	const struct aq_conf *conf;
	const struct aq_request *req;
	const struct aq_host *host;
	const struct aq_strv *channels;
	const struct aq_lock *lock, *base; /* of this node's base; or NULL */
};

/* Characters: what of a name of conda's may be a part of pip's for the same package. */
#define PART_LEAST 3

static int refuse(const char *what, const struct aq_lock_item *item,
		  struct aq_err *err)
{
	return aq_fail(err, AQ_USER, "package '%s' %s", item->name, what);
}

/* What is not known to be here is not. */
static int check_need(const struct judging *j, const char *need,
		      struct aq_err *err)
{
	struct aq_err why = { 0 };

	return aq_host_has(j->host, need, &why) ?
		aq_fail(err, AQ_USER, "%s", why.text) : 0;
}

/* -- conda -- */

/* Whether it may be decoded to a path that leads elsewhere. */
static bool is_crooked(const char *path)
{
	return strpbrk(path, "?#") || strcasestr(path, "%2f") ||
	       strcasestr(path, "%2e") || strstr(path, "/.");
}

/* "/SUBDIR/FILE" */
static bool is_channel_path(const char *path)
{
	char subdir[64];
	size_t len = strcspn(path + 1, "/");

	return aq_copy_mem(subdir, sizeof(subdir), path + 1, len) &&
	       (strcmp(subdir, "noarch") == 0 ||
		strcmp(subdir, aq_platform_subdir()) == 0) &&
	       path[1 + len] && path[2 + len] && !strchr(path + 2 + len, '/') &&
	       !is_crooked(path);
}

static bool is_of_channels(const struct aq_strv *channels, const char *url)
{
	for (size_t i = 0; i < channels->n; i++) {
		const char *rest = aq_path_in(url, channels->v[i]);

		if (rest && *rest && is_channel_path(rest))
			return true;
	}
	return false;
}

static int check_spec(const struct judging *j, const char *text,
		      struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	const struct aq_lock_item *item;
	bool is_from = false;
	int rc = aq_matchspec_parse(text, &spec, err);

	/* a pattern is no name */
	if (rc || strchr(spec.name, '*'))
		return rc;
	if (aq_starts_with(spec.name, "__"))
		return check_need(j, text, err);
	item = aq_lock_find(j->lock, AQ_LOCK_CONDA, spec.name);
	if (!item)
		return aq_fail(err, AQ_USER, "it lacks '%s'", text);
	if (aq_sources_match(j->conf, j->channels, &spec, item, &is_from) ==
		    AQ_MATCH_NO || !is_from)
		return aq_fail(err, AQ_USER, "'%s' is asked for, it has %s %s from '%s'",
			       text, item->version, item->build, item->url);
	return 0;
}

static int check_specs(const struct judging *j, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < j->req->conda.n; i++)
		rc = check_spec(j, j->req->conda.v[i], err);
	return rc;
}

static int check_virtuals(const struct judging *j, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < j->lock->virtuals.n; i++)
		rc = check_need(j, j->lock->virtuals.v[i], err);
	return rc;
}

/* -- wheels -- */

static bool is_same_host(const char *place, const char *url)
{
	char host[AQ_HOST_SIZE], other[AQ_HOST_SIZE], port[8], other_port[8];

	if (!aq_url_host(place, host, sizeof(host), port) ||
	    !aq_url_host(url, other, sizeof(other), other_port) ||
	    strcmp(port, other_port) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (strcmp(host, hosts[i].index) == 0 &&
		    strcmp(other, hosts[i].files) == 0)
			return true;
	return strcmp(host, other) == 0;
}

/* A file below the directory 'dir', a path or a file URL of it. */
static bool is_file_below(const char *dir, const char *url)
{
	const char *rest;

	if (!aq_starts_with(url, "file://"))
		return false;
	url += strlen("file://");
	if (aq_starts_with(dir, "file://"))
		dir += strlen("file://");
	rest = aq_path_in(url, dir);
	return rest && *rest && !is_crooked(rest);
}

static bool is_of_index(const struct aq_conf *conf, const char *url)
{
	if (is_same_host(conf->pip_index, url) ||
	    is_file_below(conf->pip_index, url))
		return true;
	for (size_t i = 0; i < conf->find_links.n; i++)
		if (is_same_host(conf->find_links.v[i], url) ||
		    is_file_below(conf->find_links.v[i], url))
			return true;
	return false;
}

/* conda may call it otherwise: pytorch is torch, and matplotlib-base matplotlib. */
static bool may_have(const struct aq_lock *lock, const char *name)
{
	if (aq_dist_info_wheel(lock, name, strlen(name)))
		return true;
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind == AQ_LOCK_CONDA &&
		    (strstr(item->name, name) ||
		     (strlen(item->name) >= PART_LEAST && strstr(name, item->name))))
			return true;
	}
	return false;
}

/* Whether pip could have meant it: what is not sure may be. */
static bool is_version(const char *versions, const char *version)
{
	cleanup_free char *public = strdup(version);

	if (!public || strstr(versions, "==="))
		return true;
	if (!strchr(versions, '+')) /* PEP 440: then any local version is meant */
		public[strcspn(public, "+")] = '\0';
	return !*versions || aq_vspec_matches(versions, public) != AQ_MATCH_NO;
}

static int check_pip(const struct judging *j, const char *text, bool is_wanted,
		     struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	const struct aq_lock_item *wheel;
	int rc = aq_requirement_parse(text, &r, err);

	/* whether a marker is true, and what a URL's file is, a resolver knows */
	if (rc || r.marker || r.url)
		return rc;
	wheel = aq_dist_info_wheel(j->lock, r.name, strlen(r.name));
	if (wheel && !is_version(r.versions, wheel->version))
		return aq_fail(err, AQ_USER, "'%s' is asked for, it has the wheel of %s",
			       text, wheel->version);
	if (is_wanted && !may_have(j->lock, r.name) &&
	    !(j->base && may_have(j->base, r.name)))
		return aq_fail(err, AQ_USER, "it lacks '%s'", text);
	return 0;
}

static int check_pips(const struct judging *j, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < j->req->pip.n; i++)
		rc = check_pip(j, j->req->pip.v[i], true, err);
	for (size_t i = 0; !rc && i < j->req->constraints.n; i++)
		rc = check_pip(j, j->req->constraints.v[i], false, err);
	return rc;
}

/* -- all -- */

static int check_item(const struct aq_conf *conf,
		      const struct aq_strv *channels,
		      const struct aq_lock_item *item, struct aq_err *err)
{
	switch (item->kind) {
	case AQ_LOCK_CONDA:
		return is_of_channels(channels, item->url) ?
			0 : refuse("is from no channel of the request", item, err);
	case AQ_LOCK_WHEEL:
		return is_of_index(conf, item->url) ?
			0 : refuse("is neither from the host of 'pip_index' nor from 'find_links'",
				   item, err);
	case AQ_LOCK_SOURCE:
	case AQ_LOCK_VCS:
		break;
	}
	return refuse("would be built from its source", item, err);
}

static int check_head(const struct aq_request *req, const struct aq_lock *base,
		      const struct aq_lock *lock, struct aq_err *err)
{
	if (strcmp(lock->platform, aq_platform_subdir()) != 0)
		return aq_fail(err, AQ_USER, "it is for '%s'", lock->platform);
	if (lock->base[0] && (!base || strcmp(lock->base, base->digest) != 0))
		return aq_fail(err, AQ_USER, "it inherits from what is no base here");
	if (req->python && (!lock->python ||
			    aq_vspec_matches(req->python, lock->python) ==
				    AQ_MATCH_NO))
		return aq_fail(err, AQ_USER, "python %s is asked for, it has %s",
			       req->python, lock->python ? lock->python : "none");
	return 0;
}

int shared_judge(const struct aq_conf *conf, const struct aq_request *req,
		 const struct aq_host *host, const struct aq_lock *base,
		 const struct aq_lock *lock, struct aq_err *err)
{
	cleanup_strv struct aq_strv channels = AQ_STRV_INIT(4096);
	const struct judging j = { conf, req, host, &channels, lock,
				   lock->base[0] ? base : NULL };
	int rc = check_head(req, base, lock, err);

	if (!rc)
		rc = aq_sources_channels(req, conf, &channels, err);
	for (size_t i = 0; !rc && i < lock->n_items; i++)
		rc = check_item(conf, &channels, &lock->items[i], err);
	if (!rc && !lock->base[0])
		rc = check_specs(&j, err);
	if (!rc)
		rc = check_pips(&j, err);
	return rc ? rc : check_virtuals(&j, err);
}
