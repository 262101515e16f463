/* SPDX-License-Identifier: Apache-2.0 */
/* mamba 2.6 and later unpack https://HOST:PORT/CHANNEL/SUBDIR/PACKAGE below
 * pkgs/https/HOST_PORT/CHANNEL/SUBDIR; all other clients, and all that looks at the
 * cache here, have pkgs/PACKAGE.  So what is SUBDIR there is a link to pkgs, in
 * directories that are not the client's.
 */
#include "builder/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/cage.h"
#include "common/io.h"
#include "common/text.h"

#define DEPTH_MAX 64 /* directories of a URL */

/* No package's directory has such a name, of which root makes one. */
static bool is_scheme(const char *url)
{
	return aq_starts_with(url, "https://") || aq_starts_with(url, "http://") ||
	       aq_starts_with(url, "file://");
}

/* "https://h:1/c/noarch/p.conda" as "https/h_1/c/noarch": false, it is none that may
 * be a path.
 */
static bool name_place(const char *url, char ret[PATH_MAX])
{
	const char *colon = strstr(url, "://"), *slash = strrchr(url, '/');
	int n;

	if (!is_scheme(url) || slash < colon + strlen("://"))
		return false;
	n = snprintf(ret, PATH_MAX, "%.*s/%.*s", (int)(colon - url), url,
		     (int)(slash - colon - 3), colon + 3);
	if (n < 0 || n >= PATH_MAX || aq_path_climbs(ret))
		return false;
	for (char *p = ret; *p; p++)
		if (*p == ':' || *p == '\\')
			*p = '_';
	return true;
}

static int is_in_the_way(const char *name, struct aq_err *err)
{
	return aq_fail(err, AQ_MISS, "'%s' in it is in the way", name);
}

/* The directory 'name' in *fd, made where it is missing, to *fd. */
static int enter(int *fd, const char *name, struct aq_err *err)
{
	cleanup_close int dir = -1;
	bool is_new = mkdirat(*fd, name, 0755) == 0;
	struct stat st;

	if (!is_new && errno != EEXIST)
		return aq_fail_errno(err, "cannot make '%s'", name);
	dir = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
		return is_in_the_way(name, err);
	if (dir < 0 || fstat(dir, &st) < 0 || (is_new && fchmod(dir, 0755) < 0))
		return aq_fail_errno(err, "cannot open '%s'", name);
	if (st.st_uid != geteuid()) /* whose client could change the link */
		return is_in_the_way(name, err);
	aq_close_fd(fd);
	*fd = steal_fd(&dir);
	return 0;
}

/* 'depth' directories up. */
static int link_up(int fd, const char *name, size_t depth, struct aq_err *err)
{
	char up[3 * DEPTH_MAX + 1] = "", is[sizeof(up)] = "";

	for (size_t i = 0; i < depth; i++)
		memcpy(up + 3 * i, "../", sizeof("../"));
	if (symlinkat(up, fd, name) == 0)
		return 0;
	if (errno != EEXIST)
		return aq_fail_errno(err, "cannot make the link '%s'", name);
	return readlinkat(fd, name, is, sizeof(is) - 1) > 0 && strcmp(is, up) == 0 ?
		0 : is_in_the_way(name, err);
}

static int flatten(int pkgs, char *path, struct aq_err *err)
{
	cleanup_close int fd = fcntl(pkgs, F_DUPFD_CLOEXEC, 0);
	char *save = NULL, *name = strtok_r(path, "/", &save), *next;
	size_t depth = 0;
	int rc = fd < 0 ? aq_fail_errno(err, "cannot open the package cache") : 0;

	for (; !rc && (next = strtok_r(NULL, "/", &save)); name = next)
		rc = depth++ == DEPTH_MAX ?
			aq_fail(err, AQ_SYS, "a channel's URL has too many directories") :
			enter(&fd, name, err);
	return rc ? rc : link_up(fd, name, depth, err);
}

int packages_flatten(const struct build *b, struct aq_err *err)
{
	cleanup_close int pkgs = -1;
	char path[PATH_MAX], last[PATH_MAX] = "";
	int rc = cage_open_seen(b, "pkgs", &pkgs, err);

	for (size_t i = 0; !rc && i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		/* what is not done only costs: the client is asked where it unpacked */
		if (item->kind != AQ_LOCK_CONDA || !name_place(item->url, path) ||
		    strcmp(path, last) == 0)
			continue;
		memcpy(last, path, sizeof(last));
		rc = flatten(pkgs, path, err);
	}
	/* where nobody else looks at it, it is only collected less well */
	return rc == AQ_MISS && (b->view[0] || b->is_personal || b->is_private) ?
		0 : rc;
}
