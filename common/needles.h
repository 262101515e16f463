/* SPDX-License-Identifier: Apache-2.0 */
/* Many names that are looked for in many texts: a look costs what the text is long,
 * however many names there are.
 */
#ifndef AQ_NEEDLES_H
#define AQ_NEEDLES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/str.h"

/* Shorter names, and longer ones, are found nowhere. */
#define AQ_NEEDLE_MIN 4
#define AQ_NEEDLE_MAX 255 /* a file's name */

struct aq_needles {
	const struct aq_strv *names;
	bool *found; /* of each of them */
	unsigned char *heads;
	bool has_length[AQ_NEEDLE_MAX + 1];
};

/* Look for 'names', which are sorted for it, once each, and stay the caller's; free with
 * aq_needles_free().  AQ_SYS: no memory, or 'names' are broken.
 */
AQ_CHECK int aq_needles_make(struct aq_strv *names, struct aq_needles *ret,
			     struct aq_err *err);
void aq_needles_free(struct aq_needles *n);
#define cleanup_needles __attribute__((cleanup(aq_needles_free)))

/* Whether one of them is in the 'len' bytes at 'text'; 'found' says of each that was. */
bool aq_needles_find(struct aq_needles *n, const char *text, size_t len);

#endif
