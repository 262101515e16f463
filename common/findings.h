/* SPDX-License-Identifier: Apache-2.0 */
/* What `aq verify` found, until it is known whether it still holds. */
#ifndef AQ_FINDINGS_H
#define AQ_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"

enum aq_finding_kind {
	AQ_FINDING_DATABASE, /* cache.db itself */
	AQ_FINDING_ROW,      /* cannot be read */
	AQ_FINDING_MANIFEST, /* is not there, damaged, or says otherwise */
	AQ_FINDING_PREFIX,   /* is not there, or not root's */
	AQ_FINDING_SEAL,     /* a file that could be changed */
	AQ_FINDING_SIZE,     /* it takes other than its row says */
	AQ_FINDING_BASE,     /* a base that is no environment */
	AQ_FINDING_ORPHAN,   /* files without a row */
	AQ_FINDING_REFERENCE, /* to an environment that is not there */
	AQ_FINDING_RECORD,   /* packages are not those of the lock */
	AQ_FINDING_CONTENT,  /* a file was changed */
	AQ_FINDING_MISSING,  /* a file is not there */
	AQ_FINDING_EXTRA,    /* a file that nobody put there */
	AQ_FINDING_ARCHIVE,  /* in the package cache, with another digest */
};
/* "database", "row", …: for programs. */
const char *aq_finding_word(enum aq_finding_kind kind);

struct aq_finding {
	enum aq_finding_kind kind;
	char *package; /* or NULL */
	char *path;    /* of a file below the prefix, or of the cache; or NULL */
	char *text;    /* what is wrong, without the environment's name */
};

/* More of one environment say nothing new. */
#define AQ_FINDINGS_MAX 10000

struct aq_findings {
	struct aq_finding *v;
	size_t n;
	size_t n_left_out; /* over AQ_FINDINGS_MAX */
	bool is_broken;    /* out of memory: what was found is not known */
};
#define AQ_FINDINGS_INIT { 0 }
void aq_findings_free(struct aq_findings *f);
#define cleanup_findings __attribute__((cleanup(aq_findings_free)))

/* Add one.  'package' and 'path' may be NULL. */
void aq_findings_add(struct aq_findings *f, enum aq_finding_kind kind,
		     const char *package, const char *path, const char *fmt,
		     ...) AQ_PRINTF(5, 6);
/* Whether any is of 'kind'. */
bool aq_findings_have(const struct aq_findings *f, enum aq_finding_kind kind);
/* AQ_SYS: out of memory, so that there may be others. */
AQ_CHECK int aq_findings_done(const struct aq_findings *f, struct aq_err *err);

#endif
