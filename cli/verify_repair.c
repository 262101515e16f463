/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verify.h"

#include <stdlib.h>
#include <string.h>

#include "cli/obtain.h"
#include "common/collect.h"
#include "common/manifest.h"
#include "common/repair.h"

#define CHILDREN_MAX 10000 /* of one base */
/* What is found after a repair is repaired once more: an adopted one may be
 * damaged, a damaged one's cache was too.
 */
#define ROUNDS_MAX 3

/* -- building again -- */

static int obtain_again(struct cli *cli, const struct aq_repair *r,
			struct aq_answer **ret, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	const char *canonical = r->v[0].canonical;
	int rc = aq_request_parse(canonical, strlen(canonical), cli->conf, &req,
				  err);

	if (rc)
		return rc;
	cli->again = r->has_manifest ? r->name : NULL;
	cli->as_base = r->base_of[0] ? r->base_of : NULL;
	rc = obtain(cli, req, ret, err);
	cli->again = cli->as_base = NULL;
	return rc;
}

/* What was taken away comes back, or is gone for good if nobody asks for it. */
static int build_again(struct cli *cli, const struct aq_repair *r,
		       struct aq_err *err)
{
	cleanup_answer struct aq_answer *answer = NULL;
	const char *env;
	int rc = r->n ? obtain_again(cli, r, &answer, err) : AQ_MISS;

	if (rc) {
		int end = aq_manifest_remove(cli->conf, r->name, NULL);

		if (rc == AQ_MISS && !r->n)
			return end;
		return aq_fail_prefix(err, "it was taken away, and cannot be built again");
	}
	env = aq_answer_env(answer);
	return aq_repair_restore(cli->conf, r, *env ? env : r->name, err);
}

struct taken {
	struct aq_repair *v;
	size_t n;
};

static void free_taken(struct taken *t)
{
	for (size_t i = 0; i < t->n; i++)
		aq_repair_free(&t->v[i]);
	free(t->v);
}

static int build_all(struct cli *cli, const struct taken *t, struct aq_err *err)
{
	int worst = 0;

	/* the last that was taken is what the others inherit from */
	for (size_t i = t->n; i-- > 0;) {
		struct aq_err why = { 0 };
		int rc = build_again(cli, &t->v[i], &why);

		if (rc && !worst)
			worst = aq_fail(err, (enum aq_class)rc, "%s", why.text);
	}
	return worst;
}

static int take_all(const struct cli *cli, const char *name,
		    const struct aq_strv *children, const struct aq_findings *f,
		    struct taken *t, struct aq_err *err)
{
	int rc = 0;

	t->v = calloc(children->n + 1, sizeof(*t->v));
	if (!t->v)
		return aq_fail(err, AQ_SYS, "out of memory");
	for (size_t i = 0; !rc && i < children->n; i++) {
		rc = aq_repair_take(cli->conf, children->v[i], NULL,
				    &t->v[t->n], err);
		t->n += rc == 0;
	}
	if (!rc)
		rc = aq_repair_take(cli->conf, name, f, &t->v[t->n], err);
	t->n += rc == 0;
	return rc;
}

static int rebuild(struct cli *cli, const char *name,
		   const struct aq_findings *f, struct aq_err *err)
{
	cleanup_strv struct aq_strv children = AQ_STRV_INIT(CHILDREN_MAX);
	__attribute__((cleanup(free_taken))) struct taken t = { 0 };
	struct aq_err why = { 0 };
	int rc = aq_repair_children(cli->conf, name, &children, err), end;

	if (!rc)
		rc = take_all(cli, name, &children, f, &t, err);
	/* what was taken before that failed comes back all the same */
	end = build_all(cli, &t, &why);
	if (!rc && end)
		rc = aq_fail(err, (enum aq_class)end, "%s", why.text);
	return rc;
}

/* -- deciding -- */

static int adopt(struct cli *cli, const char *name, const struct aq_findings *f,
		 struct aq_err *err)
{
	int rc = aq_repair_adopt(cli->conf, name, err);

	if (rc != AQ_CORRUPT)
		return rc;
	return aq_findings_have(f, AQ_FINDING_ROW) ?
		       rebuild(cli, name, f, err) :
		       aq_collect_orphan(cli->conf, name, false, err);
}

/* What is found now, whatever it takes to see that; gone is nothing. */
static int look_again(struct aq_verify *v, const char *name,
		      struct aq_findings *ret, struct aq_err *err)
{
	bool has_contents = v->has_contents;
	int rc;

	aq_findings_free(ret);
	v->has_contents = true;
	rc = aq_verify_env(v, name, ret, err);
	v->has_contents = has_contents;
	return rc == AQ_MISS ? 0 : rc;
}

static int repair_once(struct cli *cli, const char *name,
		       const struct aq_findings *f, struct aq_err *err)
{
	switch (aq_repair_choose(f)) {
	case AQ_REPAIR_NONE:
		return 0;
	case AQ_REPAIR_ARCHIVE:
		return aq_repair_archives(cli->conf, f, err);
	case AQ_REPAIR_RECOUNT:
		return aq_repair_recount(cli->conf, name, err);
	case AQ_REPAIR_ADOPT:
		return adopt(cli, name, f, err);
	case AQ_REPAIR_REBUILD:
		break;
	}
	return rebuild(cli, name, f, err);
}

int verify_repair(struct cli *cli, struct aq_verify *v, const char *name,
		  const struct aq_findings *found, struct aq_err *err)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = 0;

	/* a size may be wrong because of what is in it */
	if (aq_repair_choose(found) == AQ_REPAIR_RECOUNT)
		rc = look_again(v, name, &f, err);
	for (int i = 0; !rc && i < ROUNDS_MAX; i++) {
		rc = repair_once(cli, name, f.n ? &f : found, err);
		if (!rc)
			rc = look_again(v, name, &f, err);
		if (!rc && !f.n && !f.n_left_out)
			return 0;
	}
	return rc ? rc : aq_fail(err, AQ_SYS, "it is damaged again: %s",
				 f.v ? f.v[0].text : "");
}
