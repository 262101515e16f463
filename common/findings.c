/* SPDX-License-Identifier: Apache-2.0 */
#include "common/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"

const char *aq_finding_word(enum aq_finding_kind kind)
{
	static const char *const words[] = {
		[AQ_FINDING_DATABASE] = "database",
		[AQ_FINDING_ROW] = "row",
		[AQ_FINDING_MANIFEST] = "manifest",
		[AQ_FINDING_PREFIX] = "prefix",
		[AQ_FINDING_SEAL] = "seal",
		[AQ_FINDING_SIZE] = "size",
		[AQ_FINDING_BASE] = "base",
		[AQ_FINDING_ORPHAN] = "orphan",
		[AQ_FINDING_REFERENCE] = "reference",
		[AQ_FINDING_RECORD] = "record",
		[AQ_FINDING_CONTENT] = "content",
		[AQ_FINDING_MISSING] = "missing",
		[AQ_FINDING_EXTRA] = "extra",
		[AQ_FINDING_ARCHIVE] = "archive",
	};

	return words[kind];
}

static void free_one(struct aq_finding *f)
{
	free(f->package);
	free(f->path);
	free(f->text);
}

void aq_findings_free(struct aq_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free_one(&f->v[i]);
	free(f->v);
	*f = (struct aq_findings)AQ_FINDINGS_INIT;
}

void aq_findings_add(struct aq_findings *f, enum aq_finding_kind kind,
		     const char *package, const char *path, const char *fmt,
		     ...)
{
	struct aq_finding new = { .kind = kind };
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&new.text, fmt, args) < 0)
		new.text = NULL;
	va_end(args);
	new.package = package ? strdup(package) : NULL;
	new.path = path ? strdup(path) : NULL;
	if (f->n >= AQ_FINDINGS_MAX) {
		f->n_left_out++;
	} else if (new.text && (!package || new.package) &&
		   (!path || new.path) && aq_grow(f->v, f->n, AQ_FINDINGS_MAX)) {
		f->v[f->n++] = new;
		return;
	} else {
		f->is_broken = true;
	}
	free_one(&new);
}

int aq_findings_done(const struct aq_findings *f, struct aq_err *err)
{
	return f->is_broken ?
		aq_fail(err, AQ_SYS, "out of memory for what was found") : 0;
}

bool aq_findings_have(const struct aq_findings *f, enum aq_finding_kind kind)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].kind == kind)
			return true;
	return false;
}
