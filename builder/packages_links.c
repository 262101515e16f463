/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the links of all packages of a lock stay where each says that it is. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/packages.h"

#define LINKS_MAX 1000000 /* of all packages of a lock */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether a link of 'links' is on the way to 'path'. */
static bool is_through_link(const struct aq_strv *links, const char *path)
{
	char part[PATH_MAX];
	const char *key = part;

	if (!aq_copy_text(part, sizeof(part), path))
		return true;
	for (char *slash; (slash = strrchr(part, '/'));) {
		*slash = '\0';
		if (bsearch(&key, links->v, links->n, sizeof(*links->v), compare))
			return true;
	}
	return false;
}

/* A path of a package as it is in the prefix: packages of Python alone do not say which
 * that is (CEP 19, "noarch"), but others may; so both.
 */
static void add_path(const struct build *b, const char *line, size_t len,
		     struct aq_strv *links)
{
	static const char site[] = "site-packages/", scripts[] = "python-scripts/";
	char python[AQ_BASE_PYTHON_SIZE];

	aq_strv_add_mem(links, line, len);
	if (aq_starts_with(line, scripts))
		aq_strv_add_fmt(links, "bin/%.*s", (int)(len - strlen(scripts)),
				line + strlen(scripts));
	if (!aq_starts_with(line, site) || !b->lock->python)
		return;
	aq_base_name_of(b->lock->python, python);
	aq_strv_add_fmt(links, "lib/python%s/%.*s", python, (int)len, line);
}

int packages_judge_links(struct build *b, const char *text, struct aq_err *err)
{
	cleanup_strv struct aq_strv links = AQ_STRV_INIT(LINKS_MAX);
	int rc;

	for (const char *line = text; *line; line = aq_next_line(line))
		add_path(b, line, strcspn(line, "\n"), &links);
	rc = aq_strv_done(&links, "the packages' links", err);
	if (rc || !links.n)
		return rc;
	aq_strv_sort(&links);
	for (size_t i = 0; i < links.n; i++) {
		if (!is_through_link(&links, links.v[i]))
			continue;
		b->verdict = BUILD_REFUSED;
		return aq_fail(err, AQ_USER, "the packages have a link where another link of theirs leads: '%.500s'",
			       links.v[i]);
	}
	return 0;
}
