/* SPDX-License-Identifier: Apache-2.0 */
#include "common/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"

struct subdir {
	const char *name;
	mode_t mode;
};

static const struct subdir cache_dirs[] = {
	{ "envs", 0755 }, { "meta", 0700 },  { "work", 0711 },
	{ "private", 0711 }, { "trash", 0700 }, { "logs", 0755 },
};
static const struct subdir run_dirs[] = {
	{ "leases", 0700 },
	{ "locks", 0700 },
	{ "jobs", 0700 },
};
static const struct subdir public_dirs[] = {
	{ "builds", 0755 },
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
	return rc ? rc : aq_open_dir(AT_FDCWD, path, ret_fd, err);
}

static int make_all(const char *path, mode_t mode, const struct subdir *dirs,
		    size_t n, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = make_path(path, mode, &fd, err);

	for (size_t i = 0; !rc && i < n; i++) {
		rc = aq_make_dir(fd, dirs[i].name, dirs[i].mode, err);
		if (rc)
			return aq_fail_prefix(err, "'%s'", path);
	}
	return rc;
}

int aq_layout_prepare(const struct aq_conf *conf, struct aq_err *err)
{
	int rc = make_all(conf->cache_dir, 0755, cache_dirs,
			  ARRAY_LEN(cache_dirs), err);

	if (!rc)
		rc = make_all(conf->run_dir, 0700, run_dirs,
			      ARRAY_LEN(run_dirs), err);
	if (!rc)
		rc = make_all(conf->public_dir, 0755, public_dirs,
			      ARRAY_LEN(public_dirs), err);
	return rc;
}
