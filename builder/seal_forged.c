/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata that wheels may forge: what they unpack lands anywhere in the prefix,
 * so that one could say that others are there, or bring an interpreter.  conda's
 * packages come first, from the verified archives: what they brought of this is
 * noted before a wheel is installed, and compared afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/inherit.h"
#include "builder/prefix.h"
#include "builder/seal.h"
#include "builder/seal_inside.h"
#include "common/dist_info.h"
#include "common/io.h"

#define NAMES_MAX 16384 /* packages of a prefix */


/* -- names -- */

static bool is_any(const char *name)
{
	(void)name;
	return true;
}

static bool is_interpreter(const char *name)
{
	return aq_starts_with(name, "python") &&
	       !name[6 + strspn(name + 6, "0123456789.")];
}

static bool is_record(const char *name)
{
	return aq_ends_with(name, ".dist-info") ||
	       aq_ends_with(name, ".egg-info") || aq_ends_with(name, ".egg-link");
}

struct listing {
	bool (*is_it)(const char *name);
	struct aq_strv *names;
};

static int add_name(const char *name, void *arg, struct aq_err *err)
{
	const struct listing *l = arg;

	(void)err;
	if (l->is_it(name))
		aq_strv_add(l->names, name);
	return 0;
}

/* Those of the entries of 'path' below 'root', sorted; none where it is not
 * there.
 */
static int list(int root, const char *path, bool (*is_it)(const char *name),
		struct aq_strv *ret, struct aq_err *err)
{
	struct listing l = { is_it, ret };
	cleanup_close int fd = -1;
	int rc = aq_open_below(root, path, &fd, err);

	if (!rc)
		rc = aq_each_entry(fd, path, add_name, &l, err);
	aq_strv_sort(ret);
	if (rc == AQ_MISS)
		return 0;
	return rc ? rc : aq_strv_done(ret, path, err);
}

static void name_site(const struct build *b, char ret[BUILD_PATH_MAX])
{
	char python[AQ_BASE_PYTHON_SIZE];

	aq_base_name_of(b->lock->python, python);
	snprintf(ret, BUILD_PATH_MAX, "lib/python%s/site-packages", python);
}

/* -- what conda's packages brought -- */

