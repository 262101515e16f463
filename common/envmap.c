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

static bool make(struct aq_envvar *ret, const char *name, size_t name_len,
		 const char *value)
{
	size_t value_size = strlen(value) + 1;
	char *s = malloc(name_len + 1 + value_size);

	if (!s)
		return false;
	memcpy(s, name, name_len);
	s[name_len] = '\0';
	memcpy(s + name_len + 1, value, value_size);
	*ret = (struct aq_envvar){ s, s + name_len + 1 };
	return true;
}

/* Takes 'var' over. */
static void insert(struct aq_envmap *map, size_t at, struct aq_envvar var)
{
	if (!aq_grow(map->v, map->n, AQ_ENVMAP_MAX)) {
		free(var.name);
		map->is_broken = true;
		return;
	}
	memmove(&map->v[at + 1], &map->v[at], (map->n - at) * sizeof(*map->v));
	map->v[at] = var;
	map->n++;
}

void aq_envmap_set(struct aq_envmap *map, const char *name, const char *value)
{
	struct aq_envvar var;
	bool is_there;
	size_t at = find(map, name, &is_there);

	if (!make(&var, name, strlen(name), value)) {
		map->is_broken = true;
	} else if (is_there) {
		free(map->v[at].name);
		map->v[at] = var;
	} else {
		insert(map, at, var);
	}
}

void aq_envmap_unset(struct aq_envmap *map, const char *name)
{
	bool is_there;
	size_t at = find(map, name, &is_there);

	if (!is_there)
		return;
	free(map->v[at].name);
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
		struct aq_envvar var;
		bool is_there;
		size_t at;

		if (!eq || eq == *env)
			continue;
		if (!make(&var, *env, (size_t)(eq - *env), eq + 1)) {
			map->is_broken = true;
			return;
		}
		at = find(map, var.name, &is_there);
		if (is_there)
			free(var.name);
		else
			insert(map, at, var);
	}
}

/* They are sorted already. */
void aq_envmap_copy(struct aq_envmap *ret, const struct aq_envmap *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct aq_envvar *var = &from->v[i];
		size_t name_len = (size_t)(var->value - var->name) - 1;
		struct aq_envvar copy;

		if (make(&copy, var->name, name_len, var->value))
			insert(ret, ret->n, copy);
		else
			ret->is_broken = true;
	}
	ret->is_broken |= from->is_broken;
}

void aq_envmap_free(struct aq_envmap *map)
{
	for (size_t i = 0; i < map->n; i++)
		free(map->v[i].name);
	free(map->v);
	*map = (struct aq_envmap){ 0 };
}
