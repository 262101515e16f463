/* SPDX-License-Identifier: Apache-2.0 */
/* PEP 508: pip's requirements, name[extras]versions; marker, or
 * name[extras] @ url ; marker (common/direct.h).
 */
#ifndef AQ_PEP508_H
#define AQ_PEP508_H

#include "common/err.h"
#include "common/str.h"

#define AQ_EXTRAS_MAX 64 /* of one requirement */

struct aq_requirement {
	char *name;	       /* PEP 503: lower case, '-' for runs of -_. */
	struct aq_strv extras; /* PEP 685: the same; sorted, each once */
	char *versions;	       /* normal form (common/pep440.h), "" for any */
	char *url;	       /* of a direct reference, or NULL */
	char *marker;	       /* normal form (common/marker.h), or NULL */
};

/* PEP 503's form of a name of 'len' bytes: lower case, '-' for runs of "-_."; cut to
 * ret[size].
 */
void aq_pep503_name(const char *name, size_t len, char *ret, size_t size);

/* Parse one requirement.  Returns 0 and sets *ret (release with
 * aq_requirement_free()), or AQ_USER with what is wrong and what to write
 * instead, or AQ_SYS; *ret is untouched then.  URLs that are no direct
 * reference, local paths and pip's options are AQ_USER.  Of aq.conf's policy it knows
 * nothing.
 */
AQ_CHECK int aq_requirement_parse(const char *text, struct aq_requirement *ret,
				  struct aq_err *err);

/* Append "name[extra,extra]versions; marker", or "name[extra] @ url ; marker", what
 * is not there left out.
 */
void aq_requirement_print(const struct aq_requirement *r, struct aq_str *out);

void aq_requirement_free(struct aq_requirement *r);
#define cleanup_requirement __attribute__((cleanup(aq_requirement_free)))

#endif