/* A line for each: its name, and which file it is. */
static int describe(int root, const char *path,
		    bool (*is_it)(const char *name), struct aq_str *ret,
		    struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(NAMES_MAX);
	cleanup_close int fd = -1;
	int rc = list(root, path, is_it, &names, err);

	if (!rc && names.n)
		rc = aq_open_below(root, path, &fd, err);
	for (size_t i = 0; !rc && i < names.n; i++) {
		struct stat st;

		if (fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			return aq_fail_errno(err, "cannot examine '%s/%s'", path,
					     names.v[i]);
		aq_str_add_fmt(ret, "%s/%s %ju %jd %jd.%09ld\n", path,
			       names.v[i], (uintmax_t)st.st_ino,
			       (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
			       st.st_mtim.tv_nsec);
	}
	return rc;
}

static int describe_all(const struct build *b, int root, struct aq_str *ret,
			struct aq_err *err)
{
	int rc = describe(root, "conda-meta", is_any, ret, err);

	/* a layer's are made again when it is completed: judge_layer() */
	if (!rc && b->kind != AQ_ENV_INHERITED)
		rc = describe(root, "bin", is_interpreter, ret, err);
	return rc ? rc : aq_str_done(ret, "the metadata", err);
}

int seal_note_metadata(struct build *b, struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(NAMES_MAX);
	char site[BUILD_PATH_MAX];
	cleanup_close int root = -1;
	int rc = prefix_open(b, &root, err);

	aq_str_free(&b->metadata);
	aq_strv_free(&b->records);
	b->metadata = (struct aq_str)AQ_STR_INIT(AQ_LOCK_MAX);
	b->records = (struct aq_strv)AQ_STRV_INIT(NAMES_MAX);
	/* who installs wheels, with the caches to write, would follow one */
	if (!rc && aq_lock_count(b->lock, AQ_LOCK_WHEEL))
		rc = seal_judge_links(b, root, err);
	if (!rc)
		rc = describe_all(b, root, &b->metadata, err);
	if (rc || !b->lock->python)
		return rc;
	name_site(b, site);
	return list(root, site, is_record, &b->records, err);
}

/* -- and now -- */

/* conda-meta has a record of each conda package of the lock, and no other. */
static int judge_conda(struct build *b, int root, struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(NAMES_MAX);
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	int rc = list(root, "conda-meta", is_any, &names, err);

	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (item->kind == AQ_LOCK_CONDA)
			aq_strv_add_fmt(&known, "%s-%s-%s.json", item->name,
					item->version, item->build);
	}
	if (!rc)
		rc = aq_strv_done(&known, "the lock's packages", err);
	for (size_t i = 0; !rc && i < names.n; i++)
		if (aq_ends_with(names.v[i], ".json") &&
		    (b->kind == AQ_ENV_INHERITED ||
		     !aq_strv_has(&known, names.v[i])))
			rc = seal_refuse(b, names.v[i],
					 "the record of a conda package that is not one of the lock's",
					 err);
	return rc;
}

/* Each record of a Python package came with conda's or is a wheel's. */
static int judge_records(struct build *b, int root, struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(NAMES_MAX);
	char site[BUILD_PATH_MAX];
	int rc;

	if (!b->lock->python)
		return 0;
	name_site(b, site);
	rc = list(root, site, is_record, &names, err);
	for (size_t i = 0; !rc && i < names.n; i++)
		if (!aq_strv_has(&b->records, names.v[i]) &&
		    !aq_dist_info_wheel(b->lock, names.v[i],
					strcspn(names.v[i], "-")))
			rc = seal_refuse(b, names.v[i],
					 "the record of a package that is not one of the lock's",
					 err);
	return rc;
}

static bool is_link_to(int dir, const char *name, const char *target)
{
	char is[BUILD_PATH_MAX + 64];
	ssize_t len = readlinkat(dir, name, is, sizeof(is));

	return len == (ssize_t)strlen(target) &&
	       memcmp(is, target, (size_t)len) == 0;
}

/* A layer's interpreter is the base's, and its pyvenv.cfg what we wrote. */
static int judge_layer(struct build *b, int root, struct aq_err *err)
{
	cleanup_str struct aq_str cfg = AQ_STR_INIT(2 * BUILD_PATH_MAX);
	cleanup_str struct aq_str is = AQ_STR_INIT(2 * BUILD_PATH_MAX);
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(NAMES_MAX);
	char target[BUILD_PATH_MAX + 64];
	cleanup_close int bin = -1;
	int rc = aq_open_below(root, "bin", &bin, err);

	if (!rc)
		rc = list(root, "bin", is_interpreter, &names, err);
	if (!rc)
		rc = layer_write_cfg(b, &cfg, err);
	if (rc)
		return rc;
	if (aq_read_file(root, "pyvenv.cfg", &is, NULL) != 0 ||
	    strcmp(aq_str_get(&is), aq_str_get(&cfg)) != 0)
		return seal_refuse(b, "pyvenv.cfg", "which is another's", err);
	snprintf(target, sizeof(target), "%s/bin/python%s", b->base_prefix,
		 b->base.python);
	if (!is_link_to(bin, "python", target))
		return seal_refuse(b, "bin/python", "which is another's", err);
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;

		if (fstatat(bin, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISLNK(st.st_mode))
			return seal_refuse(b, names.v[i],
					   "an interpreter of its own", err);
	}
	return 0;
}

int seal_judge_metadata(struct build *b, int root, struct aq_err *err)
{
	cleanup_str struct aq_str now = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc;

	if (b->kind != AQ_ENV_INHERITED &&
	    faccessat(root, "pyvenv.cfg", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return seal_refuse(b, "pyvenv.cfg",
				   "which would make it another's layer", err);
	rc = describe_all(b, root, &now, err);
	if (!rc)
		rc = judge_conda(b, root, err);
	if (!rc && strcmp(aq_str_get(&now), aq_str_get(&b->metadata)) != 0)
		rc = seal_refuse(b, b->kind == AQ_ENV_INHERITED ?
					 "conda-meta" :
					 "conda-meta or bin/python",
				 "which are conda's", err);
	if (!rc)
		rc = judge_records(b, root, err);
	if (!rc && b->kind == AQ_ENV_INHERITED)
		rc = judge_layer(b, root, err);
	return rc;
}

int seal_check_metadata(struct build *b, struct aq_err *err)
{
	cleanup_close int root = -1;
	int rc = prefix_open(b, &root, err);

	return rc ? rc : seal_judge_metadata(b, root, err);
}
