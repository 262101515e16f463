/* SPDX-License-Identifier: Apache-2.0 */
/* What is known to be in a prefix: conda-meta/NAME.json of conda's packages
 * (`paths_data`), RECORD of wheels.  The records must be those of the lock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base.h"
#include "common/db.h"
#include "common/dist_info.h"
#include "common/io.h"
#include "common/pep440.h"
#include "common/verify_inside.h"

/* The record of a package: of 100,000 files. */
#define RECORD_MAX (64 * 1024 * 1024)
#define NAME_SIZE AQ_DIST_INFO_SIZE

struct reading {
	int prefix;
	const struct aq_lock *lock;
	struct claims *claims;
	struct aq_findings *f;
	struct aq_db *json;
	bool *has_record; /* of each item of the lock */
	int package;      /* whose record is read */
	bool is_noarch;   /* a package for any Python */
	const char *path; /* of that record, for people */
	const char *site; /* "lib/python3.9/site-packages" */
};

/* -- conda -- */

/* "…/NAME-VERSION.dist-info/RECORD" of a package whose place a wheel of the lock
 * took: its files may be gone.
 */
static bool is_of_wheel(const struct aq_lock *lock, const char *path)
{
	char name[NAME_SIZE], version[NAME_SIZE], info[NAME_SIZE];
	const char *end, *start;

	if (!aq_ends_with(path, ".dist-info/RECORD"))
		return false;
	end = strrchr(path, '/');
	start = memrchr(path, '/', (size_t)(end - path));
	start = start ? start + 1 : path;
	snprintf(info, sizeof(info), "%.*s", (int)(end - start), start);
	return aq_dist_info_split(info, name, version) &&
	       aq_dist_info_wheel(lock, name, strlen(name));
}

/* Where a path of a package for any Python is in the prefix: conda records it as the
 * package has it, the others as it became.
 */
static const char *place(const struct reading *r, const char *path,
			 char ret[AQ_WALK_PATH_MAX])
{
	static const char site[] = "site-packages/", scripts[] = "python-scripts/";

	if (r->is_noarch && aq_starts_with(path, site))
		snprintf(ret, AQ_WALK_PATH_MAX, "%s/%s", r->site,
			 path + strlen(site));
	else if (r->is_noarch && aq_starts_with(path, scripts))
		snprintf(ret, AQ_WALK_PATH_MAX, "bin/%s", path + strlen(scripts));
	else
		return path;
	return ret;
}

static int add_path(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct reading *r = arg;
	char buf[AQ_WALK_PATH_MAX];
	const char *path = place(r, aq_db_text(row, 0), buf);
	const char *sha256 = aq_db_text(row, 1), *type = aq_db_text(row, 2);

	/* byte-code that a client would have made, if it could: ours is noted in
	 * meta/NAME/sums
	 */
	if (strcmp(type, "directory") == 0 || strcmp(type, "pyc_file") == 0)
		return 0;
	if (is_of_wheel(r->lock, path))
		r->claims->is_replaced[r->package] = true;
	return claims_add(r->claims, path, '?', r->package,
			  aq_is_hex(sha256, AQ_SHA256_HEX_SIZE - 1) ? sha256 : "",
			  0, err);
}

struct origin {
	char name[NAME_SIZE], version[NAME_SIZE], build[NAME_SIZE];
	char sha256[AQ_SHA256_HEX_SIZE];
	char url[2048];
	bool is_noarch; /* of Python */
};

static int take_origin(const struct aq_db_row *row, void *arg,
		       struct aq_err *err)
{
	struct origin *o = arg;

	if (!aq_copy_text(o->name, sizeof(o->name), aq_db_text(row, 0)) ||
	    !aq_copy_text(o->version, sizeof(o->version), aq_db_text(row, 1)) ||
	    !aq_copy_text(o->build, sizeof(o->build), aq_db_text(row, 2)) ||
	    !aq_copy_text(o->sha256, sizeof(o->sha256), aq_db_text(row, 3)) ||
	    !aq_copy_text(o->url, sizeof(o->url), aq_db_text(row, 4)))
		return aq_fail(err, AQ_CORRUPT, "its fields are too long");
	o->is_noarch = strcmp(aq_db_text(row, 5), "python") == 0;
	return 0;
}

