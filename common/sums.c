/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define MAGIC "aq-sums 1 "
#define HEAD_LEN (sizeof(MAGIC) - 1 + AQ_SHA256_HEX_SIZE)
/* Bytes of a file that is read while somebody waits for the build; of bigger
 * ones the size is noted, and their package's record has their digest.
 */
#define FILE_MAX (1024 * 1024)
#define PATH_SIZE 1024

/* -- digests -- */

int aq_sums_file(int dirfd, const char *name, char ret[AQ_SHA256_HEX_SIZE],
		 struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = aq_open_file(dirfd, name, &fd, err);

	return rc ? rc : aq_sha256_fd(fd, SSIZE_MAX, ret, err);
}

int aq_sums_link(int dirfd, const char *name, char ret[AQ_SHA256_HEX_SIZE],
		 struct aq_err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target));

	if (len < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "'%s' is not there", name);
	if (len < 0)
		return aq_fail_errno(err, "cannot read link '%s'", name);
	return aq_sha256(target, (size_t)len, ret, err);
}

/* -- making -- */

bool aq_sums_is_bytecode(const char *path)
{
	static const char dir[] = "__pycache__/";
	const char *slash = strrchr(path, '/');

	return aq_ends_with(path, ".pyc") && slash &&
	       (size_t)(slash + 1 - path) >= sizeof(dir) - 1 &&
	       strncmp(slash + 2 - sizeof(dir), dir, sizeof(dir) - 1) == 0;
}

int aq_sums_add(struct aq_str *sums, const struct aq_walk_entry *e,
		struct aq_err *err)
{
	char sha256[AQ_SHA256_HEX_SIZE];
	bool is_link = S_ISLNK(e->st->st_mode);
	int rc;

	if (!is_link && (!S_ISREG(e->st->st_mode) ||
			 (e->st->st_nlink > 1 && !aq_sums_is_bytecode(e->path))))
		return 0;
	if (!is_link && e->st->st_size > FILE_MAX) {
		aq_str_add_fmt(sums, "s %" PRIu64 " %s",
			       (uint64_t)e->st->st_size, e->path);
	} else {
		rc = is_link ? aq_sums_link(e->dirfd, e->name, sha256, err) :
			       aq_sums_file(e->dirfd, e->name, sha256, err);
		if (rc)
			return rc == AQ_MISS ? 0 : rc;
		aq_str_add_fmt(sums, "%c %s %s", is_link ? 'l' : 'f', sha256,
			       e->path);
	}
	aq_str_add_mem(sums, "", 1);
	return 0;
}

struct making {
	struct aq_str *sums;
	struct aq_usage *usage;
};

static int make_one(const struct aq_walk_entry *e, void *arg,
		    struct aq_err *err)
{
	struct making *m = arg;

	if (e->is_end)
		return 0;
	if (!aq_usage_add(m->usage, e->dirfd, e->name, e->st))
		return aq_fail(err, AQ_SYS, "out of memory");
	return aq_sums_add(m->sums, e, err);
}

int aq_sums_make(int dirfd, const char *name, struct aq_str *sums,
		 struct aq_usage *usage, struct aq_err *err)
{
	struct making m = { sums, usage };

	return aq_walk(dirfd, name, make_one, &m, err);
}

/* -- the file -- */

static int open_meta(const struct aq_conf *conf, const char *env, int *ret,
		     struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/meta/%s", conf->cache_dir, env);
	return aq_open_dir(AT_FDCWD, path, ret, err);
}

int aq_sums_write(const struct aq_conf *conf, const char *env,
		  const struct aq_str *sums, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(HEAD_LEN + AQ_SUMS_MAX);
	char digest[AQ_SHA256_HEX_SIZE];
	cleanup_close int dir = -1;
	int rc = aq_str_done(sums, "what a prefix holds", err);

	if (!rc)
		rc = aq_sha256(aq_str_get(sums), sums->len, digest, err);
	if (!rc)
		rc = open_meta(conf, env, &dir, err);
	if (rc)
		return rc;
	aq_str_add_fmt(&out, MAGIC "%s\n", digest);
	aq_str_add_mem(&out, aq_str_get(sums), sums->len);
	rc = aq_str_done(&out, "what a prefix holds", err);
	if (!rc)
		rc = aq_write_file(dir, "sums.new", aq_str_get(&out), out.len,
				   err);
	if (!rc && renameat(dir, "sums.new", dir, "sums") < 0)
		rc = aq_fail_errno(err, "cannot make 'sums'");
	return rc ? rc : aq_sync_dir(dir, err);
}

int aq_sums_read(const struct aq_conf *conf, const char *env,
		 struct aq_str *ret, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(HEAD_LEN + AQ_SUMS_MAX);
	char digest[AQ_SHA256_HEX_SIZE];
	cleanup_close int dir = -1;
	const char *s;
	int rc = open_meta(conf, env, &dir, err);

	if (!rc)
		rc = aq_read_file(dir, "sums", &text, err);
	if (rc)
		return rc;
	s = aq_str_get(&text);
	if (text.len < HEAD_LEN || !aq_starts_with(s, MAGIC) ||
	    s[HEAD_LEN - 1] != '\n')
		return aq_fail(err, AQ_CORRUPT, "its 'sums' are damaged");
	rc = aq_sha256(s + HEAD_LEN, text.len - HEAD_LEN, digest, err);
	if (rc)
		return rc;
	if (strncmp(s + strlen(MAGIC), digest, strlen(digest)) != 0)
		return aq_fail(err, AQ_CORRUPT, "its 'sums' are damaged");
	aq_str_add_mem(ret, s + HEAD_LEN, text.len - HEAD_LEN);
	return aq_str_done(ret, "what a prefix holds", err);
}

/* "K VALUE PATH"; false: no entry. */
static bool read_entry(const char *text, struct aq_sum *ret)
{
	const char *space;
	char value[AQ_SHA256_HEX_SIZE];

	if (!text[0] || !strchr("fsl", text[0]) || text[1] != ' ')
		return false;
	space = strchr(text + 2, ' ');
	if (!space || (size_t)(space - text - 2) >= sizeof(value) || !space[1])
		return false;
	snprintf(value, sizeof(value), "%.*s", (int)(space - text - 2),
		 text + 2);
	*ret = (struct aq_sum){ .kind = text[0], .path = space + 1 };
	if (ret->kind == 's')
		return aq_parse_u64(value, INT64_MAX, &ret->size);
	memcpy(ret->sha256, value, sizeof(value));
	return aq_is_hex(value, AQ_SHA256_HEX_SIZE - 1);
}

int aq_sums_each(const struct aq_str *sums,
		 int (*fn)(const struct aq_sum *sum, void *arg,
			   struct aq_err *err),
		 void *arg, struct aq_err *err)
{
	const char *p = aq_str_get(sums), *end = p + sums->len;
	int rc = 0;

	while (!rc && p < end) {
		struct aq_sum sum;

		if (!read_entry(p, &sum))
			return aq_fail(err, AQ_CORRUPT, "its 'sums' are damaged");
		p += strlen(p) + 1;
		rc = fn(&sum, arg, err);
	}
	return rc;
}
