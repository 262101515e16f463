/* SPDX-License-Identifier: Apache-2.0 */
#include "common/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/key.h"

#define MANIFEST_MAX (64 * 1024)
/* what is summed: the fields, and the three files with their own limits */
#define SUM_MAX (256 * 1024)
#define MANIFEST_VERSION "aq-manifest 1"
#define PATH_SIZE 1024

static int open_meta(const struct aq_conf *conf, int *ret, struct aq_err *err)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/meta", conf->cache_dir);
	return aq_open_dir(AT_FDCWD, path, ret, err);
}

/* The name becomes a path, which is written and removed. */
static int check_name(const char *name, struct aq_err *err)
{
	return aq_env_is_name(name) ? 0 :
		aq_fail(err, AQ_SYS, "'%s' is no environment's name", name);
}

/* A digest of everything but the lock, which has its own: a flipped bit in the
 * activation would still be a sound list of operations.
 */
static int sum(const char *fields, const char *canonical, const char *context,
	       const char *ops, size_t ops_len,
	       char ret[AQ_SHA256_HEX_SIZE], struct aq_err *err)
{
	cleanup_str struct aq_str all = AQ_STR_INIT(SUM_MAX);
	int rc;

	aq_str_add_mem(&all, fields, strlen(fields) + 1);
	aq_str_add_mem(&all, canonical, strlen(canonical) + 1);
	aq_str_add_mem(&all, context, strlen(context) + 1);
	aq_str_add_mem(&all, ops ? ops : "", ops_len);
	rc = aq_str_done(&all, "a manifest", err);
	return rc ? rc : aq_sha256(aq_str_get(&all), all.len, ret, err);
}

static void write_fields(struct aq_str *out, const struct aq_env *e,
			 const struct aq_binding *b)
{
	aq_str_add_fmt(out, MANIFEST_VERSION "\nname %s\nlock %s\n", e->name,
		       e->lock);
	aq_str_add_fmt(out, "key %s\ndigest %s\n", b->key, b->digest);
	aq_str_add_fmt(out, "generation %" PRIu32 "\nkind %d\n", e->generation,
		       e->kind);
	aq_str_add_fmt(out, "base %s\npython %s\nreason %s\n", e->base,
		       e->python, e->reason);
	aq_str_add_fmt(out, "created %" PRIu64 "\nbuild_ms %" PRIu64 "\n",
		       e->created, e->build_ms);
	aq_str_add_fmt(out, "size_own %" PRIu64 "\nsize_shared %" PRIu64 "\n",
		       e->size_own, e->size_shared);
	aq_str_add_fmt(out, "uid %" PRIu32 "\n", e->uid);
}

/* The file "manifest". */
static int write_text(struct aq_str *out, const struct aq_env *env,
		      const struct aq_binding *b, struct aq_err *err)
{
	char digest[AQ_SHA256_HEX_SIZE];
	int rc;

	write_fields(out, env, b);
	rc = sum(aq_str_get(out), b->canonical, b->context, env->ops,
		 env->ops_len, digest, err);
	if (rc)
		return rc;
	aq_str_add_fmt(out, "sum %s\n", digest);
	return aq_str_done(out, "the manifest", err);
}

static int write_all(int fd, const struct aq_env *env,
		     const struct aq_binding *b, const struct aq_lock *lock,
		     struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(MANIFEST_MAX);
	int rc = write_text(&out, env, b, err);

	if (!rc)
		rc = aq_write_file(fd, "lock", lock->text, lock->text_len, err);
	if (!rc)
		rc = aq_write_file(fd, "request", b->canonical,
				   strlen(b->canonical), err);
	if (!rc)
		rc = aq_write_file(fd, "context", b->context,
				   strlen(b->context), err);
	if (!rc)
		rc = aq_write_file(fd, "activation", env->ops ? env->ops : "",
				   env->ops_len, err);
	/* last: what has it whole is whole */
	if (!rc)
		rc = aq_write_file(fd, "manifest", aq_str_get(&out), out.len,
				   err);
	return rc ? rc : aq_sync_dir(fd, err);
}

int aq_manifest_write(const struct aq_conf *conf, const struct aq_env *env,
		      const struct aq_binding *b, const struct aq_lock *lock,
		      struct aq_err *err)
{
	cleanup_close int meta = -1, fd = -1;
	int rc = check_name(env->name, err);

	if (!rc)
		rc = open_meta(conf, &meta, err);
	if (!rc)
		rc = aq_remove_tree(meta, env->name, err);
	if (!rc)
		rc = aq_make_dir(meta, env->name, 0700, err);
	if (!rc)
		rc = aq_open_dir(meta, env->name, &fd, err);
	if (!rc)
		rc = write_all(fd, env, b, lock, err);
	return rc ? rc : aq_sync_dir(meta, err);
}

