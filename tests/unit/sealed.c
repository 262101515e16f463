/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "builder/seal_inside.h"
#include "common/io.h"
#include "common/walk.h"
#include "tests/unit/sealed.h"
#include "builder/inherit.h"
#include "builder/prefix.h"
#include "builder/seal.h"

/* -- what seal.c has of the others -- */

int prefix_open(const struct build *b, int *ret_fd, struct aq_err *err)
{
	return aq_open_dir(AT_FDCWD, b->site, ret_fd, err);
}

int layer_write_cfg(const struct build *b, struct aq_str *ret,
		    struct aq_err *err)
{
	aq_str_add_fmt(ret, "home = %s/bin\n", b->base_prefix);
	return aq_str_done(ret, "pyvenv.cfg", err);
}

/* -- a prefix -- */

void own(const struct prefix *p, const char *path)
{
	assert_int_equal(fchownat(p->root, path, BUILDER, BUILDER,
				  AT_SYMLINK_NOFOLLOW), 0);
}

void put_dir(const struct prefix *p, const char *path)
{
	assert_int_equal(mkdirat(p->root, path, 0755), 0);
	own(p, path);
}

void put(const struct prefix *p, const char *path, const char *text)
{
	int fd = openat(p->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0644);

	assert_true(fd >= 0);
	assert_int_equal(aq_write_all(fd, text, strlen(text), NULL), 0);
	close(fd);
	own(p, path);
}

void put_link(const struct prefix *p, const char *path,
		     const char *target)
{
	assert_int_equal(symlinkat(target, p->root, path), 0);
	own(p, path);
}

static struct aq_lock *make_lock(void)
{
	static const char sha[] = "0000000000000000000000000000000000000000000000000000000000000001";
	struct aq_lock *lock = NULL;

	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	lock->python = strdup("3.9.6");
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_CONDA, "https://c/l/python-3.9.6-0.conda",
				     sha, "python", "3.9.6", "0", NULL), 0);
	assert_int_equal(aq_lock_add(lock, AQ_LOCK_WHEEL, "https://c/l/aq_pure-1.0.whl",
				     sha, "aq-pure", "1.0", NULL, NULL), 0);
	return lock;
}

/* What a harmless build leaves: conda's Python, a wheel. */
static void fill(struct prefix *p)
{
	own(p, ".");
	put_dir(p, "bin");
	put_dir(p, "conda-meta");
	put_dir(p, "lib");
	put_dir(p, "lib/python3.9");
	put_dir(p, SITE);
	put(p, "bin/python3.9", "elf");
	put_link(p, "bin/python", "python3.9");
	put(p, "conda-meta/python-3.9.6-0.json", "{}");
	put(p, "conda-meta/history", "");
	put_dir(p, SITE "/pip-24.0.dist-info"); /* conda's */
	assert_int_equal(seal_note_metadata(&p->b, NULL), 0);
	put_dir(p, SITE "/aq_pure-1.0.dist-info");
	put(p, SITE "/aq_pure.py", "x = 1\n");
}

void begin(struct prefix *p, const struct aq_conf *conf)
{
	*p = (struct prefix){ .b = { .conf = conf, .kind = AQ_ENV_CREATED,
				     .builder = { .uid = BUILDER,
						  .gid = BUILDER } } };
	snprintf(p->b.name, sizeof(p->b.name), NAME);
	snprintf(p->b.prefix, sizeof(p->b.prefix), "%s/envs/" NAME,
		 conf->cache_dir);
	snprintf(p->b.site, sizeof(p->b.site), "%s/work/" NAME, conf->cache_dir);
	snprintf(p->b.base_prefix, sizeof(p->b.base_prefix), "%s/envs/" BASE,
		 conf->cache_dir);
	assert_int_equal(aq_remove_tree(AT_FDCWD, p->b.site, NULL), 0);
	assert_int_equal(mkdir(p->b.site, 0755), 0);
	p->b.lock = make_lock();
	assert_int_equal(prefix_open(&p->b, &p->root, NULL), 0);
	fill(p);
}

void end(struct prefix *p)
{
	aq_lock_free(p->b.lock);
	aq_str_free(&p->b.metadata);
	aq_strv_free(&p->b.records);
	close(p->root);
}

int seal_it(struct prefix *p, struct aq_err *err)
{
	struct sizes sizes;

	return seal(&p->b, &sizes, err);
}

int set_up(void **state)
{
	return geteuid() == 0 ? cachedir_setup(state) : 0;
}

int tear_down(void **state)
{
	return geteuid() == 0 ? cachedir_teardown(state) : 0;
}

void set_xattr(const struct prefix *p, const char *path,
		      const char *name, const void *value, size_t len)
{
	char full[2048];

	snprintf(full, sizeof(full), "%s/%s", p->b.site, path);
	assert_int_equal(setxattr(full, name, value, len, 0), 0);
}
