/* SPDX-License-Identifier: Apache-2.0 */
/* builder/seal: what root refuses in a prefix, and that nobody can change it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/seal.h"
#include "builder/seal_inside.h"
#include "common/io.h"
#include "common/walk.h"
#include "tests/unit/sealed.h"

/* -- what is refused -- */

static void set_uid(const struct prefix *p)
{
	put(p, "bin/x", "");
	assert_int_equal(fchmodat(p->root, "bin/x", 04755, 0), 0);
}
static void set_gid(const struct prefix *p)
{
	put(p, "bin/x", "");
	assert_int_equal(fchmodat(p->root, "bin/x", 02644, 0), 0);
}
static void set_gid_dir(const struct prefix *p)
{
	put_dir(p, "share");
	assert_int_equal(fchmodat(p->root, "share", 02755, 0), 0);
}
static void fifo(const struct prefix *p)
{
	assert_int_equal(mkfifoat(p->root, "bin/x", 0644), 0);
	own(p, "bin/x");
}
static void device(const struct prefix *p)
{
	assert_int_equal(mknodat(p->root, "bin/x", S_IFCHR | 0666,
				 makedev(1, 3)), 0);
	own(p, "bin/x");
}
static void unix_socket(const struct prefix *p)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/s", p->root);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	own(p, "s");
}
static void foreign(const struct prefix *p)
{
	put(p, "bin/x", "");
	assert_int_equal(fchownat(p->root, "bin/x", OTHER, 0, 0), 0);
}
static void roots(const struct prefix *p)
{
	put(p, "bin/x", "");
	assert_int_equal(fchownat(p->root, "bin/x", 0, 0, 0), 0);
}
static void foreign_dir(const struct prefix *p)
{
	put_dir(p, "share");
	assert_int_equal(fchownat(p->root, "share", OTHER, 0, 0), 0);
}
static void foreign_link(const struct prefix *p)
{
	put_link(p, "bin/x", "python");
	assert_int_equal(fchownat(p->root, "bin/x", OTHER, 0,
				  AT_SYMLINK_NOFOLLOW), 0);
}

static void capability(const struct prefix *p)
{
	/* struct vfs_cap_data, revision 2: cap_setuid (capabilities(7)) */
	const uint32_t data[5] = { 0x02000001, 1u << 7 };

	put(p, "bin/x", "");
	set_xattr(p, "bin/x", "security.capability", data, sizeof(data));
}
static void trusted_attribute(const struct prefix *p)
{
	put(p, "bin/x", "");
	set_xattr(p, "bin/x", "trusted.overlay.opaque", "y", 1);
}
static void newline(const struct prefix *p)
{
	put(p, "bin/a\nb", "");
}
static void escape(const struct prefix *p)
{
	put_dir(p, "share");
	put(p, "share/\033[2J", "");
}
static void bidi(const struct prefix *p)
{
	put(p, "bin/a\xe2\x80\xae" "b", "");
}
static void ours(const struct prefix *p)
{
	put_dir(p, ".aq");
}
static void venv(const struct prefix *p)
{
	put(p, "pyvenv.cfg", "home = /tmp\n");
}
static void meta_more(const struct prefix *p)
{
	put(p, "conda-meta/numpy-2.0-0.json", "{}");
}
static void meta_replaced(const struct prefix *p)
{
	assert_int_equal(unlinkat(p->root, "conda-meta/python-3.9.6-0.json", 0), 0);
	put(p, "conda-meta/python-3.9.6-0.json", "{\"files\":[]}");
}
static void meta_gone(const struct prefix *p)
{
	assert_int_equal(unlinkat(p->root, "conda-meta/python-3.9.6-0.json", 0), 0);
}
static void interpreter_replaced(const struct prefix *p)
{
	assert_int_equal(unlinkat(p->root, "bin/python", 0), 0);
	put(p, "bin/python", "#!/bin/sh\n");
}
static void interpreter_more(const struct prefix *p)
{
	put(p, "bin/python3", "#!/bin/sh\n");
}
static void record_more(const struct prefix *p)
{
	put_dir(p, SITE "/numpy-2.0.dist-info");
}
static void egg_more(const struct prefix *p)
{
	put(p, SITE "/numpy.egg-info", "");
}
static void deep(const struct prefix *p)
{
	cleanup_str struct aq_str path = AQ_STR_INIT(1024);

	aq_str_add(&path, "lib");
	for (int i = 0; i < AQ_WALK_DEPTH_MAX + 4; i++) {
		aq_str_add(&path, "/d");
		put_dir(p, aq_str_get(&path));
	}
}

static void hostile_prefixes_are_refused(void **state)
{
	static const struct {
		const char *what;
		maker *make;
		const char *says;
	} cases[] = {
		{ "set-uid", set_uid, "set-id" },
		{ "set-gid", set_gid, "set-id" },
		{ "set-gid directory", set_gid_dir, "set-id" },
		{ "fifo", fifo, "neither file" },
		{ "device", device, "neither file" },
		{ "socket", unix_socket, "neither file" },
		{ "foreign", foreign, "somebody else" },
		{ "root's", roots, "somebody else" },
		{ "foreign directory", foreign_dir, "somebody else" },
		{ "foreign link", foreign_link, "somebody else" },
		{ "capability", capability, "capabilities" },
		{ "trusted.*", trusted_attribute, "attributes" },
		{ "newline", newline, "control characters" },
		{ "escape", escape, "control characters" },
		{ "bidi", bidi, "control characters" },
		{ "ours", ours, "ours" },
		{ "pyvenv.cfg", venv, "layer" },
		{ "conda's record", meta_more, "lock's" },
		{ "conda's record replaced", meta_replaced, "are conda's" },
		{ "conda's record gone", meta_gone, "are conda's" },
		{ "interpreter replaced", interpreter_replaced, "are conda's" },
		{ "interpreter more", interpreter_more, "are conda's" },
		{ "wheel's record", record_more, "lock's" },
		{ "egg's record", egg_more, "lock's" },
		{ "deep", deep, "deeply" },
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err = { 0 };
		struct prefix p;
		int rc;

		begin(&p, *state);
		cases[i].make(&p);
		rc = seal_it(&p, &err);
		if (rc != AQ_USER || !strstr(err.text, cases[i].says) ||
		    p.b.verdict != BUILD_REFUSED || strchr(err.text, '\033'))
			fail_msg("%s: %d '%s'", cases[i].what, rc, err.text);
		end(&p);
	}
}