int aq_manifest_rewrite(const struct aq_conf *conf, const struct aq_env *env,
			const struct aq_binding *b, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(MANIFEST_MAX);
	cleanup_close int meta = -1, fd = -1;
	int rc = check_name(env->name, err);

	if (!rc)
		rc = write_text(&out, env, b, err);
	if (!rc)
		rc = open_meta(conf, &meta, err);
	if (!rc)
		rc = aq_open_dir(meta, env->name, &fd, err);
	if (!rc)
		rc = aq_write_file(fd, "manifest.new", aq_str_get(&out),
				   out.len, err);
	if (!rc && renameat(fd, "manifest.new", fd, "manifest") < 0)
		rc = aq_fail_errno(err, "cannot make 'manifest'");
	return rc ? rc : aq_sync_dir(fd, err);
}

int aq_manifest_remove(const struct aq_conf *conf, const char *name,
		       struct aq_err *err)
{
	cleanup_close int meta = -1;
	char path[AQ_ENV_NAME_SIZE + sizeof("/manifest")];
	int rc = check_name(name, err);

	if (!rc)
		rc = open_meta(conf, &meta, err);
	/* first what makes the rest one: a half is nothing, whoever is killed */
	snprintf(path, sizeof(path), "%s/manifest", name);
	if (!rc && unlinkat(meta, path, 0) < 0 && errno != ENOENT)
		rc = aq_fail_errno(err, "cannot remove '%s'", path);
	if (!rc)
		rc = aq_remove_tree(meta, name, err);
	return rc ? rc : aq_sync_dir(meta, err);
}

void aq_manifest_free(struct aq_manifest *m)
{
	if (!m)
		return;
	aq_env_free(m->env);
	aq_lock_free(m->lock);
	free(m->key);
	free(m->digest);
	free(m->reason);
	free(m->context);
	free(m->canonical);
	free(m);
}

/* -- reading -- */

/* The value of "name value\n" at *at, which must come next; cut out in place. */
static const char *field(char **at, const char *name)
{
	size_t len = strlen(name);
	char *value, *end;

	if (!*at || strncmp(*at, name, len) != 0 || (*at)[len] != ' ')
		return NULL;
	value = *at + len + 1;
	end = strchr(value, '\n');
	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return value;
}

static bool number_field(char **at, const char *name, uint64_t *ret)
{
	const char *value = field(at, name);

	return value && aq_parse_u64(value, INT64_MAX, ret);
}

static bool text_field(char **at, const char *name, char *ret, size_t size)
{
	const char *value = field(at, name);

	return value && aq_copy_text(ret, size, value);
}

static bool dup_field(char **at, const char *name, char **ret)
{
	const char *value = field(at, name);

	if (!value)
		return false;
	*ret = strdup(value);
	return *ret != NULL;
}

static bool parse_fields(char *text, struct aq_manifest *m,
			 char ret_sum[AQ_SHA256_HEX_SIZE])
{
	struct aq_env *e = m->env;
	uint64_t generation, kind, uid;
	char *at = text;

	if (!aq_starts_with(at, MANIFEST_VERSION "\n"))
		return false;
	at += strlen(MANIFEST_VERSION "\n");
	if (!text_field(&at, "name", e->name, sizeof(e->name)) ||
	    !text_field(&at, "lock", e->lock, sizeof(e->lock)) ||
	    !dup_field(&at, "key", &m->key) ||
	    !dup_field(&at, "digest", &m->digest) ||
	    !number_field(&at, "generation", &generation) ||
	    !number_field(&at, "kind", &kind) ||
	    !text_field(&at, "base", e->base, sizeof(e->base)) ||
	    !text_field(&at, "python", e->python, sizeof(e->python)) ||
	    !dup_field(&at, "reason", &m->reason) ||
	    !number_field(&at, "created", &e->created) ||
	    !number_field(&at, "build_ms", &e->build_ms) ||
	    !number_field(&at, "size_own", &e->size_own) ||
	    !number_field(&at, "size_shared", &e->size_shared) ||
	    !number_field(&at, "uid", &uid) ||
	    !text_field(&at, "sum", ret_sum, AQ_SHA256_HEX_SIZE) || *at)
		return false;
	e->reason = m->reason;
	if (!aq_is_hex(m->key, AQ_SHA256_HEX_SIZE - 1) ||
	    !aq_is_hex(m->digest, AQ_SHA256_HEX_SIZE - 1) ||
	    generation > UINT32_MAX - 1 || kind > AQ_ENV_BASE ||
	    uid > UINT32_MAX)
		return false;
	e->uid = (uint32_t)uid;
	e->generation = (uint32_t)generation;
	if (!aq_env_is_named_well(e) || (*e->base && !aq_env_is_name(e->base)))
		return false;
	e->kind = (enum aq_env_kind)kind;
	e->last_used = e->created;
	return true;
}

