/* SPDX-License-Identifier: Apache-2.0 */
/* Where an environment is while it is built: work/envs/NAME, which is at its
 * final path in the cage, since conda's packages have it in their files.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/dialect.h"
#include "builder/inherit.h"
#include "builder/prefix.h"
#include "builder/seal.h"
#include "common/collect.h"
#include "common/io.h"

static void name_prefix(struct build *b, const char *name)
{
	snprintf(b->name, sizeof(b->name), "%s", name);
	snprintf(b->prefix, sizeof(b->prefix), "%s/envs/%s", b->conf->cache_dir,
		 name);
	snprintf(b->site, sizeof(b->site), "%s/envs/%s",
		 b->is_personal ? b->conf->cache_dir : b->work, name);
}

int prefix_drop(struct build *b, struct aq_err *err)
{
	return b->site[0] ? aq_remove_tree(AT_FDCWD, b->site, err) : 0;
}

/* All above it is root's; it lies in builder_user's directory. */
int prefix_open(const struct build *b, int *ret_fd, struct aq_err *err)
{
	cleanup_close int fd = -1;
	char path[sizeof(b->name) + 16];
	int rc = aq_open_dir(AT_FDCWD, b->conf->cache_dir, &fd, err);

	snprintf(path, sizeof(path), "%s/%s",
		 strcmp(b->site, b->prefix) == 0 ? "envs" : "work/envs", b->name);
	return rc ? rc : aq_open_below(fd, path, ret_fd, err);
}

static int make_empty(struct build *b, const char *name, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc;

	name_prefix(b, name);
	rc = prefix_drop(b, err);
	if (rc)
		return rc;
	if (mkdir(b->site, 0755) < 0)
		return aq_fail_errno(err, "cannot make '%s'", b->site);
	/* builder_user may put something else there meanwhile */
	rc = aq_open_dir(AT_FDCWD, b->site, &fd, err);
	if (!rc && (fchmod(fd, 0755) < 0 ||
		    fchown(fd, b->builder.uid, b->builder.gid) < 0))
		rc = aq_fail_errno(err, "cannot give '%s' away", b->site);
	return rc;
}

int prefix_start(struct build *b, const char *name, struct aq_err *err)
{
	int rc = make_empty(b, name, err);

	if (rc)
		return rc;
	return b->kind == AQ_ENV_INHERITED ? layer_start(b, err) :
					     client_link(b, err);
}

int prefix_try(struct build *b, int (*fn)(struct build *b, void *arg,
					  struct aq_err *err),
	       void *arg, struct aq_err *err)
{
	struct aq_err ignored;
	char name[sizeof(b->name)];
	int rc;

	snprintf(name, sizeof(name), "solve-%.16s", b->key);
	rc = prefix_start(b, name, err);
	if (!rc)
		rc = fn(b, arg, err);
	(void)!prefix_drop(b, rc ? &ignored : err);
	return rc;
}

int prefix_drop_earlier(struct build *b, uint32_t generation,
			struct aq_err *err)
{
	char name[AQ_ENV_NAME_SIZE];
	int rc = 0;

	if (b->is_personal) /* built in place: it may be an environment */
		return 0;
	for (uint32_t g = 1; !rc && g < generation; g++) {
		aq_env_make_name(b->lock->digest, g, name);
		name_prefix(b, name);
		rc = prefix_drop(b, err);
		/* one that has a row, or that is used without, stays */
		if (!rc)
			(void)!aq_collect_orphan(b->conf, name, true, NULL);
	}
	return rc;
}

int prefix_move_in(struct build *b, struct aq_err *err)
{
	cleanup_close int envs = -1;
	char path[BUILD_PATH_MAX];
	int rc;

	if (b->is_personal)
		return 0;
	rc = aq_remove_tree(AT_FDCWD, b->prefix, err);
	if (rc)
		return rc;
	if (rename(b->site, b->prefix) < 0)
		return aq_fail_errno(err, "cannot move '%s' to its place",
				     b->site);
	snprintf(b->site, sizeof(b->site), "%s", b->prefix);
	snprintf(path, sizeof(path), "%s/envs", b->conf->cache_dir);
	rc = aq_open_dir(AT_FDCWD, path, &envs, err);
	if (!rc)
		rc = seal_is_of(b, envs, err);
	return rc ? rc : aq_sync_dir(envs, err);
}
