/* SPDX-License-Identifier: Apache-2.0 */
/* What a program of a build sees: a mount namespace in which all is read-only
 * but what its phase may write, and cache_dir holds what the phase needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/mountinfo.h"
#include "common/io.h"

#define SAFE (MS_NOSUID | MS_NODEV)

/* -- private -- */

/* To the root of the namespace, from a chroot below: see chroot(2). */
static bool go_up(const char *below)
{
	struct stat here, above;

	if (chdir("/") < 0 || chroot(below) < 0)
		return false;
	do {
		if (stat(".", &here) < 0 || chdir("..") < 0 ||
		    stat(".", &above) < 0)
			return false;
	} while (here.st_dev != above.st_dev || here.st_ino != above.st_ino);
	return chroot(".") == 0;
}

/* What a chroot is on cannot be named from inside. */
static bool make_private_from_above(const struct build *b)
{
	cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool is_private = root >= 0 && go_up(b->work) &&
			  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;

	return is_private && fchdir(root) == 0 && chroot(".") == 0;
}

/* In a chroot "/" may be no mount point, whose mounts cannot be closed all at
 * once: then all of it is bound to a place of ours, which becomes "/".
 */
static bool take_own_root(const struct build *b)
{
	char root[BUILD_PATH_MAX + 8];

	snprintf(root, sizeof(root), "%s/root", b->work);
	return mount("/", root, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	       chroot(root) == 0 && chdir("/") == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool mounts_unshare(const struct build *b)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
	       (errno == EINVAL && make_private_from_above(b) &&
		take_own_root(b));
}

/* -- all of work/ -- */

/* The place 'path' as something to mount on; builder_user could put a link
 * there, so it is opened, and must be root's.
 */
static bool open_place(const char *path, int *ret_fd, char ret[64])
{
	struct stat st;

	*ret_fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(ret, 64, "/proc/self/fd/%d", *ret_fd);
	return *ret_fd >= 0 && fstat(*ret_fd, &st) == 0 && st.st_uid == 0;
}

/* Bases are the administrator's choice, and what is run of them runs with
 * -I -S; nothing else that was built is executed where caches are.
 */
static bool is_trusted(const struct build *b, const char *name)
{
	return strcmp(name, b->base.env) == 0 || strcmp(name, b->compiler) == 0;
}

/* Before work/ covers it; then it is below work/ and comes along. */
static bool show(const struct build *b, const char *name)
{
	unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | SAFE;
	char from[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8];
	char place[BUILD_PATH_MAX + AQ_ENV_NAME_SIZE + 8], target[64];
	cleanup_close int fd = -1, mounted = -1;

	if (!is_trusted(b, name))
		flags |= MS_NOEXEC;
	snprintf(from, sizeof(from), "%s/envs/%s", b->conf->cache_dir, name);
	snprintf(place, sizeof(place), "%s/envs/%s", b->work, name);
	if (!open_place(place, &fd, target) ||
	    mount(from, target, NULL, MS_BIND, NULL) != 0)
		return false;
	/* what is at that path now is the mount */
	return open_place(place, &mounted, target) &&
	       mount(NULL, target, NULL, flags, NULL) == 0;
}

/* What a private environment has is no file of its user's, who could change it, by
 * another link: where prefixes are on a mount of their own clients copy.
 */
static bool divide_work(const struct build *b)
{
	char envs[BUILD_PATH_MAX + 8], target[64];
	cleanup_close int fd = -1;

	snprintf(envs, sizeof(envs), "%s/envs", b->inside);
	fd = open(envs, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	return fd >= 0 && mount(target, target, NULL, MS_BIND, NULL) == 0;
}

/* Semaphores are files there, of which Python's multiprocessing makes some (conda
 * asks for a driver in another process): the clients' own, and no room for more.
 */
#define SHM "/dev/shm"
#define SHM_ROOM "size=1m,nr_inodes=64,mode=1777"

static bool has_shm(const struct build *b, const struct phase_form *form)
{
	return form->has_caches && !aq_path_in(b->inside, SHM) &&
	       access(SHM, F_OK) == 0;
}

bool mounts_bind_work(const struct build *b, const struct phase_form *form)
{
	char work[BUILD_PATH_MAX + sizeof(b->view)];

	for (size_t i = 0; !b->view[0] && i < ARRAY_LEN(b->shown); i++)
		if (b->shown[i][0] && !show(b, b->shown[i]))
			return false;
	snprintf(work, sizeof(work), "%s/%s", b->work, b->view);
	return mount(work, b->inside, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	       (!b->is_private || divide_work(b)) &&
	       (!has_shm(b, form) ||
		mount("aq", SHM, "tmpfs", SAFE | MS_NOEXEC, SHM_ROOM) == 0);
}

/* -- what one prefix needs -- */

/* Mount points, nothing else: kilobytes. */
#define PLACES "size=256k,nr_inodes=256,mode=0755"
#define SOURCES_MAX 8

/* What is seen at 'path' below cache_dir: opened before that is covered. */
struct source {
	int fd;
	char path[BUILD_PATH_MAX];
};
struct sources {
	struct source v[SOURCES_MAX];
	size_t n;
};

static bool add_source(struct sources *s, const char *root, const char *path)
{
	struct source *one = &s->v[s->n];
	char from[2 * BUILD_PATH_MAX];

	if (!*path)
		return true;
	if (s->n == SOURCES_MAX) {
		errno = EOVERFLOW;
		return false;
	}
	snprintf(from, sizeof(from), "%s/%s", root, path);
	snprintf(one->path, sizeof(one->path), "%s", path);
	one->fd = open(from, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	s->n += one->fd >= 0;
	return one->fd >= 0;
}

/* The base is seen by what inherits from it, a compiler by nobody here. */
static bool is_seen(const struct build *b, const char *name)
{
	return *name && (strcmp(name, b->name) == 0 ||
			 b->kind == AQ_ENV_INHERITED);
}

static bool find_sources(const struct build *b, const struct phase_form *form,
			 struct sources *s)
{
	char path[AQ_ENV_NAME_SIZE + 8];
	bool is_shown = false, is_ok = true;

	if (form->has_shared)
		return true;
	for (size_t i = 0; is_ok && i < ARRAY_LEN(b->shown); i++) {
		snprintf(path, sizeof(path), "envs/%s", b->shown[i]);
		is_shown |= strcmp(b->shown[i], b->name) == 0;
		if (is_seen(b, b->shown[i]))
			is_ok = add_source(s, b->conf->cache_dir, path);
	}
	snprintf(path, sizeof(path), "envs/%s", b->name);
	/* until it is committed; before it is begun there is none */
	if (is_ok && b->name[0] && !is_shown && !add_source(s, b->work, path))
		is_ok = errno == ENOENT;
	return is_ok && add_source(s, b->work, b->scratch) &&
	       add_source(s, b->work, b->pass) &&
	       add_source(s, b->work, form->has_network ? b->wheels : "") &&
	       add_source(s, b->work, b->open_dir);
}

/* As mkdir -p does, in a tmpfs of ours. */
static bool make_place(const char *root, const char *path)
{
	char whole[2 * BUILD_PATH_MAX];
	char *p;

	snprintf(whole, sizeof(whole), "%s/%s/", root, path);
	for (p = whole + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(whole, 0755) < 0 && errno != EEXIST)
			return false;
		if (chmod(whole, 0755) < 0)
			return false;
		*p = '/';
	}
	return true;
}

static bool bind_source(const struct build *b, const struct source *s)
{
	char from[64], to[2 * BUILD_PATH_MAX];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", s->fd);
	snprintf(to, sizeof(to), "%s/%s", b->inside, s->path);
	return make_place(b->inside, s->path) &&
	       mount(from, to, NULL, MS_BIND, NULL) == 0;
}

void mounts_find_shared(const struct build *b)
{
	char path[BUILD_PATH_MAX + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s/.", b->conf->shared_dir);
	(void)!stat(path, &st); /* root may see nothing of it */
}

bool mounts_bind_shared(const struct build *b)
{
	const char *dir = b->conf->shared_dir;

	return mount(dir, dir, NULL, MS_BIND, NULL) == 0;
}

bool mounts_bind_prefix(const struct build *b, const struct phase_form *form)
{
	struct sources s = { .n = 0 };
	bool is_ok = find_sources(b, form, &s);

	if (is_ok)
		is_ok = mount("aq", b->inside, "tmpfs", SAFE, PLACES) == 0;
	for (size_t i = 0; is_ok && i < s.n; i++)
		is_ok = bind_source(b, &s.v[i]);
	for (size_t i = 0; i < s.n; i++)
		(void)close(s.v[i].fd);
	return is_ok;
}

/* -- closed -- */

/* linux/mount.h, since Linux 5.12. */
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define ATTR_RDONLY 0x1
#define ATTR_NOSUID 0x2
#define RECURSIVE 0x8000 /* AT_RECURSIVE */
struct setattr {
	uint64_t set, clear, propagation, userns_fd;
};

static bool close_all(void)
{
	struct setattr attr = { .set = ATTR_RDONLY | ATTR_NOSUID };

	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", RECURSIVE, &attr,
		    sizeof(attr)) == 0)
		return true;
	return errno == ENOSYS && mountinfo_close_all();
}

/* 'path' is a mount point of ours. */
static bool open_again(const char *path, void *arg)
{
	const bool *is_noexec = arg;

	return mount(NULL, path, NULL,
		     MS_BIND | MS_REMOUNT | SAFE | (*is_noexec ? MS_NOEXEC : 0),
		     NULL) == 0;
}

static bool call_open(const struct build *b, const char *path,
		      bool (*fn)(const char *path, void *arg), void *arg)
{
	char whole[2 * BUILD_PATH_MAX];

	snprintf(whole, sizeof(whole), "%s/%s", b->inside, path);
	return !*path || fn(whole, arg);
}

bool mounts_each_open(const struct build *b, const struct phase_form *form,
		      bool (*fn)(const char *path, void *arg), void *arg)
{
	char prefix[AQ_ENV_NAME_SIZE + 8], path[2 * BUILD_PATH_MAX];

	if (form->has_shared && !fn(b->conf->shared_dir, arg))
		return false;
	if (form->has_shared && !form->has_caches)
		return true;
	if (form->has_caches)
		return fn(b->inside, arg) &&
		       (!has_shm(b, form) || fn(SHM, arg)) &&
		       (!b->is_private || call_open(b, "envs", fn, arg));
	if (!call_open(b, b->scratch, fn, arg) ||
	    !call_open(b, b->open_dir, fn, arg))
		return false;
	snprintf(prefix, sizeof(prefix), "envs/%s", b->name);
	snprintf(path, sizeof(path), "%s/%s", b->inside, prefix);
	return !form->writes_prefix || !b->name[0] ||
	       access(path, F_OK) < 0 || fn(path, arg);
}

bool mounts_close(const struct build *b, const struct phase_form *form)
{
	/* a private build's caches are of who wrote the code */
	bool is_noexec = form->has_shared ||
			 (form->has_caches && !b->is_private);

	return close_all() &&
	       mounts_each_open(b, form, open_again, &is_noexec);
}

/* -- the rest of the node -- */

bool mounts_renew(const struct build *b, const struct phase_form *form)
{
	const unsigned long flags = SAFE | MS_NOEXEC | MS_RDONLY;

	/* services listen there, and a socket needs no write to be used */
	if (!form->has_network && !aq_path_in(b->inside, "/run") &&
	    mount("aq", "/run", "tmpfs", flags, "size=4k,nr_inodes=2") != 0 &&
	    errno != ENOENT)
		return false;
	/* the node's would show every process, and what is in its memory to
	 * others of the same account; here the only other one is ours
	 */
	return mount("proc", "/proc", "proc", flags, "hidepid=2") == 0;
}

#define NO_SHELL AQ_PKGLIBEXECDIR "/aq-no-shell"

bool mounts_hide_shells(void)
{
	static const char *const dirs[] = { "/usr/local/sbin", "/usr/local/bin",
					    "/usr/sbin", "/usr/bin", "/sbin",
					    "/bin", "/opt/conda/bin" };
	static const char *const names[] = { "sh", "bash", "dash", "ash", "ksh",
					     "mksh", "zsh", "busybox", "fish",
					     "csh", "tcsh", "rbash" };
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			snprintf(path, sizeof(path), "%s/%s", dirs[i],
				 names[k]);
			if (access(path, F_OK) == 0 &&
			    mount(NO_SHELL, path, NULL, MS_BIND, NULL) != 0)
				return false;
		}
	return true;
}
