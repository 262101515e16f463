/* SPDX-License-Identifier: Apache-2.0 */
/* Between toml.c, which reads, and toml_tree.c, which knows what TOML lets one
 * add to what.  Failures are AQ_USER with r->place set, or AQ_SYS.
 */
#ifndef AQ_TOML_INSIDE_H
#define AQ_TOML_INSIDE_H

#include <stdlib.h>

#include "common/toml.h"

struct toml_reader {
	const char *at;
	struct aq_toml_place now;   /* where that is */
	struct aq_toml_place place; /* of an error */
	struct aq_err *err;
};

/* One part of a key, and where it stands. */
struct toml_key {
	char *text;
	struct aq_toml_place place;
};

static inline void toml_key_release(struct toml_key *key)
{
	free(key->text);
}
#define cleanup_toml_key __attribute__((cleanup(toml_key_release)))

/* Say what is wrong at 'place', of 'of' (NULL: the syntax); returns AQ_USER. */
int toml_fail(struct toml_reader *r, struct aq_toml_place place,
	      const char *what, const char *of);
int toml_no_memory(struct toml_reader *r);

/* NULL: out of memory. */
struct aq_toml *toml_new(enum aq_toml_kind kind, struct aq_toml_place place);

/* It is a value: nothing is added to it or what is in it. */
void toml_close(struct aq_toml *node);

/* Add 'node', which is the callee's from here on, to 'to': a table's under 'key', whose text
 * it takes; an array's with NULL.
 */
AQ_CHECK int toml_add(struct toml_reader *r, struct aq_toml *to,
		      struct toml_key *key, struct aq_toml *node);

/* What part 'key' of "a.b.c = …" or of "[a.b.c]" leads to from 'from', made if it
 * is not there.
 */
typedef int toml_enter_fn(struct toml_reader *r, struct aq_toml *from,
			  struct toml_key *key, struct aq_toml **ret);
toml_enter_fn toml_enter_dotted, toml_enter_header;

/* What the last part of "[a.b]" and of "[[a.b]]" stands for. */
AQ_CHECK int toml_name_table(struct toml_reader *r, struct aq_toml *in,
			     struct toml_key *key, struct aq_toml **ret);
AQ_CHECK int toml_add_item(struct toml_reader *r, struct aq_toml *in,
			   struct toml_key *key, struct aq_toml **ret);

#endif
