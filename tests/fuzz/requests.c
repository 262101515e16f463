/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/requests.h"

#include <string.h>

#include "common/canonical.h"
#include "common/key.h"
#include "common/sources.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

/* -- reading -- */

/* Every line names a file, nothing in it moves a terminal's cursor. */
static void check_message(const struct aq_err *err)
{
	const char *text = err->text;
	size_t lines = 0;

	fuzz_check_text(err->class == AQ_USER && *text, text);
	while (*text) {
		size_t len = strcspn(text, "\n");

		fuzz_check_text(aq_text_is_clean(strndupa(text, len)), text);
		fuzz_check_text(*text == '/' || aq_starts_with(text, "and "),
				text);
		text += len + (text[len] == '\n');
		lines++;
	}
	fuzz_check_text(lines <= AQ_REQUEST_ERRORS_MAX + 1, err->text);
}

/* What is said of a request that was read from 'name'. */
static void check_said(int rc, const struct aq_request *req, const char *name,
		       struct aq_strv *warnings, const struct aq_err *err)
{
	fuzz_check_text((rc == 0) == (req != NULL), err->text);
	if (rc)
		check_message(err);
	for (size_t i = 0; i < warnings->n; i++)
		fuzz_check_text(aq_text_is_clean(warnings->v[i]) &&
				aq_starts_with(warnings->v[i], name),
				warnings->v[i]);
	aq_strv_free(warnings);
}

struct aq_request *fuzz_request_read(const char *path)
{
	struct aq_strv warnings = AQ_STRV_INIT(AQ_REQUEST_FILE_MAX);
	struct aq_request *req = NULL;
	struct aq_err err = { 0 };
	int rc = aq_request_read(path, fuzz_conf(), &req, &warnings, &err);

	check_said(rc, req, path, &warnings, &err);
	return req;
}

struct aq_request *fuzz_request_read_as(const char *name, const uint8_t *data,
					size_t size)
{
	struct aq_strv warnings = AQ_STRV_INIT(AQ_REQUEST_FILE_MAX);
	struct aq_request *req = NULL;
	struct aq_err err = { 0 };
	int rc = aq_request_read_text(name, (const char *)data, size,
				      fuzz_conf(), &req, &warnings, &err);

	check_said(rc, req, name, &warnings, &err);
	return req;
}

struct aq_request *fuzz_request_parse(const char *mem, size_t len)
{
	struct aq_request *req = NULL;
	struct aq_err err = { 0 };
	int rc = aq_request_parse(mem, len, fuzz_conf(), &req, &err);

	if (rc) {
		fuzz_check_refusal(rc, &err);
		fuzz_check(!req);
		return NULL;
	}
	fuzz_check(req->canonical_len == len &&
		   memcmp(req->canonical, mem, len) == 0);
	return req;
}

/* -- writing -- */

static void add_item(struct aq_str *out, const char *item)
{
	aq_str_add(out, "  - ");
	fuzz_yaml_quote(out, item);
	aq_str_add(out, "\n");
}

/* In reverse with each item twice, or as it is. */
static void add_items(struct aq_str *out, const struct aq_strv *v,
		      const char *before, bool is_turned)
{
	for (size_t i = 0; i < v->n * (is_turned ? 2 : 1); i++) {
		cleanup_str struct aq_str item = AQ_STR_INIT(SIZE_MAX / 2);

		aq_str_add(&item, before);
		aq_str_add(&item, v->v[is_turned ? v->n - 1 - i / 2 : i]);
		if (is_turned)
			aq_str_add(&item, "  ");
		add_item(out, aq_str_get(&item));
	}
}

static void add_variables(struct aq_str *out, const struct aq_strv *v)
{
	if (v->n)
		aq_str_add(out, "variables:\n");
	for (size_t i = 0; i < v->n; i++) {
		size_t len = strcspn(v->v[i], "=");

		aq_str_add_fmt(out, "  ? %.*s\n  : ", (int)len, v->v[i]);
		fuzz_yaml_quote(out, v->v[i] + len + 1);
		aq_str_add(out, "\n");
	}
}

/* A constraint needs a file of its own. */
static void add_pip(struct aq_str *out, const struct aq_request *req,
		    bool is_turned)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(SIZE_MAX / 2);

	if (!req->pip.n)
		return;
	aq_str_add(out, "requirements:\n");
	add_items(out, &req->pip, "", is_turned);
	add_items(out, &req->sources, "--no-binary ", is_turned);
	if (!req->constraints.n)
		return;
	for (size_t i = 0; i < req->constraints.n; i++)
		aq_str_add_fmt(&lines, "%s\n", req->constraints.v[i]);
	aq_str_add_fmt(out, "  - -c %s\n",
		       fuzz_file(1, aq_str_get(&lines), lines.len));
}

