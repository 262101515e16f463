/* SPDX-License-Identifier: Apache-2.0 */
/* meta/NAME/: what root knows of an environment, from which cache.db can be
 * rebuilt: files `request` (canonical), `lock` (text), `activation`
 * (serialised operations), `context` (text; common/key.h), `manifest` (key
 * value lines: name, lock, key, digest, generation, kind, base, python, reason,
 * created, build_ms, sizes, uid; then a SHA-256 of these lines and of the other
 * files but the lock, whose own digest is among them).  Written after the
 * prefix is sealed, flushed (files, directory, parent) before the row, and
 * unlinked before its environment goes to trash.
 */
#ifndef AQ_MANIFEST_H
#define AQ_MANIFEST_H

#include "common/lock.h"
#include "common/store.h"

/* Write the manifest of 'env', which was built from 'lock', replacing what a
 * build that failed may have left under its name.  When it returns 0 all of it
 * is on disk.
 */
AQ_CHECK int aq_manifest_write(const struct aq_conf *conf,
			       const struct aq_env *env,
			       const struct aq_binding *b,
			       const struct aq_lock *lock, struct aq_err *err);

/* Write what it says of 'env' anew, all or nothing; the lock, the request and
 * the activation stay as they are.  For sizes, which change after it was built.
 */
AQ_CHECK int aq_manifest_rewrite(const struct aq_conf *conf,
				 const struct aq_env *env,
				 const struct aq_binding *b,
				 struct aq_err *err);

/* A file beside these: the administrator pinned it, as env->pinned says. */
#define AQ_MANIFEST_PIN "pin"

struct aq_manifest {
	struct aq_env *env;
	char *key, *digest, *context, *canonical, *reason;
	struct aq_lock *lock;
};
/* AQ_MISS: no such; AQ_CORRUPT: damaged, half written or of another format. */
AQ_CHECK int aq_manifest_read(const struct aq_conf *conf, const char *name,
			      struct aq_manifest **ret, struct aq_err *err);
/* Not there is no failure; when it returns 0 the removal is on disk. */
AQ_CHECK int aq_manifest_remove(const struct aq_conf *conf, const char *name,
				struct aq_err *err);
void aq_manifest_free(struct aq_manifest *m);
DEFINE_CLEANUP(aq_manifest);
#define cleanup_manifest __attribute__((cleanup(aq_manifest_cleanup_)))

#endif
