/* SPDX-License-Identifier: Apache-2.0 */
#include "common/deactivate.h"

#include <stdio.h>
#include <string.h>

#include "common/envlist.h"

/* Whether 'item' is PREFIX/bin. */
static bool is_bin_of(const char *item, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(item, prefix, len) == 0 &&
	       strcmp(item + len, "/bin") == 0;
}

static void leave_path(struct aq_envmap *map, const char *prefix)
{
	cleanup_strv struct aq_strv list = AQ_STRV_INIT(AQ_ENVLIST_ITEMS_MAX);
	cleanup_str struct aq_str text = AQ_STR_INIT(SIZE_MAX / 2);
	const char *path = aq_envmap_get(map, "PATH");
	bool is_changed = false;

	if (!prefix || prefix[0] != '/' || !path)
		return;
	aq_envlist_split(path, &list);
	for (size_t i = list.n; i-- > 0;) {
		if (is_bin_of(list.v[i], prefix)) {
			aq_envlist_remove(&list, i);
			is_changed = true;
		}
	}
	if (!is_changed)
		return;
	aq_envlist_join(&list, &text);
	map->is_broken |= list.broken || text.broken;
	aq_envmap_set(map, "PATH", aq_str_get(&text));
}

static void leave(struct aq_envmap *map, const char *prefix_variable)
{
	leave_path(map, aq_envmap_get(map, prefix_variable));
	aq_envmap_unset(map, prefix_variable);
}

void aq_deactivate(struct aq_envmap *map)
{
	char name[32];

	if (aq_envmap_get(map, "CONDA_PREFIX")) {
		leave(map, "CONDA_PREFIX");
		for (int i = 1; i <= AQ_CONDA_LEVELS_MAX; i++) {
			snprintf(name, sizeof(name), "CONDA_PREFIX_%d", i);
			leave(map, name);
		}
		aq_envmap_unset(map, "CONDA_SHLVL");
		aq_envmap_unset(map, "CONDA_DEFAULT_ENV");
		aq_envmap_unset(map, "CONDA_PROMPT_MODIFIER");
	}
	if (aq_envmap_get(map, "VIRTUAL_ENV")) {
		leave(map, "VIRTUAL_ENV");
		aq_envmap_unset(map, "VIRTUAL_ENV_PROMPT");
	}
	aq_envmap_unset(map, "PYTHONHOME");
}
