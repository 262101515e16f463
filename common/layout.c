/* SPDX-License-Identifier: Apache-2.0 */
#include "common/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/private.h"
#include "common/trust.h"

#define PATH_SIZE 1024

struct subdir {
	const char *name;
	mode_t mode;
};

static const struct subdir cache_dirs[] = {
	{ "envs", 0755 },  { "meta", 0700 }, { "work", 0711 },
	{ "trash", 0700 }, { "logs", 0755 }, { "private", 0711 },
};
static const struct subdir run_dirs[] = {
	{ "leases", 0700 },
	{ "locks", 0700 },
	{ "jobs", 0700 },
	{ "hits", 0700 },
	{ "queue", 0700 },
};
static const struct subdir public_dirs[] = {
	{ "builds", 0755 },
	{ "workflows", 0755 },
};

/* Make 'path' and what is missing above it (0755), 'path' itself with 'mode'. */
static int make_path(const char *path, mode_t mode, int *ret_fd,
		     struct aq_err *err)
{
	cleanup_free char *copy = strdup(path);
	char *slash;
	int rc;

	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory");
	for (slash = strchr(copy + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) == 0) {
			if (chmod(copy, 0755) < 0)
				return aq_fail_errno(err, "cannot set the mode of '%s'",
						     copy);
		} else if (errno != EEXIST) {
			return aq_fail_errno(err, "cannot make directory '%s'",
					     copy);
		}
		*slash = '/';
	}
	rc = aq_make_dir(AT_FDCWD, path, mode, err);
	if (!rc && geteuid() == 0) /* one's own cache is where one wants it */
		rc = aq_trust_path(path, err);
	return rc ? rc : aq_open_dir(AT_FDCWD, path, ret_fd, err);
}

/* A directory and what is below it. */
struct place {
	const char *path;
	mode_t mode;
	const struct subdir *dirs;
	size_t n;
};
#define N_PLACES 3

static void list_places(const struct aq_conf *conf, struct place ret[N_PLACES])
{
	bool is_private = conf->domain.kind == AQ_PRIVATE;
	mode_t mode = is_private ? 0750 : 0755;
	const struct place places[N_PLACES] = {
		/* a private one has none below it, the last */
		{ conf->cache_dir, mode, cache_dirs,
		  ARRAY_LEN(cache_dirs) - is_private },
		{ conf->run_dir, 0700, run_dirs, ARRAY_LEN(run_dirs) },
		{ conf->public_dir, mode, public_dirs, ARRAY_LEN(public_dirs) },
	};

	memcpy(ret, places, sizeof(places));
}

static int make_all(const struct place *p, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = make_path(p->path, p->mode, &fd, err);

	for (size_t i = 0; !rc && i < p->n; i++) {
		rc = aq_make_dir(fd, p->dirs[i].name, p->dirs[i].mode, err);
		if (rc)
			return aq_fail_prefix(err, "'%s'", p->path);
	}
	return rc;
}

int aq_layout_prepare(const struct aq_conf *conf, struct aq_err *err)
{
	struct place places[N_PLACES];
	int rc = conf->site ? aq_layout_prepare(conf->site, err) : 0;

	list_places(conf, places);
	for (size_t i = 0; !rc && i < N_PLACES; i++)
		rc = make_all(&places[i], err);
	return rc || !conf->site ? rc : aq_private_settle(conf, err);
}

bool aq_layout_is_trusted(const struct aq_conf *conf)
{
	return geteuid() != 0 || aq_trust_path(conf->run_dir, NULL) == 0;
}

int aq_layout_flush(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &fd, err);

	if (!rc && syncfs(fd) < 0)
		rc = aq_fail_errno(err, "cannot flush '%s'", conf->cache_dir);
	return rc;
}

void aq_layout_each(const struct aq_conf *conf,
		    void (*fn)(const char *path, mode_t mode, void *arg),
		    void *arg)
{
	struct place places[N_PLACES];
	char path[PATH_SIZE];

	list_places(conf, places);
	for (size_t i = 0; i < N_PLACES; i++) {
		const struct place *p = &places[i];

		fn(p->path, p->mode, arg);
		for (size_t j = 0; j < p->n; j++) {
			snprintf(path, sizeof(path), "%s/%s", p->path,
				 p->dirs[j].name);
			fn(path, p->dirs[j].mode, arg);
		}
	}
}
