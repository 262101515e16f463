/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody's environment holds: read from what installers wrote there, conda's
 * records and Python's metadata (packaging.python.org, "Recording installed
 * projects"); nothing of it is run.
 */
#ifndef AQ_CLI_INSTALLED_H
#define AQ_CLI_INSTALLED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/str.h"

#define INSTALLED_MAX 20000 /* packages of one environment */

enum installed_from {
	INSTALLED_CONDA,    /* where: its channel's URL */
	INSTALLED_INDEX,    /* pip's, by its name */
	INSTALLED_SYSTEM,   /* the operating system's packager brought it */
	INSTALLED_GIT,	    /* where: git+URL@COMMIT */
	INSTALLED_URL,	    /* where: another URL, of a file or directory too */
	INSTALLED_EDITABLE, /* where: that of a source tree */
};

struct installed_package {
	enum installed_from from;
	char *name; /* pip's: as PEP 503 has it */
	char *version;
	char *where; /* or NULL */
};

struct installed {
	struct installed_package *packages;
	size_t n;
	struct aq_strv of_conda; /* metadata that conda's packages brought */
	struct aq_strv problems; /* what could not be read, for people */
	struct aq_db *json;
};

int installed_begin(struct installed *in, struct aq_err *err);
void installed_end(struct installed *in);
#define cleanup_installed __attribute__((cleanup(installed_end)))

/* Add conda's packages of 'prefix'. */
AQ_CHECK int installed_read_conda(struct installed *in, const char *prefix,
				  struct aq_err *err);

/* Add what a directory of Python's packages has, but what conda brought, and what was
 * added by the same name: Python takes the first too.  Not there: nothing.
 * 'is_system': nobody but the operating system writes there.
 */
AQ_CHECK int installed_read_python(struct installed *in, const char *site,
				   bool is_system, struct aq_err *err);

/* By kind, then by name. */
void installed_sort(struct installed *in);

/* conda's or pip's of that name, or NULL. */
const struct installed_package *installed_find(const struct installed *in,
					       bool is_conda, const char *name);

/* For both: add one; AQ_SYS.  An empty name or version is a problem of 'of'. */
AQ_CHECK int installed_add(struct installed *in, enum installed_from from,
			   const char *name, const char *version,
			   const char *where, const char *of,
			   struct aq_err *err);

/* Append the regular file 'name' below 'dirfd', which may be a link, to 'out'.
 * AQ_MISS: not there.
 */
AQ_CHECK int installed_read_file(int dirfd, const char *name,
				 struct aq_str *out, struct aq_err *err);

#endif
