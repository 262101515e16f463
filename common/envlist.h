/* SPDX-License-Identifier: Apache-2.0 */
/* Colon-separated lists (PATH and its kind).  The empty text is a list of no
 * items; "a::b" has an empty item in its middle, which is kept.
 */
#ifndef AQ_ENVLIST_H
#define AQ_ENVLIST_H

#include "common/str.h"

/* Items of a list: PATH has 128 KiB at most, so fewer than that of them. */
#define AQ_ENVLIST_ITEMS_MAX (128 * 1024)

/* Append the items of 'text' (NULL: none) to 'ret'. */
void aq_envlist_split(const char *text, struct aq_strv *ret);

/* Append the list as text. */
void aq_envlist_join(const struct aq_strv *list, struct aq_str *ret);

/* Put an item before index 'at' (clamped to the end) / take one out. */
void aq_envlist_insert(struct aq_strv *list, size_t at, const char *item);
void aq_envlist_remove(struct aq_strv *list, size_t at);

/* The index of the first / last item equal to 'item', or list->n. */
size_t aq_envlist_first(const struct aq_strv *list, const char *item);
size_t aq_envlist_last(const struct aq_strv *list, const char *item);

#endif
