/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/str.h"
#include "common/toml_inside.h"

struct aq_toml *toml_new(enum aq_toml_kind kind, struct aq_toml_place place)
{
	struct aq_toml *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = place.line;
	node->column = place.column;
	return node;
}

void toml_close(struct aq_toml *node)
{
	node->is_closed = true;
	/* its items are values, closed already, or dotted keys' tables */
	for (struct aq_toml *n = node->child; n; n = n->next)
		if (!n->is_closed)
			toml_close(n);
}

static struct aq_toml *find(const struct aq_toml *in, const char *key)
{
	struct aq_toml *n = in->child;

	while (n && strcmp(n->key, key) != 0)
		n = n->next;
	return n;
}

int toml_add(struct toml_reader *r, struct aq_toml *to, struct toml_key *key,
	     struct aq_toml *node)
{
	cleanup_toml struct aq_toml *owned = node;
	struct aq_toml_place place = { node->line, node->column };

	if (key && find(to, key->text))
		return toml_fail(r, key->place, "stands there twice: keep one",
				 key->text);
	if (to->n >= AQ_TOML_ITEMS_MAX)
		return toml_fail(r, place, "too many items in one list or table",
				 NULL);
	if (key) {
		node->key = steal(&key->text);
		node->key_line = key->place.line;
		node->key_column = key->place.column;
	}
	if (to->last)
		to->last->next = node;
	else
		to->child = node;
	to->last = steal(&owned);
	to->n++;
	return 0;
}

/* Add an empty one; 'key' keeps nothing. */
static int add_new(struct toml_reader *r, struct aq_toml *to,
		   struct toml_key *key, enum aq_toml_kind kind,
		   struct aq_toml **ret)
{
	struct aq_toml *node = toml_new(kind, key ? key->place : r->now);
	int rc;

	if (!node)
		return toml_no_memory(r);
	rc = toml_add(r, to, key, node);
	if (!rc)
		*ret = node;
	return rc;
}

static int fail_taken(struct toml_reader *r, const struct toml_key *key)
{
	return toml_fail(r, key->place, "was given a value above: nothing can "
					"be added to it here", key->text);
}

int toml_enter_dotted(struct toml_reader *r, struct aq_toml *from,
		      struct toml_key *key, struct aq_toml **ret)
{
	struct aq_toml *n = find(from, key->text);
	int rc;

	if (n && (n->kind != AQ_TOML_TABLE || n->is_closed || n->is_named))
		return fail_taken(r, key);
	if (!n && (rc = add_new(r, from, key, AQ_TOML_TABLE, &n)))
		return rc;
	n->is_dotted = true;
	*ret = n;
	return 0;
}

int toml_enter_header(struct toml_reader *r, struct aq_toml *from,
		      struct toml_key *key, struct aq_toml **ret)
{
	struct aq_toml *n = find(from, key->text);
	int rc;

	if (!n && (rc = add_new(r, from, key, AQ_TOML_TABLE, &n)))
		return rc;
	if (n->is_closed || !(n->kind == AQ_TOML_TABLE ||
			      (n->kind == AQ_TOML_ARRAY && n->last)))
		return fail_taken(r, key);
	*ret = n->kind == AQ_TOML_ARRAY ? n->last : n;
	return 0;
}

int toml_name_table(struct toml_reader *r, struct aq_toml *in,
		    struct toml_key *key, struct aq_toml **ret)
{
	struct aq_toml *n = find(in, key->text);
	int rc;

	if (!n && (rc = add_new(r, in, key, AQ_TOML_TABLE, &n)))
		return rc;
	if (n->kind != AQ_TOML_TABLE || n->is_closed)
		return fail_taken(r, key);
	if (n->is_named || n->is_dotted)
		return toml_fail(r, key->place, "is a table that stands there "
						"twice: write one", key->text);
	n->is_named = true;
	*ret = n;
	return 0;
}

int toml_add_item(struct toml_reader *r, struct aq_toml *in,
		  struct toml_key *key, struct aq_toml **ret)
{
	struct aq_toml *array = find(in, key->text);
	int rc;

	if (!array && (rc = add_new(r, in, key, AQ_TOML_ARRAY, &array)))
		return rc;
	if (array->kind != AQ_TOML_ARRAY || array->is_closed)
		return fail_taken(r, key);
	rc = add_new(r, array, NULL, AQ_TOML_TABLE, ret);
	if (!rc)
		(*ret)->is_named = true;
	return rc;
}
