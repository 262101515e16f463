/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/text.h"

/* Where a parse stands. */
struct reader {
	yaml_parser_t parser;
	const char *mem;
	size_t len;
	struct aq_yaml_place *place; /* of an error */
	struct aq_err *err;
};

void aq_yaml_free(struct aq_yaml *node)
{
	while (node) {
		struct aq_yaml *next = node->next;

		aq_yaml_free(node->child); /* at most AQ_YAML_DEPTH_MAX deep */
		free(node->text);
		free(node->key);
		free(node);
		node = next;
	}
}

bool aq_yaml_is_null(const struct aq_yaml *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != AQ_YAML_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

static int fail_at(struct reader *r, yaml_mark_t mark, const char *what)
{
	r->place->line = mark.line + 1;
	r->place->column = mark.column + 1;
	return aq_fail(r->err, AQ_USER, "%s", what);
}

/* Whether a tab stands where libyaml gave up. */
static bool is_tab_at(const struct reader *r)
{
	const char *p = r->mem, *end = r->mem + r->len;
	size_t line = 1;

	while (p < end && line < r->place->line)
		line += *p++ == '\n';
	for (size_t i = 1; p < end && i < r->place->column; i++)
		p += aq_utf8_len(p, end) ? aq_utf8_len(p, end) : 1;
	return p < end && *p == '\t';
}

/* libyaml's own complaint, with what helps people most often. */
static int fail_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "cannot be parsed";

	if (p->error == YAML_MEMORY_ERROR)
		return aq_fail(r->err, AQ_SYS, "out of memory for YAML");
	r->place->line = p->problem_mark.line + 1;
	r->place->column = p->problem_mark.column + 1;
	if (p->error == YAML_READER_ERROR)
		return aq_fail(r->err, AQ_USER,
			       "control characters are not allowed (%s)",
			       problem);
	if (p->error == YAML_SCANNER_ERROR &&
	    strstr(problem, "cannot start any token"))
		return is_tab_at(r)
			       ? aq_fail(r->err, AQ_USER,
					 "not valid YAML: a tab cannot indent, "
					 "write spaces")
			       : aq_fail(r->err, AQ_USER,
					 "not valid YAML: put quotes around "
					 "text that begins with a special "
					 "character");
	return aq_fail(r->err, AQ_USER,
		       "not valid YAML: %s%s%s; check the indentation and "
		       "that a space follows each '-' and ':'",
		       problem, p->context ? " " : "",
		       p->context ? p->context : "");
}

static int next_event(struct reader *r, yaml_event_t *event)
{
	if (!yaml_parser_parse(&r->parser, event))
		return fail_syntax(r);
	return 0;
}

static struct aq_yaml *new_node(enum aq_yaml_kind kind, yaml_mark_t mark)
{
	struct aq_yaml *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = mark.line + 1;
	node->column = mark.column + 1;
	return node;
}

static int read_scalar(struct reader *r, const yaml_event_t *event,
		       struct aq_yaml **ret)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct aq_yaml *node;

	if (event->data.scalar.tag)
		return fail_at(r, event->start_mark,
			       "tags are not supported: remove what begins "
			       "with '!'");
	if (memchr(value, '\0', len))
		return fail_at(r, event->start_mark,
			       "control characters are not allowed");
	node = new_node(AQ_YAML_SCALAR, event->start_mark);
	if (!node)
		return aq_fail(r->err, AQ_SYS, "out of memory for YAML");
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = strndup(value, len);
	if (!node->text) {
		aq_yaml_free(node);
		return aq_fail(r->err, AQ_SYS, "out of memory for YAML");
	}
	*ret = node;
	return 0;
}

static int read_node(struct reader *r, yaml_event_t *event, int depth,
		     struct aq_yaml **ret);

static int read_list(struct reader *r, int depth, struct aq_yaml *list)
{
	struct aq_yaml **tail = &list->child;

	for (;;) {
		yaml_event_t event;
		int rc = next_event(r, &event);

		if (rc)
			return rc;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		rc = read_node(r, &event, depth, tail);
		yaml_event_delete(&event);
		if (rc)
			return rc;
		tail = &(*tail)->next;
	}
}

/* A map's next key: a scalar of its own, or NULL at the map's end. */
static int read_key(struct reader *r, const struct aq_yaml *map,
		    struct aq_yaml **ret)
{
	cleanup_yaml struct aq_yaml *key = NULL;
	yaml_event_t event;
	size_t n = 0;
	int rc;