/* A file of the manifest as text of its own. */
static int take_file(int fd, const char *name, size_t max, char **ret,
		     size_t *ret_len, struct aq_err *err)
{
	cleanup_str struct aq_str s = AQ_STR_INIT(max);
	int rc = aq_read_file(fd, name, &s, err);

	if (rc == AQ_MISS)
		return aq_fail(err, AQ_CORRUPT, "a manifest has no '%s'", name);
	if (rc && s.broken == E2BIG)
		return aq_fail(err, AQ_CORRUPT, "a manifest's '%s' is too long",
			       name);
	if (rc)
		return rc;
	aq_str_add_mem(&s, "", 0);
	if (!s.s)
		return aq_fail(err, AQ_SYS, "out of memory");
	*ret_len = s.len;
	*ret = steal(&s.s);
	return 0;
}

static int read_fields(int fd, struct aq_manifest *m, char **ret_fields,
		       char ret_sum[AQ_SHA256_HEX_SIZE], struct aq_err *err)
{
	cleanup_free char *text = NULL, *copy = NULL;
	char *last;
	size_t len;
	int rc = take_file(fd, "manifest", MANIFEST_MAX, &text, &len, err);

	if (rc)
		return rc;
	copy = strdup(text);
	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory");
	errno = 0;
	if (strlen(text) != len || !parse_fields(text, m, ret_sum))
		/* an environment whose manifest is taken for damaged is lost */
		return errno == ENOMEM ?
			aq_fail(err, AQ_SYS, "out of memory for a manifest") :
			aq_fail(err, AQ_CORRUPT, "a manifest is damaged");
	last = strstr(copy, "\nsum ");
	if (last)
		last[1] = '\0'; /* the sum is of what comes before it */
	*ret_fields = steal(&copy);
	return 0;
}

static int check_sums(const struct aq_manifest *m, const char *fields,
		      const char *want, struct aq_err *err)
{
	char is[AQ_SHA256_HEX_SIZE];
	int rc = sum(fields, m->canonical, m->context, m->env->ops,
		     m->env->ops_len, is, err);

	if (rc)
		return rc;
	if (strcmp(is, want) != 0 ||
	    !aq_envops_is_sound(m->env->ops, m->env->ops_len))
		return aq_fail(err, AQ_CORRUPT, "a manifest is damaged");
	if (strcmp(m->lock->digest, m->env->lock) != 0)
		return aq_fail(err, AQ_CORRUPT, "a manifest has another one's lock");
	return 0;
}

static int read_all(int fd, struct aq_manifest *m, struct aq_err *err)
{
	cleanup_free char *fields = NULL, *lock = NULL;
	char want[AQ_SHA256_HEX_SIZE];
	size_t len, lock_len = 0;
	int rc = read_fields(fd, m, &fields, want, err);

	if (!rc)
		rc = take_file(fd, "lock", AQ_LOCK_MAX, &lock, &lock_len, err);
	if (!rc)
		rc = aq_lock_parse(lock, lock_len, &m->lock, err);
	if (!rc)
		rc = take_file(fd, "request", AQ_REQUEST_CANONICAL_MAX,
			       &m->canonical, &len, err);
	if (!rc)
		rc = take_file(fd, "context", AQ_KEY_CONTEXT_MAX, &m->context,
			       &len, err);
	if (!rc)
		rc = take_file(fd, "activation", AQ_ENVOPS_MAX, &m->env->ops,
			       &m->env->ops_len, err);
	return rc ? rc : check_sums(m, fields, want, err);
}

int aq_manifest_read(const struct aq_conf *conf, const char *name,
		     struct aq_manifest **ret, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = calloc(1, sizeof(*m));
	cleanup_close int meta = -1, fd = -1;
	int rc;

	if (!m || !(m->env = calloc(1, sizeof(*m->env))))
		return aq_fail(err, AQ_SYS, "out of memory for a manifest");
	if (check_name(name, err))
		return aq_fail(err, AQ_MISS, "'%s' is no environment's name",
			       name);
	rc = open_meta(conf, &meta, err);
	if (!rc)
		rc = aq_open_dir(meta, name, &fd, err);
	if (!rc)
		rc = read_all(fd, m, err);
	if (!rc && strcmp(m->env->name, name) != 0)
		rc = aq_fail(err, AQ_CORRUPT, "manifest '%s' names another environment", name);
	if (rc)
		return rc;
	m->env->pinned = faccessat(fd, AQ_MANIFEST_PIN, F_OK,
				   AT_SYMLINK_NOFOLLOW) == 0;
	m->env->packages = (uint32_t)m->lock->n_items;
	*ret = steal(&m);
	return 0;
}
