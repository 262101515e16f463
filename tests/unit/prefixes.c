/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/db_raw.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/sums.h"
#include "common/usage.h"
#include "tests/unit/prefixes.h"

/* -- files -- */

static void open_dir(const struct prefix *p, const char *name, unsigned int mode)
{
	cleanup_free char *path = path_below(p->path, name);

	*strrchr(path, '/') = '\0';
	assert_int_equal(chmod(path, mode), 0);
}

static void make_dirs(const struct prefix *p, const char *name)
{
	cleanup_free char *path = path_below(p->path, name);

	for (char *s = path + strlen(p->path); (s = strchr(s + 1, '/'));) {
		*s = '\0';
		(void)!mkdir(path, 0755);
		*s = '/';
	}
}

void prefix_write(const struct prefix *p, const char *name, const char *text)
{
	cleanup_free char *path = path_below(p->path, name);
	struct stat st;
	mode_t mode = lstat(path, &st) == 0 ? st.st_mode & 07777 : 0444;
	int fd;

	make_dirs(p, name);
	open_dir(p, name, 0755);
	(void)!chmod(path, 0644);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	open_dir(p, name, 0555);
}

void prefix_remove(const struct prefix *p, const char *name)
{
	cleanup_free char *path = path_below(p->path, name);

	open_dir(p, name, 0755);
	assert_int_equal(unlink(path), 0);
	open_dir(p, name, 0555);
}

void prefix_link(const struct prefix *p, const char *name, const char *target)
{
	cleanup_free char *path = path_below(p->path, name);

	make_dirs(p, name);
	open_dir(p, name, 0755);
	(void)unlink(path);
	assert_int_equal(symlink(target, path), 0);
	open_dir(p, name, 0555);
}

void prefix_chmod(const struct prefix *p, const char *name, unsigned int mode)
{
	cleanup_free char *path = path_below(p->path, name);

	assert_int_equal(chmod(path, mode), 0);
}

/* Directories that were open until all was in them. */
static int close_dir(const struct aq_walk_entry *e, void *arg,
		     struct aq_err *err)
{
	(void)arg;
	(void)err;
	return e->is_end ? fchmod(e->fd, 0555) : 0;
}

/* -- records -- */

static const struct {
	const char *name, *text;
} conda_files[] = { { "lib/p/a.py", "A = 1\n" },
		    { "lib/p/data", "data of p\n" },
		    { "bin/p", "#!/bin/sh\n" } },
  wheel_files[] = { { "w.py", "W = 1\n" },
		    { "w/say \"so\", it.py", "SO = 1\n" },
		    { "../../../bin/w", "#!/bin/sh\n# of w\n" } };

static void hash(const char *text, char ret[AQ_SHA256_HEX_SIZE])
{
	assert_int_equal(aq_sha256(text, strlen(text), ret, NULL), 0);
}

static void write_conda(const struct prefix *p, const char *archive)
{
	cleanup_str struct aq_str json = AQ_STR_INIT(16384);
	char sha256[AQ_SHA256_HEX_SIZE];

	aq_str_add_fmt(&json, "{\"name\": \"p\", \"version\": \"1.0\","
			      " \"build\": \"h_0\", \"sha256\": \"%s\","
			      " \"paths_data\": {\"paths\": [",
		       archive);
	for (size_t i = 0; i < ARRAY_LEN(conda_files); i++) {
		prefix_write(p, conda_files[i].name, conda_files[i].text);
		hash(conda_files[i].text, sha256);
		/* the second is one whose prefix was replaced */
		aq_str_add_fmt(&json, "%s{\"_path\": \"%s\", \"%s\": \"%s\","
				      " \"path_type\": \"hardlink\"}",
			       i ? "," : "", conda_files[i].name,
			       i == 1 ? "sha256_in_prefix" : "sha256", sha256);
	}
	aq_str_add(&json, "]}}");
	prefix_write(p, "conda-meta/p-1.0-h_0.json", aq_str_get(&json));
}

