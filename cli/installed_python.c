/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment holds: Python's packages. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/installed.h"
#include "common/db.h"
#include "common/io.h"
#include "common/pep508.h"
#include "common/text.h"

#define METADATA_MAX (4 * 1024 * 1024) /* it holds a package's whole README */

/* A directory of packages, and one entry of it. */
struct site {
	struct installed *in;
	int dir;
	const char *path;
	bool is_system;
	const char *entry;
};

/* The value of the header 'name' ("Name: "): before the first empty line. */
static char *header(const char *text, const char *name)
{
	for (; *text && *text != '\n' && *text != '\r'; text = aq_next_line(text)) {
		size_t len = strcspn(text, "\r\n");

		if (len > strlen(name) &&
		    strncasecmp(text, name, strlen(name)) == 0) {
			text += strlen(name);
			text += strspn(text, " \t");
			return strndup(text, strcspn(text, "\r\n"));
		}
	}
	return strdup("");
}

/* A file of the entry's; empty if it has none. */
static int read_part(const struct site *s, const char *file, struct aq_str *out,
		     struct aq_err *err)
{
	cleanup_free char *path = NULL;
	int rc;

	if (asprintf(&path, "%s%s%s", s->entry, *file ? "/" : "", file) < 0)
		return aq_fail(err, AQ_SYS, "out of memory for a path");
	rc = installed_read_file(s->dir, path, out, err);
	return rc == AQ_MISS ? 0 : rc;
}

/* -- direct_url.json (PEP 610) -- */

struct origin {
	enum installed_from from;
	char *where;
};

static int take_origin(const struct aq_db_row *row, void *arg,
		       struct aq_err *err)
{
	struct origin *o = arg;
	const char *url = aq_db_text(row, 0), *commit = aq_db_text(row, 2);
	const char *sub = aq_db_text(row, 4);
	bool is_git = strcmp(aq_db_text(row, 1), "git") == 0 && *commit;

	o->from = aq_db_number(row, 3) ? INSTALLED_EDITABLE :
		  is_git	       ? INSTALLED_GIT :
					 INSTALLED_URL;
	if (asprintf(&o->where, "%s%s%s%s%s%s", is_git ? "git+" : "", url,
		     is_git ? "@" : "", is_git ? commit : "",
		     is_git && *sub ? "#subdirectory=" : "",
		     is_git ? sub : "") < 0) {
		o->where = NULL;
		return aq_fail(err, AQ_SYS, "out of memory for a URL");
	}
	return 0;
}

static int read_origin(const struct site *s, struct origin *o,
		       struct aq_err *err)
{
	static const char query[] =
		"SELECT json_extract(?1, '$.url'),"
		" json_extract(?1, '$.vcs_info.vcs'),"
		" json_extract(?1, '$.vcs_info.commit_id'),"
		" json_extract(?1, '$.dir_info.editable') IS 1,"
		" json_extract(?1, '$.subdirectory')";
	cleanup_str struct aq_str json = AQ_STR_INIT(METADATA_MAX);
	int rc = read_part(s, "direct_url.json", &json, err);
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(&json)) };

	if (rc || !json.len)
		return rc;
	return aq_db_run(s->in->json, query, values, 1, take_origin, o, err);
}

/* -- an entry -- */

static int add(struct site *s, const char *name, const char *version,
	       const struct origin *o, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	struct aq_err why;
	int rc = aq_requirement_parse(name, &r, &why);

	if (rc == AQ_SYS)
		return aq_fail(err, rc, "%s", why.text);
	return installed_add(s->in, o->from, rc ? "" : r.name, version,
			     o->where ? o->where : "", s->entry, err);
}

/* "NAME.dist-info", or "NAME.egg-info", a directory or its PKG-INFO itself. */
static int read_metadata(struct site *s, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(METADATA_MAX);
	cleanup_str struct aq_str installer = AQ_STR_INIT(METADATA_MAX);
	bool is_dist = aq_ends_with(s->entry, ".dist-info");
	cleanup_free char *name = NULL, *version = NULL, *where = NULL;
	struct origin o = { .from = s->is_system ? INSTALLED_SYSTEM :
						   INSTALLED_INDEX };
	int rc = read_part(s, is_dist ? "METADATA" : "PKG-INFO", &text, err);

	if (!rc && !is_dist && !text.len)
		rc = read_part(s, "", &text, err);
	if (!rc && is_dist)
		rc = read_part(s, "INSTALLER", &installer, err);
	if (!rc && is_dist && !s->is_system)
		rc = read_origin(s, &o, err);
	where = o.where;
	/* pip's remains of an interrupted upgrade have no METADATA */
	if (rc || !text.len || aq_starts_with(aq_str_get(&installer), "conda"))
		return rc;
	name = header(text.s, "Name:");
	version = header(text.s, "Version:");
	if (!name || !version)
		return aq_fail(err, AQ_SYS, "out of memory for a package");
	return add(s, name, version, &o, err);
}

/* "NAME.egg-link": setuptools' "develop"; its first line is the source tree, a path.
 * What is none is not shown: it may be a link to what root alone can read.
 */
static int read_link(struct site *s, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(METADATA_MAX);
	cleanup_free char *where = NULL, *name = NULL;
	struct origin o = { .from = INSTALLED_EDITABLE };
	int rc = read_part(s, "", &text, err);

	if (rc)
		return rc;
	where = strndup(aq_str_get(&text), *aq_str_get(&text) != '/' ? 0 :
			strcspn(aq_str_get(&text), "\r\n"));
	name = strndup(s->entry, strlen(s->entry) - strlen(".egg-link"));
	if (!where || !name)
		return aq_fail(err, AQ_SYS, "out of memory for a package");
	o.where = where;
	return add(s, name, "0", &o, err);
}

static int read_entry(const char *name, void *arg, struct aq_err *err)
{
	struct site *s = arg;
	struct aq_err why = { 0 };
	char show[AQ_SHOW_PATH_SIZE];
	int rc = 0;

	s->entry = name;
	/* pip renames what it is about to remove: "~umpy-1.0.dist-info" */
	if (*name == '~' || aq_strv_has(&s->in->of_conda, name))
		return 0;
	if (aq_ends_with(name, ".dist-info") || aq_ends_with(name, ".egg-info"))
		rc = read_metadata(s, &why);
	else if (aq_ends_with(name, ".egg-link"))
		rc = read_link(s, &why);
	if (rc)
		aq_strv_add_fmt(&s->in->problems, "%s/%s: %s", s->path,
				aq_show_path(name, show),
				rc == AQ_CORRUPT ? "its direct_url.json is no JSON" :
						   why.text);
	return rc == AQ_SYS && why.errnum == ENOMEM ?
		       aq_fail(err, AQ_SYS, "%s", why.text) : 0;
}

int installed_read_python(struct installed *in, const char *path,
			  bool is_system, struct aq_err *err)
{
	cleanup_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct site s = { .in = in, .dir = dir, .path = path,
			  .is_system = is_system };

	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (dir < 0)
		return aq_fail_errno(err, "cannot read '%s'", path);
	return aq_each_entry(dir, path, read_entry, &s, err);
}
