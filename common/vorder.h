/* SPDX-License-Identifier: Apache-2.0 */
/* conda's order of versions: VersionOrder (conda/models/version.py).
 *
 * "1!2.0rc1+x" is segments of parts: the epoch [1] (0 when there is none),
 * [2], [0, rc, 1], and the local ones [0, x].  A segment that begins with a
 * letter gets a 0 before it; parts and segments that one of two versions does
 * not have count as 0.  Parts order as dev < words < numbers < post.
 */
#ifndef AQ_VORDER_H
#define AQ_VORDER_H

#include <stdbool.h>
#include <stddef.h>

/* Parts of one version; the longest in the wild have some ten. */
#define AQ_VORDER_PARTS_MAX 64

struct aq_vpart {
	enum {
		AQ_VPART_DEV,
		AQ_VPART_WORD,
		AQ_VPART_NUMBER,
		AQ_VPART_POST
	} kind;	       /* in their order */
	const char *s; /* into the text that was parsed */
	size_t len;
};

struct aq_vsegment {
	size_t first, n; /* its parts, one or more */
};

struct aq_vorder {
	struct aq_vpart parts[AQ_VORDER_PARTS_MAX];
	struct aq_vsegment segments[AQ_VORDER_PARTS_MAX];
	size_t n_parts;
	size_t n_main; /* segments: epoch and version, two or more */
	size_t n_all;  /* segments: those and the local ones */
	/* rattler reads it otherwise or not at all, or did once: "1.0a_" (the
	 * dash a part of its own), "1devel" (dev, el), numbers over 64 bits
	 */
	bool is_odd;
};

/* Take text[0..len) apart.  False, and *ret is of no use, if it is no version
 * to conda or has over AQ_VORDER_PARTS_MAX parts.  '*ret' points into 'text'.
 */
bool aq_vorder_parse(const char *text, size_t len, struct aq_vorder *ret);

/* Less than, equal to or greater than 0, as a is to b: 1.2 equals 1.2.0. */
int aq_vorder_compare(const struct aq_vorder *a, const struct aq_vorder *b);

/* The same for two parts. */
int aq_vpart_compare(const struct aq_vpart *a, const struct aq_vpart *b);

/* Part i of a segment, both counted from 0; the number 0 where it has none. */
bool aq_vorder_has_part(const struct aq_vorder *v, size_t segment, size_t i);
const struct aq_vpart *aq_vorder_part(const struct aq_vorder *v, size_t segment,
				      size_t i);

#endif
