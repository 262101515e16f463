/* SPDX-License-Identifier: Apache-2.0 */
/* JSON (RFC 8259) written as it comes, indented for people.  'name' is the
 * member's name inside an object, in which nothing is to be quoted; NULL inside an
 * array and at the top.
 */
#ifndef AQ_CLI_JSON_H
#define AQ_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/str.h"

struct json {
	FILE *out;
	unsigned int depth;
	bool has_items; /* something stands before in this object or array */
};

void json_open(struct json *j, const char *name, char bracket); /* { or [ */
void json_close(struct json *j, char bracket);                  /* } or ] */

/* Text that is not UTF-8 has U+FFFD in place of each wrong byte; control
 * characters, C1 too, are escaped.  NULL gives null.
 */
void json_text(struct json *j, const char *name, const char *value);
void json_number(struct json *j, const char *name, uint64_t value);
void json_bool(struct json *j, const char *name, bool value);
void json_list(struct json *j, const char *name, const struct aq_strv *list);

/* Begin an output: an object with its "schema". / End it, with a newline. */
void json_begin(struct json *j, FILE *out);
void json_end(struct json *j);

#endif
