/* SPDX-License-Identifier: Apache-2.0 */
#include "common/undo.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envlist.h"
#include "common/envops.h"

#define UNDO_VERSION "1"
#define RECORD_FIELDS_MAX 4096 /* edits of one list; 8 KiB hold fewer */

static bool is_plain(char c)
{
	return c && strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+=-", c);
}

static void encode(struct aq_str *out, const char *text)
{
	for (; *text; text++) {
		if (is_plain(*text))
			aq_str_add_char(out, *text);
		else
			aq_str_add_fmt(out, "%%%02X", (unsigned char)*text);
	}
}

static int hex_digit(char c)
{
	const char *digits = "0123456789ABCDEF";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Decode in place; false if it is not what encode() writes. */
static bool decode(char *text)
{
	char *out = text;

	while (*text) {
		if (is_plain(*text)) {
			*out++ = *text++;
			continue;
		}
		if (*text != '%' || hex_digit(text[1]) < 0 ||
		    hex_digit(text[2]) < 0)
			return false;
		*out = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
		if (!*out++)
			return false;
		text += 3;
	}
	*out = '\0';
	return true;
}

/* What a hostile AQ_UNDO must not change. */
static bool is_allowed_name(const char *name)
{
	return aq_is_env_name(name, strlen(name)) &&
	       strcmp(name, "AQ_UNDO") != 0 &&
	       !aq_starts_with(name, "SLURM") && !aq_starts_with(name, "SPANK");
}

/* -- writing -- */

static void write_variable(struct aq_str *out, const char *name,
			   const char *before, const char *after)
{
	aq_str_add_fmt(out, " v%s,", name);
	if (after)
		aq_str_add_fmt(out, "%016llx,",
			       (unsigned long long)aq_hash(after, strlen(after)));
	else
		aq_str_add(out, "-,");
	aq_str_add_char(out, before ? '+' : '-');
	if (before)
		encode(out, before);
}

static void write_items(struct aq_str *out, char kind,
			const struct aq_strv *list, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		aq_str_add_fmt(out, ",%c", kind);
		encode(out, list->v[i]);
	}
}

/* The items of 'was' that the middle of 'is' lacks; false if that middle holds
 * anything else.
 */
static bool write_removed(struct aq_str *out, const struct aq_strv *was,
			  const struct aq_strv *is, size_t from, size_t to)
{
	for (size_t i = 0; i < was->n; i++) {
		if (from < to && strcmp(was->v[i], is->v[from]) == 0) {
			from++;
			continue;
		}
		aq_str_add_fmt(out, ",r%zu/", was->n - 1 - i);
		encode(out, was->v[i]);
	}
	return from == to;
}

static bool write_list(struct aq_str *out, const struct aq_undo_list *edit,
		       const char *before, const char *after)
{
	cleanup_strv struct aq_strv was = AQ_STRV_INIT(AQ_ENVLIST_ITEMS_MAX);
	cleanup_strv struct aq_strv is = AQ_STRV_INIT(AQ_ENVLIST_ITEMS_MAX);
	size_t mark = out->len;

	aq_envlist_split(before, &was);
	aq_envlist_split(after, &is);
	if (was.broken || is.broken || edit->n_front + edit->n_back > is.n)
		return false;
	aq_str_add_fmt(out, " l%s,%c", edit->name,
		       !before ? '-' : *before ? 'n' : 'e');
	write_items(out, 'p', &is, 0, edit->n_front);
	write_items(out, 'a', &is, is.n - edit->n_back, is.n);
	if (write_removed(out, &was, &is, edit->n_front, is.n - edit->n_back))
		return true;
	aq_str_truncate(out, mark);
	return false;
}

struct writer {
	struct aq_str *out;
	const struct aq_undo_lists *lists;
};

static void write_one(const char *name, const char *was, const char *is,
		      void *arg)
{
	const struct writer *w = arg;

	/* with one of these in it all of it would be refused when it is read */
	if (!is_allowed_name(name))
		return;
	for (size_t i = 0; is && i < w->lists->n; i++)
		if (strcmp(w->lists->v[i].name, name) == 0 &&
		    write_list(w->out, &w->lists->v[i], was, is))
			return;
	write_variable(w->out, name, was, is);
}

int aq_undo_write(const struct aq_envmap *before,
		  const struct aq_envmap *after,
		  const struct aq_undo_lists *lists, struct aq_str *ret,
		  struct aq_err *err)
{
	struct writer w = { ret, lists };

