/* SPDX-License-Identifier: Apache-2.0 */
/* TOML 1.0 (toml.io), as far as the metadata of a Python script needs it: all
 * of its structure is judged (duplicate keys and tables, what may be added to
 * what), and strings are decoded.  Numbers, booleans and dates are told from
 * what is none of them, but not judged: nothing here reads one.
 *
 * Written here because no C library for it is packaged where this runs
 * (Debian 12), and because messages need each value's place.
 */
#ifndef AQ_TOML_H
#define AQ_TOML_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define AQ_TOML_DEPTH_MAX 16   /* tables and arrays inside each other */
#define AQ_TOML_ITEMS_MAX 1024 /* of one table or array: duplicates are looked for */

enum aq_toml_kind { AQ_TOML_STRING, AQ_TOML_OTHER, AQ_TOML_ARRAY, AQ_TOML_TABLE };

struct aq_toml {
	enum aq_toml_kind kind;
	size_t line, column; /* where it begins, from 1, in characters */

	char *text; /* strings, decoded: UTF-8, no NUL; others: as written */

	char *key; /* of the table that it is in, or NULL */
	size_t key_line, key_column;

	struct aq_toml *child, *last; /* tables and arrays: the first item */
	struct aq_toml *next;
	size_t n; /* items */

	/* what may still be added to it, while it is read */
	bool is_closed; /* nothing: it is a value */
	bool is_named;  /* no [header] may name it again */
	bool is_dotted; /* a.b = 1 made it */
};

struct aq_toml_place {
	size_t line, column; /* from 1 */
};

/* Parse 'text', valid UTF-8 with newlines as line ends.  Returns 0 and sets *ret, a
 * table (free with aq_toml_free()); or AQ_USER with what is wrong and
 * *ret_place where; or AQ_SYS.
 */
AQ_CHECK int aq_toml_parse(const char *text, struct aq_toml **ret,
			   struct aq_toml_place *ret_place, struct aq_err *err);

void aq_toml_free(struct aq_toml *node);
DEFINE_CLEANUP(aq_toml);
#define cleanup_toml __attribute__((cleanup(aq_toml_cleanup_)))

#endif
