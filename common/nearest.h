/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the word of a small table that is nearest to a typo. */
#ifndef AQ_NEAREST_H
#define AQ_NEAREST_H

#include <stddef.h>

#define AQ_NEAREST_WORD_MAX 32 /* bytes; longer words have no neighbour */

/* The one of words[0..n) that 'text' most probably was meant to be, or NULL:
 * by edit distance (swapped neighbours count once, case not at all), a third
 * of its letters at most.
 */
const char *aq_nearest(const char *text, const char *const *words, size_t n);

#endif
