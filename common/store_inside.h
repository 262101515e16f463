/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the store; for no one else. */
#ifndef AQ_STORE_INSIDE_H
#define AQ_STORE_INSIDE_H

#include "common/db.h"
#include "common/store.h"

#define STORE_PATH_SIZE 1024

struct aq_store {
	struct aq_db *db;
	char cache_dir[STORE_PATH_SIZE];
	uint64_t max_workflows; /* a user, as aq.conf has it */
	aq_store_fits_fn fits;   /* aq_store_find_only(); or NULL */
	void *fits_arg;
};

/* What aq_store_read_env() takes, of environments e; 'ops' is what to read as
 * the activation.  *ret is the caller's.
 */
#define AQ_STORE_ENV_COLUMNS(ops)                                              \
	"e.name, e.lock, e.generation, e.kind, e.base, e.python, e.created,"   \
	" e.last_used, e.uses, e.build_ms, e.size_own, e.size_shared,"         \
	" e.pinned, " ops ", e.reason, e.packages, e.uid"
AQ_CHECK int aq_store_read_env(const struct aq_db_row *row,
			       struct aq_env **ret, struct aq_err *err);

/* Of what an environment is and does to a job, and never changes: a row that says
 * something else is damaged.
 */
uint64_t aq_store_sum(const struct aq_env *env);

/* Insert an environment / what ties a request to one, inside a transaction.
 * AQ_BUSY: another of that name is there already (the very same is accepted);
 * AQ_MISS: the environment to bind to is not.
 */
AQ_CHECK int aq_store_insert(struct aq_db *db, const struct aq_env *env,
			     struct aq_err *err);
AQ_CHECK int aq_store_insert_binding(struct aq_db *db, const char *env_name,
				     const struct aq_binding *b,
				     struct aq_err *err);

/* 'key' was asked for plainly, inside a transaction. */
AQ_CHECK int aq_store_mark_plain(struct aq_db *db, const char *key,
				 struct aq_err *err);

/* Delete an environment's row and what is tied to it, inside a transaction;
 * AQ_MISS: it is not there.
 */
AQ_CHECK int aq_store_delete(struct aq_db *db, const char *env_name,
			     struct aq_err *err);

/* Read every environment: AQ_CORRUPT where one is not what it was. */
AQ_CHECK int aq_store_examine_envs(struct aq_db *db, struct aq_err *err);

/* Insert what conf->cache_dir's manifests say is there, inside a transaction:
 * each whole manifest whose prefix is in envs/.  What is damaged is left out.
 */
AQ_CHECK int aq_store_rebuild(struct aq_db *db, const struct aq_conf *conf,
			      struct aq_err *err);

/* Make 'env_name' the base of 'python', inside a transaction; AQ_MISS: it is not
 * there.  The second does so if the entry 'name' of meta/ is a mark that says
 * so, and its environment is there.
 */
AQ_CHECK int aq_store_insert_base(struct aq_db *db, const char *python,
				  const char *env_name, struct aq_err *err);
AQ_CHECK int aq_store_rebuild_base(struct aq_db *db, int meta_fd,
				   const char *name, struct aq_err *err);

#endif
