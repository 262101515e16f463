/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a req.yaml, each read into the request: only request.c and the readers
 * of other kinds of files (explicit_read.c, script.c) use this.
 */
#ifndef AQ_SECTIONS_H
#define AQ_SECTIONS_H

#include "common/conf.h"
#include "common/problems.h"
#include "common/reqfile.h"
#include "common/request.h"
#include "common/yaml.h"

/* A request being read. */
struct aq_reading {
	const char *file; /* as messages name it */
	const struct aq_conf *conf;
	struct aq_request *req;
	struct aq_strv *warnings;
	struct aq_problems problems;
	struct aq_pip pip;
	enum aq_request_kind kind;
	bool is_python_bad; /* said once, not for every condition behind it */
	struct aq_place defaults; /* where 'defaults' was left out, or line 0 */
};

/* Read every key of the document 'root' into r->req, unsorted.  What is wrong
 * goes to r->problems, all of it.
 */
void aq_sections_read(struct aq_reading *r, const struct aq_yaml *root);

/* Take the match spec 'text', read at 'at', into r->req: as an item of
 * 'dependencies'.  What is wrong goes to r->problems.
 */
void aq_sections_spec(struct aq_reading *r, struct aq_place at,
		      const char *text);

/* Join another condition on Python's version, in normal form, read at 'at', to what was
 * said before.  One that contradicts that goes to r->problems.
 */
void aq_sections_python(struct aq_reading *r, struct aq_place at,
			const char *version);

/* The version spec that python_version: 'text' means: "3.9" is 3.9.*, as in
 * python=3.9; ">=3.9" is itself.  Returns 0 and sets *ret (malloc'ed), or
 * AQ_USER, or AQ_SYS.
 */
AQ_CHECK int aq_python_normalise(const char *text, char **ret,
				 struct aq_err *err);

#endif
