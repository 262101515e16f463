/* SPDX-License-Identifier: Apache-2.0 */
#include "common/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"

#define CHUNK 65536
#define OVERLAP 4096 /* longer than what is looked for */

/* Whether the file has 'what'. */
static bool has(const char *path, const char *what)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char buf[OVERLAP + CHUNK];
	size_t kept = 0, len = strlen(what);
	ssize_t n;

	/* it has ended */
	if (fd < 0)
		return errno != ENOENT && errno != ESRCH;
	while ((n = read(fd, buf + kept, CHUNK)) > 0) {
		size_t all = kept + (size_t)n;

		if (memmem(buf, all, what, len))
			return true;
		kept = all < OVERLAP ? all : OVERLAP;
		memmove(buf, buf + all - kept, kept);
	}
	return n < 0 && errno != ESRCH;
}

bool aq_procs_use(const struct aq_conf *conf, const char *name)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	char prefix[1024], started[1100], path[300];
	const struct dirent *e;
	uint64_t pid;

	if (!dir)
		return true;
	snprintf(prefix, sizeof(prefix), "%s/envs/%s", conf->cache_dir, name);
	snprintf(started, sizeof(started), "AQ_ENV_PREFIX=%s", prefix);
	while ((e = readdir(dir))) {
		if (!aq_parse_u64(e->d_name, UINT32_MAX, &pid) ||
		    pid == (uint64_t)getpid() ||
		    pid == 1) /* init; some containers hide it from root */
			continue;
		snprintf(path, sizeof(path), "/proc/%s/environ", e->d_name);
		if (has(path, started))
			return true;
		snprintf(path, sizeof(path), "/proc/%s/maps", e->d_name);
		if (has(path, prefix))
			return true;
	}
	return false;
}
