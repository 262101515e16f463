/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment holds: conda's packages, and the list of all. */
#include "cli/installed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/db.h"
#include "common/grow.h"
#include "common/io.h"
#include "common/text.h"

#define RECORD_MAX (64 * 1024 * 1024) /* of a package with 100,000 files */
#define PROBLEMS_MAX 1000

int installed_begin(struct installed *in, struct aq_err *err)
{
	*in = (struct installed){ .of_conda = AQ_STRV_INIT(INSTALLED_MAX),
				  .problems = AQ_STRV_INIT(PROBLEMS_MAX) };
	return aq_db_open_memory(&in->json, err);
}

void installed_end(struct installed *in)
{
	for (size_t i = 0; i < in->n; i++) {
		free(in->packages[i].name);
		free(in->packages[i].version);
		free(in->packages[i].where);
	}
	free(in->packages);
	aq_strv_free(&in->of_conda);
	aq_strv_free(&in->problems);
	aq_db_free(in->json);
}

static bool is_conda(const struct installed_package *p)
{
	return p->from == INSTALLED_CONDA;
}

const struct installed_package *installed_find(const struct installed *in,
					       bool of_conda, const char *name)
{
	for (size_t i = 0; i < in->n; i++)
		if (is_conda(&in->packages[i]) == of_conda &&
		    strcmp(in->packages[i].name, name) == 0)
			return &in->packages[i];
	return NULL;
}

int installed_add(struct installed *in, enum installed_from from,
		  const char *name, const char *version, const char *where,
		  const char *of, struct aq_err *err)
{
	struct installed_package p = { .from = from };
	char show[AQ_SHOW_PATH_SIZE];

	if (!*name || !*version || !aq_text_is_clean(name) ||
	    !aq_text_is_clean(version) || !aq_text_is_clean(where)) {
		aq_strv_add_fmt(&in->problems,
				"'%s' does not say which package it is of",
				aq_show_path(of, show));
		return 0;
	}
	if (installed_find(in, from == INSTALLED_CONDA, name))
		return 0;
	if (!aq_grow(in->packages, in->n, INSTALLED_MAX))
		return aq_fail_errno(err, "cannot list more packages");
	p.name = strdup(name);
	p.version = strdup(version);
	p.where = strdup(where);
	in->packages[in->n++] = p;
	if (!p.name || !p.version || !p.where)
		return aq_fail(err, AQ_SYS, "out of memory for a package");
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct installed_package *p = a, *q = b;

	return p->from != q->from ? (p->from > q->from) - (p->from < q->from) :
				    strcmp(p->name, q->name);
}

void installed_sort(struct installed *in)
{
	if (in->n)
		qsort(in->packages, in->n, sizeof(*in->packages), by_name);
}

int installed_read_file(int dirfd, const char *name, struct aq_str *out,
			struct aq_err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	/* before it is opened: some devices do something then, and root may look at
	 * somebody's directory
	 */
	if (fstatat(dirfd, name, &st, 0) == 0 && !S_ISREG(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is no regular file", name);
	/* O_NONBLOCK: should it be a FIFO by now, nobody waits for it */
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return AQ_MISS;
	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot read '%s'", name);
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_SYS, "'%s' is no regular file", name);
	return aq_read_open(fd, name, out, err);
}

/* -- conda's records -- */

struct record {
	struct installed *in;
	int dir;
	const char *prefix;
	const char *file;
};

/* "URL/linux-64/FILE" of a package, or what its record calls the channel. */
static int add_package(const struct aq_db_row *row, void *arg,
		       struct aq_err *err)
{
	const struct record *r = arg;
	cleanup_free char *url = strdup(aq_db_text(row, 2));

	if (!url)
		return aq_fail(err, AQ_SYS, "out of memory for a channel");
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(url, '/');

		if (slash)
			*slash = '\0';
	}
	return installed_add(r->in, INSTALLED_CONDA, aq_db_text(row, 0),
			     aq_db_text(row, 1),
			     *url ? url : aq_db_text(row, 3), r->file, err);
}

/* ".../NAME-1.0.dist-info/METADATA": the directory's name, or the file's. */
static int add_metadata(const struct aq_db_row *row, void *arg,
			struct aq_err *err)
{
	struct installed *in = arg;
	const char *at = aq_db_text(row, 0);

	(void)err;
	while (*at) {
		size_t len = strcspn(at, "/");
		cleanup_free char *part = strndup(at, len);

		if (part && (aq_ends_with(part, ".dist-info") ||
			     aq_ends_with(part, ".egg-info")) &&
		    !aq_strv_has(&in->of_conda, part))
			aq_strv_add(&in->of_conda, part);
		at += len + (at[len] == '/');
	}
	return 0;
}

static int read_record(struct record *r, const struct aq_str *json,
		       struct aq_err *err)
{
	static const char package[] =
		"SELECT json_extract(?1, '$.name'), json_extract(?1, '$.version'),"
		" json_extract(?1, '$.url'), json_extract(?1, '$.channel')";
	static const char files[] =
		"SELECT value FROM json_each(?1, '$.files')"
		" WHERE value LIKE '%-info/METADATA' OR value LIKE '%-info/PKG-INFO'"
		"  OR value LIKE '%.egg-info'"
		" UNION SELECT json_extract(value, '$._path')"
		" FROM json_each(?1, '$.paths_data.paths')"
		" WHERE json_extract(value, '$._path') LIKE '%-info/%'";
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(json)) };
	int rc = aq_db_run(r->in->json, package, values, 1, add_package, r, err);

	if (!rc)
		rc = aq_db_run(r->in->json, files, values, 1, add_metadata,
			       r->in, err);
	return rc == AQ_MISS ? 0 : rc; /* a package without files */
}

static int read_if_record(const char *name, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str json = AQ_STR_INIT(RECORD_MAX);
	struct record *r = arg;
	struct aq_err why = { 0 };
	char show[AQ_SHOW_PATH_SIZE];
	int rc;

	if (!aq_ends_with(name, ".json"))
		return 0;
	r->file = name;
	rc = installed_read_file(r->dir, name, &json, &why);
	if (!rc)
		rc = read_record(r, &json, &why);
	/* one record tells nothing about the others */
	if (rc && rc != AQ_MISS)
		aq_strv_add_fmt(&r->in->problems, "%s/conda-meta/%s: %s",
				r->prefix, aq_show_path(name, show),
				rc == AQ_CORRUPT ? "is no record of a package" :
						   why.text);
	return rc == AQ_SYS && why.errnum == ENOMEM ?
		       aq_fail(err, AQ_SYS, "%s", why.text) : 0;
}

int installed_read_conda(struct installed *in, const char *prefix,
			 struct aq_err *err)
{
	struct record r = { .in = in, .dir = -1, .prefix = prefix };
	cleanup_free char *path = NULL;
	cleanup_close int dir = -1;
	int rc;

	if (asprintf(&path, "%s/conda-meta", prefix) < 0)
		return aq_fail(err, AQ_SYS, "out of memory for a path");
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return aq_fail_errno(err, "cannot read '%s'", path);
	r.dir = dir;
	rc = aq_each_entry(dir, path, read_if_record, &r, err);
	return rc ? rc : aq_strv_done(&in->of_conda, "a list of files", err);
}