	aq_str_add(ret, UNDO_VERSION);
	aq_envmap_differ(before, after, write_one, &w);
	return aq_str_done(ret, "AQ_UNDO, the way back to your own variables,",
			   err);
}

/* -- reading -- */

static void undo_list(struct aq_envmap *map, const struct aq_strv *field)
{
	cleanup_strv struct aq_strv list = AQ_STRV_INIT(AQ_ENVLIST_ITEMS_MAX);
	cleanup_str struct aq_str text = AQ_STR_INIT(SIZE_MAX / 2);
	const char *name = field->v[0];
	size_t at;

	aq_envlist_split(aq_envmap_get(map, name), &list);
	for (size_t i = 2; i < field->n; i++) {
		const char *item = field->v[i] + 1;

		at = field->v[i][0] == 'p' ? aq_envlist_first(&list, item) :
		     field->v[i][0] == 'a' ? aq_envlist_last(&list, item) :
					     list.n;
		if (at < list.n)
			aq_envlist_remove(&list, at);
	}
	/* from the last one: what stood behind an item is there again */
	for (size_t i = field->n; i-- > 2;) {
		const char *f = field->v[i];
		size_t behind;

		if (f[0] != 'r')
			continue;
		behind = strtoul(f + 1, NULL, 10);
		at = behind < list.n ? list.n - behind : 0;
		aq_envlist_insert(&list, at, strchr(f, '/') + 1);
	}
	aq_envlist_join(&list, &text);
	map->is_broken |= list.broken || text.broken;
	if (!list.n && field->v[1][0] == '-')
		aq_envmap_unset(map, name);
	else
		aq_envmap_set(map, name, aq_str_get(&text));
}

static void undo_variable(struct aq_envmap *map, const struct aq_strv *field)
{
	const char *name = field->v[0], *sum = field->v[1];
	const char *old = field->v[2];
	const char *now = aq_envmap_get(map, name);
	char now_sum[20] = "-";

	if (now)
		snprintf(now_sum, sizeof(now_sum), "%016llx",
			 (unsigned long long)aq_hash(now, strlen(now)));
	if (strcmp(sum, now_sum) != 0)
		return;
	if (old[0] == '+')
		aq_envmap_set(map, name, old + 1);
	else
		aq_envmap_unset(map, name);
}

/* "r<digits>/item": the item is decoded in place. */
static bool check_edit(char *edit)
{
	char *item = edit + 1;

	if (*edit == 'r') {
		size_t digits = strspn(item, "0123456789");

		if (!digits || digits > 6 || item[digits] != '/')
			return false;
		item += digits + 1;
	} else if (*edit != 'p' && *edit != 'a') {
		return false;
	}
	return decode(item);
}

static bool check_record(char kind, struct aq_strv *field)
{
	if (field->broken || field->n < 2 || !is_allowed_name(field->v[0]))
		return false;
	if (kind == 'v') {
		char *old = field->n == 3 ? field->v[2] : NULL;

		if (strcmp(field->v[1], "-") != 0 && !aq_is_hex(field->v[1], 16))
			return false;
		return old && (strcmp(old, "-") == 0 ||
			       (*old == '+' && decode(old + 1)));
	}
	if (kind != 'l' || !field->v[1][0] || !strchr("-en", field->v[1][0]) ||
	    field->v[1][1])
		return false;
	for (size_t i = 2; i < field->n; i++)
		if (!check_edit(field->v[i]))
			return false;
	return true;
}

/* Check every record of 'undo', and carry them out if 'map' is given. */
static bool each_record(struct aq_envmap *map, const char *undo)
{
	if (!aq_starts_with(undo, UNDO_VERSION))
		return false;
	undo += strlen(UNDO_VERSION);
	while (*undo) {
		cleanup_strv struct aq_strv field =
			AQ_STRV_INIT(RECORD_FIELDS_MAX);
		char kind;

		if (*undo++ != ' ' || !*undo)
			return false;
		kind = *undo++;
		for (;; undo++) {
			size_t len = strcspn(undo, ", ");

			aq_strv_add_mem(&field, undo, len);
			undo += len;
			if (*undo != ',')
				break;
		}
		if (!check_record(kind, &field))
			return false;
		if (map && kind == 'v')
			undo_variable(map, &field);
		else if (map)
			undo_list(map, &field);
	}
	return true;
}

bool aq_undo_apply(struct aq_envmap *map, const char *undo)
{
	if (strlen(undo) > AQ_UNDO_MAX || !each_record(NULL, undo))
		return false;
	return each_record(map, undo);
}
