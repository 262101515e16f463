/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a request is read from, in a directory of the test's own, and what comes of
 * reading them.
 */
#ifndef AQ_READING_H
#define AQ_READING_H

#include "common/conf.h"
#include "common/request.h"
#include "common/str.h"

#define TEXT_AND_SIZE(literal) literal, sizeof(literal) - 1

extern struct aq_conf *const reading_conf;
extern char reading_dir[]; /* where the files are */

/* The group's: make the directory, and take it away with what is in it. */
int reading_setup(void **state);
int reading_teardown(void **state);

void write_file(const char *name, const char *text, size_t len);
/* Read 'text' as req.yaml; the request, or NULL with what was wrong. */
struct aq_request *read_text(const char *text, struct aq_strv *warnings,
			     struct aq_err *err);
/* The canonical form of 'text', which is right, and which a node takes. */
void expect(const char *text, const char *canonical);
/* 'text' is refused with exactly 'message': "%:" stands for the file, "%/" for its
 * directory.
 */
void expect_refused(const char *text, const char *message);

#endif