/* The record against the lock: by digest; by URL where it has none. */
static void judge_origin(struct reading *r, const struct origin *o)
{
	const struct aq_lock_item *item =
		aq_lock_find(r->lock, AQ_LOCK_CONDA, o->name);

	if (!item) {
		aq_findings_add(r->f, AQ_FINDING_RECORD, o->name, r->path,
				"package '%s' is there, which its lock does not have",
				o->name);
		return;
	}
	r->has_record[item - r->lock->items] = true;
	if (strcmp(item->version, o->version) != 0 ||
	    strcmp(item->build, o->build) != 0)
		aq_findings_add(r->f, AQ_FINDING_RECORD, o->name, r->path,
				"package '%s' is %s %s, its lock has %s %s",
				o->name, o->version, o->build, item->version,
				item->build);
	else if (o->sha256[0] ? strcmp(item->sha256, o->sha256) != 0 :
				strcmp(item->url, o->url) != 0)
		aq_findings_add(r->f, AQ_FINDING_RECORD, o->name, r->path,
				"package '%s' is from another archive than that of its lock",
				o->name);
}

static int read_json(struct reading *r, const struct aq_str *json,
		     struct origin *o, struct aq_err *err)
{
	static const char origin[] =
		"SELECT json_extract(?1, '$.name'), json_extract(?1, '$.version'),"
		" json_extract(?1, '$.build'), json_extract(?1, '$.sha256'),"
		" json_extract(?1, '$.url'), json_extract(?1, '$.noarch')";
	static const char paths[] =
		"SELECT json_extract(value, '$._path'),"
		" coalesce(json_extract(value, '$.sha256_in_prefix'),"
		"  json_extract(value, '$.sha256')),"
		" json_extract(value, '$.path_type')"
		" FROM json_each(?1, '$.paths_data.paths')";
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(json)) };
	int rc = aq_db_run(r->json, origin, values, 1, take_origin, o, err);

	if (!rc)
		rc = claims_add_package(r->claims, o->name, &r->package, err);
	r->is_noarch = o->is_noarch;
	if (!rc)
		rc = aq_db_run(r->json, paths, values, 1, add_path, r, err);
	return rc == AQ_MISS ? 0 : rc; /* a package without files */
}

static int read_conda(struct reading *r, int dir, const char *name,
		      struct aq_err *err)
{
	cleanup_str struct aq_str json = AQ_STR_INIT(RECORD_MAX);
	struct origin o = { 0 };
	struct aq_err why = { 0 };
	char path[NAME_MAX + 16];
	int rc = aq_read_file(dir, name, &json, err);

	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	snprintf(path, sizeof(path), "conda-meta/%s", name);
	r->path = path;
	rc = read_json(r, &json, &o, &why);
	if (rc == AQ_CORRUPT) {
		aq_findings_add(r->f, AQ_FINDING_RECORD, NULL, path,
				"'%s' is no record of a package", path);
		return 0;
	}
	if (rc)
		return aq_fail(err, (enum aq_class)rc, "%s", why.text);
	judge_origin(r, &o);
	return 0;
}

/* -- wheels -- */

static int add_rows(struct reading *r, char *text, struct aq_err *err)
{
	char path[AQ_WALK_PATH_MAX], sha256[AQ_SHA256_HEX_SIZE];
	int rc = 0;

	while (!rc && aq_dist_info_next(&text, r->site, path, sha256))
		rc = claims_add(r->claims, path, '?', r->package, sha256, 0,
				err);
	return rc;
}

/* Whether both are one version, in whatever spelling. */
static int compare_versions(const char *a, const char *b, bool *ret,
			    struct aq_err *err)
{
	const struct aq_pep440_flags flags = { .strip = true, .local = true };
	cleanup_str struct aq_str x = AQ_STR_INIT(NAME_SIZE);
	cleanup_str struct aq_str y = AQ_STR_INIT(NAME_SIZE);

	*ret = strcmp(a, b) == 0 ||
	       (aq_pep440_version(a, strlen(a), flags, &x) &&
		aq_pep440_version(b, strlen(b), flags, &y) &&
		strcmp(aq_str_get(&x), aq_str_get(&y)) == 0);
	return x.broken == ENOMEM || y.broken == ENOMEM ?
		aq_fail(err, AQ_SYS, "out of memory for a version") : 0;
}

