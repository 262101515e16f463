/* SPDX-License-Identifier: Apache-2.0 */
/* pip's requirement lines: a pip section's items and the files that -r and -c
 * name (pip's documentation, "Requirements File Format").
 */
#ifndef AQ_REQFILE_H
#define AQ_REQFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/domain.h"
#include "common/err.h"
#include "common/problems.h"
#include "common/str.h"

#define AQ_INCLUDE_DEPTH_MAX 8 /* files that include each other */

/* What may still be read, all files of a request together. */
struct aq_file_budget {
	size_t bytes;
	size_t hashes; /* bytes of --hash options besides: they are dropped */
};

/* Where the lines go. */
struct aq_pip {
	struct aq_strv *requirements; /* normalised, in the order read */
	struct aq_strv *constraints;
	struct aq_strv *sources; /* names: to be built from source */
	const enum aq_policy *policy;
	struct aq_problems *problems;
	struct aq_strv *warnings; /* what has no effect */
	bool has_told_hashes;	  /* once, not for every package */
	struct aq_file_budget budget;

	struct { /* the files being read: one that includes itself */
		dev_t dev;
		ino_t ino;
	} open[AQ_INCLUDE_DEPTH_MAX];
	int depth;
};

/* Take one line, read at 'at': a requirement (a constraint if 'constraint'), with pip's
 * options of one behind it, a comment, -r FILE or -c FILE (relative to the directory of
 * at.file; read as the calling user), --no-binary NAME,NAME; what the policy lets a user
 * have.  What is wrong goes to pip->problems.
 */
void aq_pip_line(struct aq_pip *pip, struct aq_place at, const char *text,
		 bool constraint);

/* Take an item of a list, read at 'at': lines, as conda writes them into a requirements
 * file for pip.
 */
void aq_pip_item(struct aq_pip *pip, struct aq_place at, const char *text);

/* Take one requirement, read at 'at': nothing else that a line may be. */
void aq_pip_requirement(struct aq_pip *pip, struct aq_place at,
			const char *text);

/* Take the lines of 'text', which it cuts, as those of the requirements file 'file'. */
void aq_pip_text(struct aq_pip *pip, const char *file, char *text);

/* Read 'path' ("-": standard input) whole, as UTF-8, into 'out', taking its
 * size off 'budget'.  With 'regular' anything but a regular file is refused.
 * Returns 0, or AQ_USER or AQ_SYS with a text that says what is wrong with the
 * file without naming it.  'ret_st' may be NULL.
 */
struct stat;
AQ_CHECK int aq_file_read(const char *path, bool regular,
			  struct aq_file_budget *budget, struct aq_str *out,
			  struct stat *ret_st, struct aq_err *err);

#endif
