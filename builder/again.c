/* SPDX-License-Identifier: Apache-2.0 */
/* An environment that was damaged is made anew: what it is of is known, down to
 * the last archive, and need not be resolved.
 */
#include <stdio.h>
#include <string.h>

#include "builder/builder.h"

int again_resolve(struct build *b, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	int rc = aq_manifest_read(b->conf, b->again, &m, err);

	if (rc)
		return aq_fail_prefix(err, "'%s' cannot be made anew",
				      b->again);
	if (m->env->kind == AQ_ENV_INHERITED &&
	    (!b->base_manifest || strcmp(m->lock->base, b->base.lock) != 0))
		return aq_fail(err, AQ_USER, "'%s' inherited from what is no base any more",
			       b->again);
	b->kind = m->env->kind;
	b->generation = m->env->generation;
	snprintf(b->reason, sizeof(b->reason), "%s", m->env->reason);
	b->lock = steal(&m->lock);
	return 0;
}
