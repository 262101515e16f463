/* SPDX-License-Identifier: Apache-2.0 */
/* A builder without a cage, in place of builder/confine.c: for the proof that what
 * the cage stops would go through.  All that is left is what a build needs to find
 * its prefix at its final path.  Never installed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/cage.h"

static const struct phase_form everything = { .has_caches = true,
					      .has_network = true,
					      .writes_prefix = true,
					      .is_builders = true };

const struct phase_form *phase_form(enum phase phase)
{
	(void)phase;
	return &everything;
}

const struct identity *phase_identity(const struct build *b, enum phase phase)
{
	(void)phase;
	return &b->builder;
}

void confine_begin(struct build *b, enum phase phase)
{
	(void)b;
	(void)phase;
}

const char *confine_leave(const struct build *b, enum phase phase)
{
	(void)b;
	(void)phase;
	return unshare(CLONE_NEWNS) == 0 ? NULL : "make a mount namespace";
}

static bool is_there(const struct build *b, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(b->shown); i++)
		if (strcmp(b->shown[i], name) == 0)
			return true;
	return *name == '.' || strcmp(b->name, name) == 0;
}

/* What was committed stays where it is, too. */
static void show_envs(const struct build *b, int envs)
{
	DIR *dir = fdopendir(envs);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char from[64], to[2 * BUILD_PATH_MAX];
		int fd;

		snprintf(to, sizeof(to), "%s/envs/%s", b->inside, e->d_name);
		if (is_there(b, e->d_name) ||
		    (mkdir(to, 0755) < 0 && errno != EEXIST))
			continue;
		fd = openat(envs, e->d_name, O_PATH | O_DIRECTORY);
		snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
		if (mount(from, to, NULL, MS_BIND, NULL) < 0)
			perror(to);
		close(fd);
	}
}

const char *confine_see(const struct build *b, enum phase phase,
			bool hides_shells)
{
	char path[BUILD_PATH_MAX + 8];
	int envs;

	(void)hides_shells;
	snprintf(path, sizeof(path), "%s/envs", b->conf->cache_dir);
	envs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!mounts_unshare(b) || !mounts_bind_work(b, phase_form(phase)))
		return "mount the work area";
	show_envs(b, envs);
	return NULL;
}

const char *confine_become(const struct build *b, enum phase phase)
{
	(void)phase;
	return setgroups(0, NULL) == 0 &&
			       setresgid(b->builder.gid, b->builder.gid,
					 b->builder.gid) == 0 &&
			       setresuid(b->builder.uid, b->builder.uid,
					 b->builder.uid) == 0 ?
		       NULL :
		       "change identity";
}
