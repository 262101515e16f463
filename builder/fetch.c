/* SPDX-License-Identifier: Apache-2.0 */
/* aq fetch: for nodes that have no network, what they need to build. */
#include <stdio.h>

#include "builder/builder.h"
#include "builder/dialect.h"
#include "builder/shared.h"

/* Whether the lock is there for others. */
static int check_lock(const struct build *b, struct aq_err *err)
{
	if (b->sharing.is_off)
		return aq_fail(err, AQ_SYS, "'%s' cannot be used, see above: nothing was put there",
			       b->conf->shared_dir);
	if (b->sharing.is_alone)
		return aq_fail(err, AQ_SYS, "the lock that '%s' has of this request is none for this machine, see above",
			       b->conf->shared_dir);
	return 0;
}

static void answer(struct build *b)
{
	struct aq_answer *a = b->answer;
	char text[80];

	snprintf(text, sizeof(text), "%zu packages, %zu wheels",
		 aq_lock_count(b->lock, AQ_LOCK_CONDA),
		 aq_lock_count(b->lock, AQ_LOCK_WHEEL));
	(void)!aq_copy_text(a->resolution, sizeof(a->resolution), "fetched");
	(void)!aq_copy_text(a->key, sizeof(a->key), b->key);
	(void)!aq_copy_text(a->lock, sizeof(a->lock), b->lock->digest);
	aq_answer_fail(a, AQ_OK, text);
}

int fetch_for_others(struct build *b, struct aq_err *err)
{
	cleanup_close int caches = -1;
	int rc = build_resolve(b, &caches, err);

	if (!rc)
		rc = check_lock(b, err);
	if (!rc)
		rc = client_fetch(b, err);
	shared_archives_end(b);
	if (!rc) {
		shared_built(b);
		rc = check_lock(b, err);
	}
	if (!rc)
		answer(b);
	aq_lock_free(steal(&b->lock));
	return rc;
}