/* Whether a conda package says that 'path' is its own: what is in it is checked
 * by that.
 */
static bool is_claimed(const struct claims *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].package >= 0 &&
		    !c->is_replaced[c->v[i].package] &&
		    strcmp(c->v[i].path, path) == 0)
			return true;
	return false;
}

static int read_wheel(struct reading *r, int site, const char *info,
		      struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(RECORD_MAX);
	char name[NAME_SIZE], version[NAME_SIZE];
	char in[NAME_MAX + 16], path[AQ_WALK_PATH_MAX];
	const struct aq_lock_item *item;
	bool is_same = false;
	int rc = 0;

	snprintf(in, sizeof(in), "%s/RECORD", info);
	snprintf(path, sizeof(path), "%s/%s", r->site, in);
	if (!aq_dist_info_split(info, name, version))
		return 0;
	item = aq_dist_info_wheel(r->lock, name, strlen(name));
	if (!item && is_claimed(r->claims, path))
		return 0;
	if (item)
		rc = compare_versions(item->version, version, &is_same, err);
	if (rc)
		return rc;
	if (!is_same) {
		aq_findings_add(r->f, AQ_FINDING_RECORD, name, path,
				item ? "wheel '%s' is of another version than in its lock" :
				       "wheel '%s' is there, which its lock does not have",
				name);
		return 0;
	}
	rc = aq_read_file(site, in, &text, err);
	if (rc == AQ_MISS || (!rc && !text.len))
		return 0; /* found missing, as a record that is not there */
	r->has_record[item - r->lock->items] = true;
	if (!rc)
		rc = claims_add_package(r->claims, item->name, &r->package, err);
	return rc ? rc : add_rows(r, text.s, err);
}

/* -- all of them -- */

/* Files of one directory, and who reads them. */
struct kind {
	struct reading *r;
	int dir;
	const char *end; /* of their names */
	int (*read)(struct reading *r, int dir, const char *name,
		    struct aq_err *err);
};

static int read_if_kind(const char *name, void *arg, struct aq_err *err)
{
	const struct kind *k = arg;

	return *name != '.' && aq_ends_with(name, k->end) ?
		       k->read(k->r, k->dir, name, err) :
		       0;
}

static int read_all(struct reading *r, struct aq_err *err)
{
	struct kind conda = { r, -1, ".json", read_conda };
	struct kind wheels = { r, -1, ".dist-info", read_wheel };
	cleanup_close int meta = -1, site = -1;
	int rc = aq_open_dir(r->prefix, "conda-meta", &meta, err);

	conda.dir = meta;
	if (!rc)
		rc = aq_each_entry(meta, "conda-meta", read_if_kind, &conda,
				   err);
	if ((rc && rc != AQ_MISS) || !*r->site)
		return rc == AQ_MISS ? 0 : rc;
	rc = aq_open_below(r->prefix, r->site, &site, err);
	wheels.dir = site;
	if (!rc)
		rc = aq_each_entry(site, r->site, read_if_kind, &wheels, err);
	return rc == AQ_MISS ? 0 : rc;
}

int verify_read_records(int prefix, const struct aq_manifest *m,
			struct claims *ret, struct aq_findings *f,
			struct aq_err *err)
{
	cleanup_free bool *has_record = calloc(m->lock->n_items + 1,
					       sizeof(*has_record));
	char python[AQ_BASE_PYTHON_SIZE], site[64] = "";
	cleanup_db struct aq_db *json = NULL;
	struct reading r = { .prefix = prefix, .lock = m->lock, .claims = ret,
			     .f = f, .has_record = has_record, .site = site };
	int rc = has_record ? aq_db_open_memory(&json, err) :
			      aq_fail(err, AQ_SYS, "out of memory");

	r.json = json;
	aq_base_name_of(m->lock->python ? m->lock->python : "", python);
	if (*python)
		snprintf(site, sizeof(site), "lib/python%s/site-packages",
			 python);
	if (!rc)
		rc = read_all(&r, err);
	for (size_t i = 0; !rc && i < m->lock->n_items; i++)
		if (!has_record[i])
			aq_findings_add(f, AQ_FINDING_RECORD,
					m->lock->items[i].name, NULL,
					"package '%s' has no record, which its lock has",
					m->lock->items[i].name);
	return rc;
}
