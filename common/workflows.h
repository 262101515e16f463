/* SPDX-License-Identifier: Apache-2.0 */
/* The workflows of a node (common/workflow.h), as cache.db has them, and as
 * their users may read them.
 *
 * A key is held by each workflow whose current request it is, and for good by
 * having been asked for plainly.  An environment that has keys, none of which is
 * held, is obsolete: nobody means to use it again (aq_store_has_left() of
 * common/collect.h).
 */
#ifndef AQ_WORKFLOWS_H
#define AQ_WORKFLOWS_H

#include "common/store.h"
#include "common/workflow.h"

/* One, with what it asks for.  The texts are valid in the callback only. */
struct aq_workflow_state {
	uint32_t uid;
	const char *name, *key, *digest;
	uint64_t submitted;    /* Unix nanoseconds */
	const char *env;       /* "": it was collected, or is being built */
	const char *canonical; /* the request; "": not known any more */
};
typedef int aq_workflow_fn(const struct aq_workflow_state *w, void *arg,
			   struct aq_err *err);

/* Call 'fn' for every workflow of user 'uid' (AQ_WORKFLOWS_ALL: of all) named
 * 'name' (NULL: any), sorted by user and name, until it returns non-zero, which
 * is returned.  Those that were removed are none.  Nobody waits for 'fn'.
 */
#define AQ_WORKFLOWS_ALL UINT64_MAX
AQ_CHECK int aq_store_each_workflow(struct aq_store *store, uint64_t uid,
				    const char *name, aq_workflow_fn *fn,
				    void *arg, struct aq_err *err);

/* Forget w->name of user w->uid, as submitted at w->submitted. */
AQ_CHECK int aq_store_forget_workflow(struct aq_store *store,
				      const struct aq_workflow *w,
				      struct aq_err *err);

/* -- for their users: public_dir/workflows/UID -- */

/* Such a file's bytes at most: a hundred requests, the longest there are.
 * Requests that do not fit are left out of it.
 */
#define AQ_WORKFLOWS_FILE_MAX (4 * 1024 * 1024)

/* How long to wait for who else is writing such a file, in milliseconds: a hook
 * has no more than a quarter of its worker's time; a command waits for a loaded
 * machine rather than fail.
 */
#define AQ_WORKFLOWS_HOOK_WAIT_MS 500
#define AQ_WORKFLOWS_WAIT_MS 30000

/* Write what 'store' has of user 'uid' to their file, which they may read and
 * root alone can change; without any workflow it goes.  Replaced at once,
 * following no link.  AQ_BUSY: somebody else was at it for 'wait_ms'.
 */
AQ_CHECK int aq_workflows_publish(const struct aq_conf *conf,
				  struct aq_store *store, uint32_t uid,
				  int wait_ms, struct aq_err *err);
/* The same for all users that have workflows or a file, one after the other, as a
 * command waits.
 */
AQ_CHECK int aq_workflows_publish_all(const struct aq_conf *conf,
				      struct aq_store *store,
				      struct aq_err *err);
/* Read it as aq_store_each_workflow() does.  AQ_MISS: there is none. */
AQ_CHECK int aq_workflows_read(const struct aq_conf *conf, uint32_t uid,
			       const char *name, aq_workflow_fn *fn, void *arg,
			       struct aq_err *err);

#endif
