/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a lock, and to the kind of environment that it will be. */
#include <stdio.h>
#include <string.h>

#include "builder/dialect.h"
#include "builder/inherit.h"
#include "builder/pip.h"
#include "common/matchspec.h"

#define LINES_MAX AQ_LOCK_MAX

/* Whether the lock has what was asked for, by name: a client that says less
 * has misunderstood.
 */
static int check_lock(struct build *b, struct aq_err *err)
{
	int rc = 0;

	if (b->req->python && !b->lock->python)
		return aq_fail(err, AQ_SYS, "the client resolved no python, which was asked for");
	for (size_t i = 0; !rc && i < b->req->conda.n; i++) {
		cleanup_matchspec struct aq_matchspec spec = { 0 };

		rc = aq_matchspec_parse(b->req->conda.v[i], &spec, err);
		/* a virtual package is the node's, not the lock's */
		if (rc || aq_starts_with(spec.name, "__"))
			continue;
		if (!strchr(spec.name, '*') &&
		    !aq_lock_find(b->lock, AQ_LOCK_CONDA, spec.name))
			rc = aq_fail(err, AQ_SYS, "the client resolved no '%s', which was asked for",
				     spec.name);
	}
	return rc;
}

/* Conda's part, then pip's over it: a whole prefix. */
static int resolve_whole(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(LINES_MAX);
	int rc = client_solve(b, &lines, err);

	if (!rc)
		rc = records_to_lock(b, aq_str_get(&lines), err);
	if (!rc)
		rc = check_lock(b, err);
	if (rc || !b->req->pip.n)
		return rc;
	rc = pip_solve(b, &lines, err);
	aq_lock_free(steal(&b->lock));
	return rc ? rc : records_to_lock(b, aq_str_get(&lines), err);
}

static void add_reason(struct build *b, const char *what, const char *why)
{
	size_t len = strlen(b->reason);

	snprintf(b->reason + len, sizeof(b->reason) - len, "%s%s base %s: %s",
		 len ? "; " : "", what, b->base.python, why);
	/* a client's own words are of several lines */
	for (char *p = b->reason; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

int resolve(struct build *b, struct aq_err *err)
{
	int rc;

	if (b->base_manifest) {
		rc = inherit_solve(b, err);
		if (rc != AQ_MISS)
			return rc;
		add_reason(b, "not inherited from", err->text);
	}
	if (b->base_manifest && client_can_constrain(b)) {
		b->kind = AQ_ENV_LINKED;
		rc = resolve_whole(b, err);
		if (rc != AQ_USER)
			return rc;
		add_reason(b, "not linked with the packages of", err->text);
		aq_lock_free(steal(&b->lock));
	}
	b->kind = AQ_ENV_CREATED;
	b->verdict = BUILD_FAULT;
	return resolve_whole(b, err);
}