static void write_file(const struct aq_request *req, bool is_turned,
		       struct aq_str *out)
{
	if (is_turned)
		add_variables(out, &req->variables);
	if (req->channels.n)
		aq_str_add(out, "channels:\n");
	add_items(out, &req->channels, "", false);
	if (req->conda.n)
		aq_str_add(out, "dependencies:\n");
	add_items(out, &req->conda, "", is_turned);
	add_pip(out, req, is_turned);
	if (req->python) {
		aq_str_add(out, "python_version: ");
		fuzz_yaml_quote(out, req->python);
		aq_str_add(out, "\n");
	}
	if (!is_turned)
		add_variables(out, &req->variables);
}

/* -- equal meaning -- */

static void check_same(const struct aq_request *a, const struct aq_request *b)
{
	fuzz_check(b);
	fuzz_check_text(a->canonical_len == b->canonical_len &&
			strcmp(a->canonical, b->canonical) == 0,
			b->canonical);
	fuzz_check(strcmp(a->digest, b->digest) == 0);
}

static void check_file(const struct aq_request *req, bool is_turned)
{
	cleanup_request struct aq_request *again = NULL;
	cleanup_str struct aq_str text = AQ_STR_INIT(SIZE_MAX / 2);
	struct aq_err err;

	write_file(req, is_turned, &text);
	/* what it is not in canonical form it may have no room for */
	if (text.len > AQ_REQUEST_FILE_MAX / 2 ||
	    (is_turned && req->conda.n + req->pip.n > AQ_REQUEST_ITEMS_MAX / 4))
		return;
	again = fuzz_request_read(fuzz_file(0, aq_str_get(&text), text.len));
	fuzz_check_text(again, aq_str_get(&text));
	if (req->is_isolated)
		fuzz_check(aq_request_isolate(again, &err) == 0);
	check_same(req, again);
}

/* -- what becomes of it -- */

static void check_key(const struct aq_request *req)
{
	const struct aq_domain shared = { .kind = AQ_SHARED };
	cleanup_str struct aq_str part = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	cleanup_free char *context = NULL;
	char key[AQ_SHA256_HEX_SIZE], digest[AQ_SHA256_HEX_SIZE];
	struct aq_err err;

	fuzz_check(!aq_sha256(req->canonical, req->canonical_len, digest, &err));
	fuzz_check(strcmp(digest, req->digest) == 0);
	fuzz_check(!aq_key_context(fuzz_conf(), &shared, NULL, &context, &err));
	fuzz_check(!aq_key(req, context, key, &err));
	fuzz_check(aq_is_hex(key, AQ_SHA256_HEX_SIZE - 1));
	aq_canonical_package_part(req, &part);
	fuzz_check(!part.broken && part.len < req->canonical_len);
	fuzz_check(strncmp(req->canonical + strlen(AQ_CANONICAL_HEADER),
			   aq_str_get(&part), part.len) == 0);
}

/* Nothing that a client is told can be taken for an option. */
static void check_told(const struct aq_request *req)
{
	cleanup_strv struct aq_strv urls = AQ_STRV_INIT(AQ_REQUEST_FILE_MAX);
	cleanup_strv struct aq_strv specs = AQ_STRV_INIT(AQ_REQUEST_FILE_MAX);
	struct aq_err err = { 0 };

	fuzz_check_text(!aq_sources_channels(req, fuzz_conf(), &urls, &err),
			err.text);
	fuzz_check_text(!aq_sources_specs(req, fuzz_conf(), &specs, &err),
			err.text);
	for (size_t i = 0; i < urls.n; i++)
		fuzz_check_text(aq_starts_with(urls.v[i], "https://"),
				urls.v[i]);
	for (size_t i = 0; i < specs.n; i++)
		fuzz_check_text(specs.v[i][0] != '-' &&
				aq_text_is_clean(specs.v[i]), specs.v[i]);
	for (size_t i = 0; i < req->pip.n; i++)
		fuzz_check_text(req->pip.v[i][0] != '-', req->pip.v[i]);
	fuzz_check(specs.n == req->conda.n + (req->python != NULL));
}

/* A wheel of its user's is read, and hashed, where it is submitted. */
static bool has_wheels(const struct aq_request *req)
{
	for (size_t i = 0; i < req->pip.n; i++)
		if (strstr(req->pip.v[i], "@ file:"))
			return true;
	return false;
}

void fuzz_request_check(const struct aq_request *req)
{
	cleanup_request struct aq_request *again = NULL;

	fuzz_check(req->canonical_len <= AQ_REQUEST_CANONICAL_MAX);
	again = fuzz_request_parse(req->canonical, req->canonical_len);
	fuzz_check_text(again, req->canonical);
	check_same(req, again);
	check_key(req);
	check_told(req);
	if (has_wheels(req))
		return;
	check_file(req, false);
	check_file(req, true);
}
