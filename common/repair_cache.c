/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to no one environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect_inside.h"
#include "common/io.h"
#include "common/repair.h"

struct marks {
	const struct aq_conf *conf;
	struct aq_store *store;
	const struct aq_bases *bases;
};

/* A mark without a row: it gets one, or goes if its environment is gone. */
static int follow_mark(const char *name, void *arg, struct aq_err *err)
{
	const char *python = aq_base_of_mark(name);
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_ENV_NAME_SIZE);
	cleanup_env struct aq_env *env = NULL;
	cleanup_close int meta = -1;
	struct marks *m = arg;
	int rc;

	if (!python)
		return 0;
	for (size_t i = 0; i < m->bases->n; i++)
		if (strcmp(m->bases->v[i].python, python) == 0)
			return 0;
	rc = aq_collect_open(m->conf, "meta", &meta, err);
	if (!rc)
		rc = aq_read_file(meta, name, &text, err);
	if (!rc)
		rc = aq_store_find_exact(m->store, aq_str_get(&text), &env,
					 err);
	if (!rc)
		rc = aq_store_base_set(m->store, python, env->name, err);
	if (rc != AQ_MISS && rc != AQ_USER)
		return rc;
	return unlinkat(meta, name, 0) < 0 && errno != ENOENT ?
		aq_fail_errno(err, "cannot remove 'meta/%.40s'", name) : 0;
}

static int repair_bases(const struct aq_conf *conf, struct aq_store *store,
			struct aq_err *err)
{
	struct aq_bases bases = { 0 };
	struct marks m = { conf, store, &bases };
	int rc = aq_store_bases(store, &bases, err);

	/* the row decides, and its mark is written anew */
	for (size_t i = 0; !rc && i < bases.n; i++)
		rc = aq_store_base_set(store, bases.v[i].python,
				       bases.v[i].env, err);
	return rc ? rc : aq_collect_each_entry(conf, "meta", follow_mark, &m,
					       err);
}

int aq_repair_cache(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_EXAMINE, &store, err);

	if (!rc)
		rc = aq_store_untie(store, err);
	return rc ? rc : repair_bases(conf, store, err);
}