/* -- what is left -- */

static int find_open(const struct aq_walk_entry *e, void *arg,
		     struct aq_err *err)
{
	(void)arg;
	if (e->st->st_uid != 0 || e->st->st_gid != 0 ||
	    (!S_ISLNK(e->st->st_mode) && (e->st->st_mode & 07222)))
		return aq_fail(err, AQ_SYS, "'%s' is open", e->path);
	return 0;
}

static void nobody_can_write_what_is_sealed(void **state)
{
	/* user 4321 may do everything (acl(5), struct posix_acl_xattr) */
	static const uint16_t acl[] = {
		2, 0, 1, 7, 0xffff, 0xffff, 2, 7, OTHER, 0, 4, 5, 0xffff, 0xffff,
		0x10, 7, 0xffff, 0xffff, 0x20, 5, 0xffff, 0xffff,
	};
	struct aq_err err = { 0 };
	struct prefix p;
	char path[2048], value[16];

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	assert_int_equal(fchmodat(p.root, SITE, 0777, 0), 0);
	assert_int_equal(fchmodat(p.root, "bin/python3.9", 0777, 0), 0);
	set_xattr(&p, SITE, "system.posix_acl_access", acl, sizeof(acl));
	set_xattr(&p, SITE, "system.posix_acl_default", acl, sizeof(acl));
	set_xattr(&p, "bin/python3.9", "user.note", "x", 1);
	if (seal_it(&p, &err) != 0 ||
	    aq_walk(AT_FDCWD, p.b.site, find_open, NULL, &err) != 0)
		fail_msg("%s", err.text);
	snprintf(path, sizeof(path), "%s/bin/python3.9", p.b.site);
	assert_int_equal(mode_of(path), 0555);
	assert_true(getxattr(path, "user.note", value, sizeof(value)) < 0);
	snprintf(path, sizeof(path), "%s/" SITE, p.b.site);
	assert_int_equal(mode_of(path), 0555);
	assert_true(getxattr(path, "system.posix_acl_access", NULL, 0) < 0);
	assert_true(getxattr(path, "system.posix_acl_default", NULL, 0) < 0);
	snprintf(path, sizeof(path), "%s/lib/python3.9/EXTERNALLY-MANAGED",
		 p.b.site);
	assert_int_equal(mode_of(path), 0444);
	end(&p);
}

/* What the package cache has too stays its owner's, who links it elsewhere. */
static void what_is_shared_stays_its_owners(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_err err = { 0 };
	char cache[1024];
	struct prefix p;
	struct stat st;

	if (geteuid() != 0)
		skip();
	begin(&p, conf);
	snprintf(cache, sizeof(cache), "%s/work/cached", conf->cache_dir);
	put(&p, "lib/x.so", "elf");
	assert_int_equal(fchmodat(p.root, "lib/x.so", 0664, 0), 0);
	assert_int_equal(linkat(p.root, "lib/x.so", AT_FDCWD, cache, 0), 0);
	if (seal_it(&p, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(fstatat(p.root, "lib/x.so", &st, 0), 0);
	assert_int_equal(st.st_uid, BUILDER);
	assert_int_equal(st.st_mode & 07777, 0444);
	end(&p);
}

static void what_is_open_for_writing_is_not_sealed(void **state)
{
	struct aq_err err = { 0 };
	struct prefix p;
	int fd;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	fd = openat(p.root, SITE "/aq_pure.py", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(seal_it(&p, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "being written"));
	close(fd);
	end(&p);
}

/* What is moved to its place must be the very directory that was judged. */
static void what_was_exchanged_is_not_moved_in(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = path_below(conf->cache_dir, "work");
	cleanup_close int work = -1;
	struct prefix p;

	if (geteuid() != 0)
		skip();
	assert_int_equal(aq_open_dir(AT_FDCWD, path, &work, NULL), 0);
	begin(&p, conf);
	assert_int_equal(seal_it(&p, NULL), 0);
	assert_int_equal(seal_is_of(&p.b, work, NULL), 0);
	assert_int_equal(renameat(work, NAME, work, "away"), 0);
	assert_int_equal(seal_is_of(&p.b, work, NULL), AQ_SYS);
	assert_int_equal(symlinkat("away", work, NAME), 0);
	assert_int_equal(seal_is_of(&p.b, work, NULL), AQ_SYS);
	assert_int_equal(unlinkat(work, NAME, 0), 0);
	assert_int_equal(mkdirat(work, NAME, 0755), 0);
	assert_int_equal(seal_is_of(&p.b, work, NULL), AQ_SYS);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(hostile_prefixes_are_refused),
		TEST(nobody_can_write_what_is_sealed),
		TEST(what_is_shared_stays_its_owners),
		TEST(what_is_open_for_writing_is_not_sealed),
		TEST(what_was_exchanged_is_not_moved_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