	rc = next_event(r, &event);
	if (rc)
		return rc;
	if (event.type == YAML_MAPPING_END_EVENT)
		rc = 0;
	else if (event.type != YAML_SCALAR_EVENT)
		rc = fail_at(r, event.start_mark,
			     "a key must be a word: put quotes around text "
			     "that begins with '{', '[', '*' or '?'");
	else
		rc = read_scalar(r, &event, &key);
	yaml_event_delete(&event);
	if (rc || !key)
		return rc;
	*r->place = (struct aq_yaml_place){ key->line, key->column };
	if (key->plain && strcmp(key->text, "<<") == 0)
		return aq_fail(r->err, AQ_USER,
			       "merge keys are not supported: write the keys "
			       "out");
	for (const struct aq_yaml *c = map->child; c; c = c->next, n++) {
		char show[AQ_SHOW_SIZE];

		if (strcmp(c->key, key->text) == 0)
			return aq_fail(r->err, AQ_USER,
				       "duplicate key '%s', first in line "
				       "%zu: join the two",
				       aq_show(key->text, show), c->key_line);
	}
	if (n >= AQ_YAML_KEYS_MAX)
		return aq_fail(r->err, AQ_USER, "more than %d keys in a map",
			       AQ_YAML_KEYS_MAX);
	*ret = steal(&key);
	return 0;
}

static int read_map(struct reader *r, int depth, struct aq_yaml *map)
{
	struct aq_yaml **tail = &map->child;

	for (;;) {
		cleanup_yaml struct aq_yaml *key = NULL, *value = NULL;
		yaml_event_t event;
		int rc = read_key(r, map, &key);

		if (rc || !key)
			return rc;
		rc = next_event(r, &event);
		if (rc)
			return rc;
		rc = read_node(r, &event, depth, &value);
		yaml_event_delete(&event);
		if (rc)
			return rc;
		value->key = steal(&key->text);
		value->key_line = key->line;
		value->key_column = key->column;
		*tail = steal(&value);
		tail = &(*tail)->next;
	}
}

/* A list or a map, whose first event has been read. */
static int read_collection(struct reader *r, const yaml_event_t *event,
			   int depth, struct aq_yaml **ret)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	cleanup_yaml struct aq_yaml *node = NULL;
	int rc;

	if (is_map ? event->data.mapping_start.tag
		   : event->data.sequence_start.tag)
		return fail_at(r, event->start_mark,
			       "tags are not supported: remove what begins "
			       "with '!'");
	if (depth >= AQ_YAML_DEPTH_MAX)
		return fail_at(r, event->start_mark,
			       "nested too deep: lists and maps may lie 16 "
			       "deep at most");
	node = new_node(is_map ? AQ_YAML_MAP : AQ_YAML_LIST, event->start_mark);
	if (!node)
		return aq_fail(r->err, AQ_SYS, "out of memory for YAML");
	rc = is_map ? read_map(r, depth + 1, node)
		    : read_list(r, depth + 1, node);
	if (rc)
		return rc;
	*ret = steal(&node);
	return 0;
}

/* The node that begins with 'event' (deleted by the caller). */
static int read_node(struct reader *r, yaml_event_t *event, int depth,
		     struct aq_yaml **ret)
{
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(r, event, ret);
	if (event->type == YAML_SEQUENCE_START_EVENT ||
	    event->type == YAML_MAPPING_START_EVENT)
		return read_collection(r, event, depth, ret);
	if (event->type == YAML_ALIAS_EVENT)
		return fail_at(r, event->start_mark,
			       "aliases are not supported: write it out, or "
			       "put quotes around text that begins with '*'");
	return fail_at(r, event->start_mark, "not valid YAML");
}

static int read_stream(struct reader *r, struct aq_yaml **ret)
{
	cleanup_yaml struct aq_yaml *root = NULL;
	bool have_document = false;

	for (;;) {
		yaml_event_t event;
		yaml_event_type_t type;
		int rc = next_event(r, &event);

		if (rc)
			return rc;
		type = event.type;
		if (type == YAML_DOCUMENT_START_EVENT) {
			if (have_document)
				rc = fail_at(r, event.start_mark,
					     "a second document: remove the "
					     "'---' and what follows");
			have_document = true;
		} else if (type != YAML_STREAM_START_EVENT &&
			   type != YAML_STREAM_END_EVENT &&
			   type != YAML_DOCUMENT_END_EVENT) {
			rc = read_node(r, &event, 0, &root);
		}
		yaml_event_delete(&event);
		if (rc)
			return rc;
		if (type == YAML_STREAM_END_EVENT) {
			*ret = steal(&root);
			return 0;
		}
	}
}

int aq_yaml_parse(const char *mem, size_t len, struct aq_yaml **ret,
		  struct aq_yaml_place *ret_place, struct aq_err *err)
{
	struct reader r = {
		.mem = mem, .len = len, .place = ret_place, .err = err
	};
	int rc;

	*ret_place = (struct aq_yaml_place){ 1, 1 };
	if (!yaml_parser_initialize(&r.parser))
		return aq_fail(err, AQ_SYS, "out of memory for YAML");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)mem,
				     len);
	rc = read_stream(&r, ret);
	yaml_parser_delete(&r.parser);
	return rc;
}