/* base64url without padding, of hexadecimal digits. */
static void to_base64(const char *hex, char ret[44])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned int bits = 0, n_bits = 0;
	size_t n = 0;

	for (; *hex; hex++) {
		const char one[] = { *hex, '\0' };

		bits = bits << 4 | (unsigned int)strtoul(one, NULL, 16);
		for (n_bits += 4; n_bits >= 6; n_bits -= 6)
			ret[n++] = digits[bits >> (n_bits - 6) & 63];
	}
	ret[n++] = digits[bits << (6 - n_bits) & 63];
	ret[n] = '\0';
	assert_int_equal(n, 43);
}

static void write_wheel(const struct prefix *p)
{
	cleanup_str struct aq_str record = AQ_STR_INIT(16384);
	char sha256[AQ_SHA256_HEX_SIZE], digits[44], name[256];

	for (size_t i = 0; i < ARRAY_LEN(wheel_files); i++) {
		snprintf(name, sizeof(name), PREFIX_SITE "/%s",
			 wheel_files[i].name);
		prefix_write(p, i == 2 ? "bin/w" : name, wheel_files[i].text);
		hash(wheel_files[i].text, sha256);
		to_base64(sha256, digits);
		aq_str_add_fmt(&record, "%s,sha256=%s,%zu\r\n",
			       i == 1 ? "\"w/say \"\"so\"\", it.py\"" :
					wheel_files[i].name,
			       digits, strlen(wheel_files[i].text));
	}
	aq_str_add(&record, "W_w-1.0.dist-info/RECORD,,\n");
	prefix_write(p, PREFIX_SITE "/W_w-1.0.dist-info/RECORD",
		     aq_str_get(&record));
}

/* -- the whole -- */

/* The n-th lock with Python and a wheel. */
static void make_lock(struct sample *s, unsigned int n)
{
	struct aq_err err = { 0 };
	char url[64];

	aq_lock_free(steal(&s->lock));
	assert_int_equal(aq_lock_new("linux-64", &s->lock, &err), 0);
	s->lock->python = strdup("3.12.1");
	snprintf(url, sizeof(url), "https://c.example/linux-64/p-%u.conda", n);
	assert_int_equal(aq_lock_add(s->lock, AQ_LOCK_CONDA, url, s->digest,
				     "p", "1.0", "h_0", &err), 0);
	assert_int_equal(aq_lock_add(s->lock, AQ_LOCK_WHEEL,
				     "https://c.example/w.whl", s->digest,
				     "w-w", "1", NULL, &err), 0);
	if (aq_lock_finish(s->lock, &err) != 0)
		fail_msg("%s", err.text);
	memcpy(s->env.lock, s->lock->digest, sizeof(s->env.lock));
	aq_env_make_name(s->env.lock, s->env.generation, s->env.name);
}

static void note(const struct aq_conf *conf, const struct prefix *p)
{
	cleanup_str struct aq_str sums = AQ_STR_INIT(AQ_SUMS_MAX);
	struct aq_usage usage = AQ_USAGE_INIT;

	assert_int_equal(aq_sums_make(AT_FDCWD, p->path, &sums, &usage, NULL), 0);
	assert_int_equal(aq_sums_write(conf, p->s->env.name, &sums, NULL), 0);
	p->s->env.size_own = usage.whole;
	p->s->env.size_shared = usage.total - usage.whole;
	aq_usage_free(&usage);
	assert_int_equal(aq_manifest_rewrite(conf, &p->s->env, &p->s->tie, NULL),
			 0);
}

/* With another name in the package cache, as hard links leave it. */
static void share(const struct aq_conf *conf, const struct prefix *p,
		  const char *name)
{
	cleanup_free char *pkgs = path_below(conf->cache_dir, "work/pkgs");
	cleanup_free char *dir = path_below(pkgs, "p-1.0-h_0");
	cleanup_free char *from = path_below(p->path, name);
	cleanup_free char *to = path_below(dir, strrchr(name, '/') + 1);

	(void)!mkdir(pkgs, 0755);
	(void)!mkdir(dir, 0755);
	(void)unlink(to);
	assert_int_equal(link(from, to), 0);
}

