/* SPDX-License-Identifier: Apache-2.0 */
#include "common/envlist.h"

#include <stdlib.h>
#include <string.h>

void aq_envlist_split(const char *text, struct aq_strv *ret)
{
	size_t len;

	if (!text || !*text)
		return;
	for (;; text += len + 1) {
		len = strcspn(text, ":");
		aq_strv_add_mem(ret, text, len);
		if (!text[len] || ret->broken)
			return;
	}
}

void aq_envlist_join(const struct aq_strv *list, struct aq_str *ret)
{
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			aq_str_add_char(ret, ':');
		aq_str_add(ret, list->v[i]);
	}
}

void aq_envlist_insert(struct aq_strv *list, size_t at, const char *item)
{
	char *added;

	aq_strv_add(list, item);
	if (list->broken || at >= list->n - 1)
		return;
	added = list->v[list->n - 1];
	memmove(&list->v[at + 1], &list->v[at],
		(list->n - 1 - at) * sizeof(*list->v));
	list->v[at] = added;
}

void aq_envlist_remove(struct aq_strv *list, size_t at)
{
	free(list->v[at]);
	list->n--;
	/* with the NULL at the end */
	memmove(&list->v[at], &list->v[at + 1],
		(list->n - at + 1) * sizeof(*list->v));
}

size_t aq_envlist_first(const struct aq_strv *list, const char *item)
{
	size_t i = 0;

	while (i < list->n && strcmp(list->v[i], item) != 0)
		i++;
	return i;
}

size_t aq_envlist_last(const struct aq_strv *list, const char *item)
{
	for (size_t i = list->n; i-- > 0;)
		if (strcmp(list->v[i], item) == 0)
			return i;
	return list->n;
}
