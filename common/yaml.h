/* SPDX-License-Identifier: Apache-2.0 */
/* YAML 1.1 by libyaml's event API (whose only user yaml.c is), reduced to
 * what a request may be written in: one document of scalars, lists and maps.
 * Aliases, tags, merge keys, duplicate keys, a second document, deep nesting
 * are refused.  Scalars stay text: 3.10 is "3.10", not 3.1.
 */
#ifndef AQ_YAML_H
#define AQ_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define AQ_YAML_DEPTH_MAX 16  /* lists and maps inside each other */
#define AQ_YAML_KEYS_MAX 1024 /* of one map: duplicates are looked for */

enum aq_yaml_kind { AQ_YAML_SCALAR, AQ_YAML_LIST, AQ_YAML_MAP };

struct aq_yaml {
	enum aq_yaml_kind kind;
	size_t line, column; /* where it begins, from 1, in characters */

	char *text; /* scalars: UTF-8, no NUL; may hold control characters */
	bool plain; /* scalars: written without quotes */

	char *key; /* of the map that it is in, or NULL */
	size_t key_line, key_column;

	struct aq_yaml *child; /* lists and maps: the first item */
	struct aq_yaml *next;
};

struct aq_yaml_place {
	size_t line, column; /* from 1 */
};

/* Parse mem[0..len), UTF-8.  Returns 0 and sets *ret (free with
 * aq_yaml_free()), NULL if there is nothing in it but comments; or AQ_USER
 * with what is wrong and *ret_place where; or AQ_SYS.
 */
AQ_CHECK int aq_yaml_parse(const char *mem, size_t len, struct aq_yaml **ret,
			   struct aq_yaml_place *ret_place, struct aq_err *err);

void aq_yaml_free(struct aq_yaml *node);
DEFINE_CLEANUP(aq_yaml);
#define cleanup_yaml __attribute__((cleanup(aq_yaml_cleanup_)))

/* Whether it is a scalar that means nothing: empty, ~ or null, unquoted. */
bool aq_yaml_is_null(const struct aq_yaml *node);

#endif
