/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a text file, and that as YAML: what is read can be written so
 * that the same is read again.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/yaml.h"

const char fuzz_name[] = "yaml";

/* Bytes of UTF-8 that two of UTF-16 may become, halved: 3. */
#define DECODED_MAX(len) (3 * (len) / 2 + 3)
/* Lists and maps take a character each, and so does a scalar, but that there may
 * be an empty one behind each of them.
 */
#define NODES_MAX(len) (2 * (len) + 2)
/* "\P", a paragraph separator, is three bytes of two. */
#define TEXT_MAX(len) (3 * (len) / 2)

struct counts {
	size_t nodes, bytes;
};

static void count(const struct aq_yaml *n, size_t len, int depth,
		  struct counts *c)
{
	fuzz_check(depth <= AQ_YAML_DEPTH_MAX);
	for (; n; n = n->next) {
		c->nodes++;
		c->bytes += n->text ? strlen(n->text) : 0;
		c->bytes += n->key ? strlen(n->key) : 0;
		fuzz_check(n->line > 0 && n->column > 0);
		fuzz_check(n->line <= len + 1 && n->column <= len + 1);
		fuzz_check((n->kind == AQ_YAML_SCALAR) == (n->text != NULL));
		fuzz_check(!n->text || !n->child);
		count(n->child, len, depth + 1, c);
	}
}

static void print(const struct aq_yaml *n, struct aq_str *out)
{
	if (n->kind == AQ_YAML_SCALAR) {
		if (aq_yaml_is_null(n))
			aq_str_add_char(out, '~');
		else
			fuzz_yaml_quote(out, n->text);
		return;
	}
	aq_str_add_char(out, n->kind == AQ_YAML_LIST ? '[' : '{');
	for (const struct aq_yaml *c = n->child; c; c = c->next) {
		if (n->kind == AQ_YAML_MAP) {
			/* libyaml: a key without '?' has 1024 bytes at most */
			aq_str_add(out, "? ");
			fuzz_yaml_quote(out, c->key);
			aq_str_add(out, " : ");
		}
		print(c, out);
		aq_str_add(out, ",\n ");
	}
	aq_str_add_char(out, n->kind == AQ_YAML_LIST ? ']' : '}');
}

static bool is_same(const struct aq_yaml *a, const struct aq_yaml *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (a->kind != b->kind || !fuzz_same(a->key, b->key) ||
		    aq_yaml_is_null(a) != aq_yaml_is_null(b) ||
		    (!aq_yaml_is_null(a) && !fuzz_same(a->text, b->text)) ||
		    !is_same(a->child, b->child))
			return false;
	return a == b;
}

static void check_tree(const struct aq_yaml *root, size_t len)
{
	cleanup_str struct aq_str printed = AQ_STR_INIT(SIZE_MAX / 2);
	cleanup_yaml struct aq_yaml *again = NULL;
	struct counts c = { 0, 0 };
	struct aq_yaml_place place;
	struct aq_err err;

	count(root, len, 0, &c);
	fuzz_check(c.nodes <= NODES_MAX(len) && c.bytes <= TEXT_MAX(len));
	print(root, &printed);
	if (aq_yaml_parse(aq_str_get(&printed), printed.len, &again, &place,
			  &err))
		fuzz_broken(__FILE__, __LINE__, err.text, aq_str_get(&printed));
	fuzz_check_text(is_same(root, again), aq_str_get(&printed));
}

static void check_yaml(const char *text, size_t len)
{
	cleanup_yaml struct aq_yaml *root = NULL;
	struct aq_yaml_place place = { 0, 0 };
	struct aq_err err;
	int rc = aq_yaml_parse(text, len, &root, &place, &err);

	if (!rc && root) {
		check_tree(root, len);
	} else if (rc) {
		fuzz_check_refusal(rc, &err);
		fuzz_check(!root && place.line > 0 && place.column > 0);
	}
}

static void check_decoded(const struct aq_str *text)
{
	cleanup_str struct aq_str again = AQ_STR_INIT(text->len + 1);
	const char *s = aq_str_get(text), *end = s + text->len;
	struct aq_err err;

	fuzz_check(strlen(s) == text->len);
	for (const char *p = s; p < end; p += aq_utf8_len(p, end))
		fuzz_check(aq_utf8_len(p, end));
	fuzz_check(aq_text_decode(s, text->len, &again, &err) == 0);
	fuzz_check(again.len == text->len &&
		   memcmp(aq_str_get(&again), s, text->len) == 0);
}

/* What leaves us for a terminal or a message, whatever it was. */
static void check_shown(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	size_t len, n;
	char *mem = fuzz_piece(&in, '\0', &len);
	char show[AQ_SHOW_SIZE], path[AQ_SHOW_PATH_SIZE];

	fuzz_check(aq_text_is_clean(aq_show(mem, show)));
	fuzz_check(aq_text_is_clean(aq_show_path(mem, path)));
	n = aq_text_make_printable(mem, len);
	fuzz_check(n <= len);
	fuzz_check(aq_text_make_printable(mem, n) == n);
	mem[n] = '\0';
	for (char *line = mem; *line; line = strchrnul(line, '\n')) {
		if (*line == '\n')
			line++;
		else
			fuzz_check(aq_text_is_clean(
				strndupa(line, strcspn(line, "\n"))));
	}
	free(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(DECODED_MAX(size));
	struct aq_err err;
	int rc = aq_text_decode((const char *)data, size, &text, &err);

	check_shown(data, size);
	if (rc) {
		fuzz_check_refusal(rc, &err);
		return 0;
	}
	check_decoded(&text);
	check_yaml(aq_str_get(&text), text.len);
	return 0;
}
