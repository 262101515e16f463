/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/manifest.h"
#include "common/store_inside.h"

/* AQ_MISS: envs/NAME is no directory; a manifest may outlive it. */
static int look_for_prefix(const struct aq_conf *conf, const char *name,
			   struct aq_err *err)
{
	char path[STORE_PATH_SIZE + AQ_ENV_NAME_SIZE];
	struct stat st;

	if (!aq_env_is_name(name))
		return AQ_MISS;
	snprintf(path, sizeof(path), "%s/envs/%s", conf->cache_dir, name);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ?
			AQ_MISS : aq_fail_errno(err, "cannot examine '%s'", path);
	return S_ISDIR(st.st_mode) ? 0 : AQ_MISS;
}

static int insert(struct aq_db *db, const struct aq_conf *conf,
		  const char *name, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	int rc = aq_manifest_read(conf, name, &m, err);

	if (rc == AQ_CORRUPT || rc == AQ_MISS)
		return 0; /* no environment of ours */
	if (!rc)
		rc = aq_store_insert(db, m->env, err);
	if (rc == AQ_BUSY)
		return 0; /* two that claim one lock's generation */
	if (!rc) {
		/* plainly: who asked for it is not known any more */
		const struct aq_binding b = { .key = m->key,
					      .digest = m->digest,
					      .context = m->context,
					      .canonical = m->canonical };

		rc = aq_store_insert_binding(db, name, &b, err);
	}
	return rc;
}

static int insert_if_there(struct aq_db *db, const struct aq_conf *conf,
			   const char *name, struct aq_err *err)
{
	int rc = look_for_prefix(conf, name, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	return insert(db, conf, name, err);
}

int aq_store_adopt(struct aq_store *store, const struct aq_conf *conf,
		   const char *name, struct aq_err *err)
{
	int rc = aq_db_begin(store->db, err);

	return rc ? rc : aq_db_end(store->db,
				   insert(store->db, conf, name, err), err);
}

int aq_store_rebuild(struct aq_db *db, const struct aq_conf *conf,
		     struct aq_err *err)
{
	char path[STORE_PATH_SIZE + 16];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	int rc = 0;

	snprintf(path, sizeof(path), "%s/meta", conf->cache_dir);
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return aq_fail_errno(err, "cannot read '%s'", path);
	while (!rc && (errno = 0, e = readdir(dir)))
		rc = insert_if_there(db, conf, e->d_name, err);
	if (!rc && errno)
		return aq_fail_errno(err, "cannot read '%s'", path);
	rewinddir(dir); /* bases once their environments are there */
	while (!rc && (errno = 0, e = readdir(dir)))
		rc = aq_store_rebuild_base(db, dirfd(dir), e->d_name, err);
	if (!rc && errno)
		return aq_fail_errno(err, "cannot read '%s'", path);
	return rc;
}