static void fill(const struct aq_conf *conf, const struct prefix *p)
{
	write_conda(p, p->s->digest);
	write_wheel(p);
	prefix_write(p, "lib/p/__pycache__/a.cpython-312.pyc", "byte-code of a");
	prefix_write(p, "bin/wrapper", "#!/bin/sh\nexec w\n");
	prefix_link(p, "share", "lib/p");
	for (size_t i = 0; i < ARRAY_LEN(conda_files); i++)
		share(conf, p, conda_files[i].name);
	assert_int_equal(aq_walk(AT_FDCWD, p->path, close_dir, NULL, NULL), 0);
}

struct prefix prefix_make(const struct aq_conf *conf, unsigned int n,
			  const char *base)
{
	cleanup_free char *envs = path_below(conf->cache_dir, "envs");
	cleanup_store struct aq_store *store = open_store(conf);
	struct prefix p = { .s = sample(n, 1) };
	struct aq_err err = { 0 };

	make_lock(p.s, n);
	if (base) {
		p.s->env.kind = AQ_ENV_INHERITED;
		snprintf(p.s->env.base, sizeof(p.s->env.base), "%s", base);
	}
	p.path = path_below(envs, p.s->env.name);
	assert_int_equal(mkdir(p.path, 0755), 0);
	fill(conf, &p);
	assert_int_equal(aq_manifest_write(conf, &p.s->env, &p.s->tie, p.s->lock,
					   NULL), 0);
	note(conf, &p);
	if (aq_store_commit(store, &p.s->env, &p.s->tie, &err) != 0)
		fail_msg("%s", err.text);
	return p;
}

void prefix_accept(const struct aq_conf *conf, const struct prefix *p)
{
	cleanup_store struct aq_store *store = open_store(conf);

	note(conf, p);
	assert_int_equal(aq_store_resize(store, &p->s->env, NULL), 0);
}

void prefix_free(struct prefix *p)
{
	sample_free(p->s);
	free(p->path);
}

void run_sql(const struct aq_conf *conf, const char *sql)
{
	cleanup_free char *path = path_below(conf->cache_dir, "cache.db");
	cleanup_db struct aq_db *db = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(aq_db_open_raw(path, 1000, &db, &err), 0);
	if (aq_db_script(db, "PRAGMA foreign_keys=0", &err) != 0 ||
	    aq_db_script(db, sql, &err) != 0)
		fail_msg("%s", err.text);
}

struct aq_store *open_store(const struct aq_conf *conf)
{
	return must_open_store(conf, AQ_STORE_WRITE);
}

/* -- looking -- */

int prefix_look(const struct aq_conf *conf, const char *name, bool has_contents,
		struct aq_findings *ret)
{
	cleanup_verify struct aq_verify v = { .conf = conf,
					      .has_contents = has_contents };
	struct aq_err err = { 0 };
	int rc = aq_verify_env(&v, name, ret, &err);

	if (rc && rc != AQ_MISS)
		fail_msg("%s", err.text);
	return rc;
}

void prefix_say(const struct aq_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		print_message("%s: %s\n", aq_finding_word(f->v[i].kind),
			      f->v[i].text);
}

void prefix_expect_clean(const struct aq_conf *conf, const char *name)
{
	for (int has_contents = 0; has_contents < 2; has_contents++) {
		cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;

		assert_int_equal(prefix_look(conf, name, has_contents, &f), 0);
		prefix_say(&f);
		assert_int_equal(f.n, 0);
	}
}

const struct aq_finding *prefix_find(const struct aq_findings *f,
				     enum aq_finding_kind kind,
				     const char *path)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].kind == kind &&
		    (!path || (f->v[i].path && strcmp(f->v[i].path, path) == 0)))
			return &f->v[i];
	return NULL;
}

void prefix_expect(const struct aq_conf *conf, const char *name,
		   bool has_contents, enum aq_finding_kind kind,
		   const char *path, const char *text)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	const struct aq_finding *found;

	assert_int_equal(prefix_look(conf, name, has_contents, &f), 0);
	found = prefix_find(&f, kind, path);
	if (!found)
		prefix_say(&f);
	assert_non_null(found);
	if (!strstr(found->text, text))
		fail_msg("'%s' is not in '%s'", text, found->text);
	for (size_t i = 0; i < f.n; i++)
		if (f.v[i].kind != kind && f.v[i].kind != AQ_FINDING_SIZE)
			fail_msg("%s: %s", aq_finding_word(f.v[i].kind),
				 f.v[i].text);
}
