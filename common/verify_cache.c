/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to no one environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base.h"
#include "common/collect_inside.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/refs.h"
#include "common/verify_inside.h"

/* -- names -- */

static int add_entry(const char *name, void *arg, struct aq_err *err)
{
	(void)err;
	/* marks of bases stand in meta/ too */
	if (aq_env_is_name(name))
		aq_strv_add(arg, name);
	return 0;
}

int aq_verify_names(const struct aq_conf *conf, struct aq_strv *ret,
		    struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = aq_store_names(store, ret, err);
	if (rc && rc != AQ_MISS)
		return rc;
	rc = aq_collect_each_entry(conf, "envs", add_entry, ret, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, "meta", add_entry, ret, err);
	aq_strv_sort_unique(ret);
	return rc ? rc : aq_strv_done(ret, "environments", err);
}

/* -- cache.db -- */

static int check_database(const struct aq_verify *v, struct aq_store **ret,
			  struct aq_findings *f, struct aq_err *err)
{
	struct aq_err why = { 0 };
	int rc = aq_store_open(v->conf, AQ_STORE_READ, ret, &why);

	if (!rc)
		rc = aq_store_check(*ret, &why);
	if (rc == AQ_CORRUPT) {
		/* SQLite says it in several lines */
		for (char *p = why.text; (p = strchr(p, '\n'));)
			*p = ' ';
		aq_findings_add(f, AQ_FINDING_DATABASE, NULL, "cache.db",
				"cache.db is damaged: %s", why.text);
	}
	if (rc == AQ_MISS && verify_is_there(v->conf, "cache.db"))
		return aq_fail(err, AQ_SYS, "%s", why.text);
	if (rc && rc != AQ_MISS && rc != AQ_CORRUPT)
		return aq_fail(err, (enum aq_class)rc, "%s", why.text);
	return rc;
}

/* -- bases -- */

struct marks {
	const struct aq_verify *v;
	const struct aq_bases *bases;
	struct aq_findings *f;
};

static const struct aq_base *find_base(const struct aq_bases *bases,
				       const char *python)
{
	for (size_t i = 0; i < bases->n; i++)
		if (strcmp(bases->v[i].python, python) == 0)
			return &bases->v[i];
	return NULL;
}

/* A mark in meta/ from which the row could not be made again. */
static int check_mark(const char *name, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str env = AQ_STR_INIT(AQ_ENV_NAME_SIZE);
	cleanup_close int meta = -1;
	struct marks *m = arg;
	struct aq_err why = { 0 };
	const char *python = aq_base_of_mark(name);
	const struct aq_base *base;
	char path[64];
	int rc;

	if (!python)
		return 0;
	if (aq_collect_open(m->v->conf, "meta", &meta, err) != 0)
		return AQ_SYS;
	base = find_base(m->bases, python);
	rc = aq_read_file(meta, name, &env, &why);
	if (!rc && base && strcmp(aq_str_get(&env), base->env) == 0)
		return 0;
	/* what the system does not let us read is not damaged */
	if ((why.errnum && why.errnum != ELOOP) || env.broken == ENOMEM)
		return aq_fail(err, AQ_SYS, "%s", why.text);
	snprintf(path, sizeof(path), "meta/%.40s", name);
	aq_findings_add(m->f, AQ_FINDING_BASE, NULL, path,
			base ? "'%s' names another environment than the row of that base" :
			       "'%s' marks a base that has no row", path);
	return 0;
}

static int check_bases(const struct aq_verify *v, struct aq_store *store,
		       struct aq_findings *f, struct aq_err *err)
{
	struct aq_bases bases = { 0 };
	struct marks m = { v, &bases, f };
	int rc = aq_store_bases(store, &bases, err);

	if (!rc)
		rc = aq_collect_each_entry(v->conf, "meta", check_mark, &m, err);
	for (size_t i = 0; !rc && i < bases.n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "meta/" AQ_BASE_MARK "%s",
			 bases.v[i].python);
		if (!verify_is_there(v->conf, path))
			aq_findings_add(f, AQ_FINDING_BASE, NULL, path,
					"base %s ('%s') has no mark '%s'",
					bases.v[i].python, bases.v[i].env, path);
	}
	return rc;
}

/* -- references -- */

struct holds {
	struct aq_store *store;
	struct aq_findings *f;
};

static int check_reference(const struct aq_lease *ref, void *arg,
			   struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	struct holds *h = arg;
	int rc;

	if (!*ref->env)
		return 0;
	rc = aq_store_find_exact(h->store, ref->env, &env, err);
	if (rc == AQ_MISS)
		aq_findings_add(h->f, AQ_FINDING_REFERENCE, NULL, NULL,
				"job %u on node %s uses '%s', which is not there",
				ref->step.job, ref->node, ref->env);
	return rc == AQ_MISS || rc == AQ_CORRUPT ? 0 : rc;
}

static int check_references(const struct aq_verify *v, struct aq_store *store,
			    struct aq_findings *f, struct aq_err *err)
{
	cleanup_refs struct aq_refs *refs = NULL;
	struct holds h = { store, f };
	int rc = aq_refs_open_to_look(v->conf, &refs, err);

	return rc ? rc : aq_refs_each(refs, check_reference, &h, err);
}

int aq_verify_cache(const struct aq_verify *v, struct aq_findings *ret,
		    struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = check_database(v, &store, ret, err);

	if (rc == AQ_MISS || rc == AQ_CORRUPT)
		return aq_findings_done(ret, err); /* no rows to compare with */
	if (!rc)
		rc = check_bases(v, store, ret, err);
	if (!rc)
		rc = check_references(v, store, ret, err);
	return rc ? rc : aq_findings_done(ret, err);
}

/* -- leftovers -- */

static int count(const char *name, void *arg, struct aq_err *err)
{
	(void)name;
	(void)err;
	++*(uint64_t *)arg;
	return 0;
}

struct half_built {
	const struct aq_conf *conf;
	uint64_t n;
};

/* The places of bases are empty, and stay. */
static int count_half_built(const char *name, void *arg, struct aq_err *err)
{
	struct half_built *h = arg;
	char path[64];

	(void)err;
	snprintf(path, sizeof(path), "envs/%.40s", name);
	if (!verify_is_there(h->conf, path) &&
	    aq_flock_check_build(h->conf, name, NULL) == 0)
		h->n++;
	return 0;
}

int aq_verify_leftovers(const struct aq_conf *conf, uint64_t *ret_trash,
			uint64_t *ret_work, struct aq_err *err)
{
	struct half_built h = { .conf = conf };
	int rc;

	*ret_trash = 0;
	rc = aq_collect_each_entry(conf, "trash", count, ret_trash, err);
	if (!rc)
		rc = aq_collect_each_entry(conf, "work/envs", count_half_built,
					   &h, err);
	*ret_work = h.n;
	return rc;
}
