/* SPDX-License-Identifier: Apache-2.0 */
#include "common/envmap.h"

#include <stddef.h>
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

/* A variable, which all maps that hold it share. */
struct shared {
	size_t n_maps;
	char text[]; /* name, NUL, value, NUL */
};

static struct shared *shared_of(const struct aq_envvar *var)
{
	return (struct shared *)(void *)(var->name -
					 offsetof(struct shared, text));
}

static void release(const struct aq_envvar *var)
{
	struct shared *s = shared_of(var);

	if (--s->n_maps == 0)
		free(s);
}

static bool make(struct aq_envvar *ret, const char *name, size_t name_len,
		 const char *value)
{
	size_t value_size = strlen(value) + 1;
	struct shared *s = malloc(sizeof(*s) + name_len + 1 + value_size);

	if (!s)
		return false;
	s->n_maps = 1;
	memcpy(s->text, name, name_len);
	s->text[name_len] = '\0';
	memcpy(s->text + name_len + 1, value, value_size);
	*ret = (struct aq_envvar){ s->text, s->text + name_len + 1 };
	return true;
}

/* Takes 'var' over. */
static void insert(struct aq_envmap *map, size_t at, struct aq_envvar var)
{
	if (!aq_grow(map->v, map->n, AQ_ENVMAP_MAX)) {
		release(&var);
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
		release(&map->v[at]);
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
	release(&map->v[at]);
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
			release(&var);
		else
			insert(map, at, var);
	}
}

/* They are sorted already. */
void aq_envmap_copy(struct aq_envmap *ret, const struct aq_envmap *from)
{
	for (size_t i = 0; i < from->n; i++) {
		shared_of(&from->v[i])->n_maps++;
		insert(ret, ret->n, from->v[i]);
	}
	ret->is_broken |= from->is_broken;
}

void aq_envmap_differ(const struct aq_envmap *was, const struct aq_envmap *is,
		      void (*each)(const char *name, const char *was,
				   const char *is, void *arg),
		      void *arg)
{
	const struct aq_envvar *a = was->v, *a_end = a + was->n;
	const struct aq_envvar *b = is->v, *b_end = b + is->n;

	while (a < a_end || b < b_end) {
		int cmp = a == a_end ? 1 : b == b_end ? -1 :
			  a->name == b->name ? 0 : strcmp(a->name, b->name);

		if (cmp < 0)
			each(a->name, a->value, NULL, arg);
		else if (cmp > 0)
			each(b->name, NULL, b->value, arg);
		else if (a->value != b->value && strcmp(a->value, b->value) != 0)
			each(a->name, a->value, b->value, arg);
		a += cmp <= 0;
		b += cmp >= 0;
	}
}

void aq_envmap_free(struct aq_envmap *map)
{
	for (size_t i = 0; i < map->n; i++)
		release(&map->v[i]);
	free(map->v);
	*map = (struct aq_envmap){ 0 };
}
