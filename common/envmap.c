/* SPDX-License-Identifier: Apache-2.0 */
#include "common/envmap.h"

#include <stdlib.h>
#include <string.h>

#include "common/grow.h"

/* Where 'name' is, or where it would go. */
static size_t find(const struct aq_envmap *map, const char *name, bool *is_there)
{
	size_t lo = 0, hi = map->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(map->v[mid].name, name);

		if (cmp == 0) {
			*is_there = true;
			return mid;
		}
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*is_there = false;
	return lo;
}

void aq_envmap_set(struct aq_envmap *map, const char *name, const char *value)
{
	cleanup_free char *v = strdup(value);
	cleanup_free char *k = NULL;
	bool is_there;
	size_t at = find(map, name, &is_there);

	if (!v)
		goto broken;
	if (is_there) {
		free(map->v[at].value);
		map->v[at].value = steal(&v);
		return;
	}
	k = strdup(name);
	if (!k || !aq_grow(map->v, map->n, AQ_ENVMAP_MAX))
		goto broken;
	memmove(&map->v[at + 1], &map->v[at], (map->n - at) * sizeof(*map->v));
	map->v[at] = (struct aq_envvar){ steal(&k), steal(&v) };
	map->n++;
	return;
broken:
	map->is_broken = true;
}

void aq_envmap_unset(struct aq_envmap *map, const char *name)
{
	bool is_there;
	size_t at = find(map, name, &is_there);

	if (!is_there)
		return;
	free(map->v[at].name);
	free(map->v[at].value);
	map->n--;
	memmove(&map->v[at], &map->v[at + 1], (map->n - at) * sizeof(*map->v));
}

const char *aq_envmap_get(const struct aq_envmap *map, const char *name)
{
	bool is_there;
	size_t at = find(map, name, &is_there);

	return is_there ? map->v[at].value : NULL;
}

void aq_envmap_load(struct aq_envmap *map, char *const env[])
{
	for (; env && *env; env++) {
		const char *eq = strchr(*env, '=');
		cleanup_free char *name = NULL;

		if (!eq || eq == *env)
			continue;
		name = strndup(*env, (size_t)(eq - *env));
		if (!name) {
			map->is_broken = true;
			return;
		}
		if (!aq_envmap_get(map, name))
			aq_envmap_set(map, name, eq + 1);
	}
}

void aq_envmap_copy(struct aq_envmap *map, const struct aq_envmap *from)
{
	for (size_t i = 0; i < from->n; i++)
		aq_envmap_set(map, from->v[i].name, from->v[i].value);
	map->is_broken |= from->is_broken;
}

void aq_envmap_free(struct aq_envmap *map)
{
	for (size_t i = 0; i < map->n; i++) {
		free(map->v[i].name);
		free(map->v[i].value);
	}
	free(map->v);
	*map = (struct aq_envmap){ 0 };
}
