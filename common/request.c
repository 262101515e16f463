/* SPDX-License-Identifier: Apache-2.0 */
#include "common/request.h"

#include <stdlib.h>
#include <string.h>

#include "common/canonical.h"
#include "common/explicit.h"
#include "common/exported.h"
#include "common/script.h"
#include "common/sections.h"
#include "common/text.h"

/* A template is mostly no YAML: better said than what libyaml says of it. */
static bool find_template(struct aq_reading *r, const char *text)
{
	size_t line = 1;

	for (const char *from = text; *text; text++) {
		if (*text == '\n') {
			line++;
			from = text + 1;
		} else if (*text == '#') {
			text += strcspn(text, "\n") - 1;
		} else if (*text == '{' && (text[1] == '{' || text[1] == '%')) {
			struct aq_place at = { r->file, line,
					       (size_t)(text - from) + 1 };

			aq_problem(&r->problems, at,
				   "a template ('{%c'): templates are not "
				   "supported, render it first or write what "
				   "it stands for",
				   text[1]);
			return true;
		}
	}
	return false;
}

static void read_yaml(struct aq_reading *r, const char *text, size_t len)
{
	cleanup_yaml struct aq_yaml *root = NULL;
	struct aq_yaml_place where;
	struct aq_err err;

	if (aq_ends_with(r->file, ".toml")) { /* pyproject, Pipfile, pixi */
		struct aq_place at = { r->file, 1, 1 };

		aq_problem(&r->problems, at,
			   "a project's TOML is no request: write what it "
			   "depends on into a requirements.txt, a line each, "
			   "or below 'dependencies:' of an environment.yml");
		return;
	}
	if (find_template(r, text))
		return;
	if (aq_yaml_parse(text, len, &root, &where, &err)) {
		struct aq_place at = { r->file, where.line, where.column };

		aq_problem_err(&r->problems, at, &err);
	} else if (!root || aq_yaml_is_null(root)) {
		struct aq_place at = { r->file, 1, 1 };

		aq_problem(&r->problems, at,
			   "the file is empty: a line 'dependencies:' with "
			   "packages below it is expected");
	} else {
		aq_sections_read(r, root);
	}
}

static enum aq_request_kind kind_by_name(const char *name)
{
	if (aq_ends_with(name, ".py"))
		return AQ_REQUEST_SCRIPT;
	if (aq_ends_with(name, ".txt") || aq_ends_with(name, ".in"))
		return AQ_REQUEST_REQUIREMENTS;
	return AQ_REQUEST_YAML;
}

/* 'text', which is cut. */
static void read_text(struct aq_reading *r, char *text, size_t len)
{
	r->kind = kind_by_name(r->file);
	if (r->kind != AQ_REQUEST_SCRIPT && aq_explicit_is(text))
		r->kind = AQ_REQUEST_EXPLICIT;
	else if (r->kind != AQ_REQUEST_SCRIPT && aq_exported_is(text))
		r->kind = AQ_REQUEST_EXPORTED;
	switch (r->kind) {
	case AQ_REQUEST_YAML:
		read_yaml(r, text, len);
		break;
	case AQ_REQUEST_EXPLICIT:
		aq_explicit_read(r, text);
		break;
	case AQ_REQUEST_EXPORTED:
		aq_exported_read(r, text);
		break;
	case AQ_REQUEST_REQUIREMENTS:
		aq_pip_text(&r->pip, r->file, text);
		break;
	case AQ_REQUEST_SCRIPT:
		aq_script_read(r, text);
		break;
	}
}

static void check_defaults(struct aq_reading *r)
{
	if (!r->defaults.line)
		return;
	if (r->req->channels.n)
		aq_place_note(r->warnings, r->defaults,
			      "channel 'defaults' is left out: this site has "
			      "none");
	else
		aq_problem(&r->problems, r->defaults,
			   "channel 'defaults' is not in the administrator's "
			   "map: name another, for example '%s'",
			   r->conf->n_channels ? r->conf->channels[0].name
					       : "conda-forge");
}

static int by_name(const void *a, const void *b)
{
	return aq_variable_compare(*(char *const *)a, *(char *const *)b);
}

/* What a file of each kind that asks for nothing lacks; a Python file has asked for
 * Python.
 */
static const char *const wants[] = {
	[AQ_REQUEST_YAML] = "list packages below 'dependencies:'",
	[AQ_REQUEST_EXPLICIT] = "list packages below '@EXPLICIT'",
	[AQ_REQUEST_EXPORTED] = "write a package a line, for example 'numpy'",
	[AQ_REQUEST_REQUIREMENTS] =
		"write a requirement a line, for example 'numpy>=2'",
};

/* What only the whole request shows, then its normal order. */
static int finish(struct aq_reading *r, struct aq_err *err)
{
	struct aq_request *req = r->req;
	struct aq_place whole = { r->file, 1, 1 };
	const struct aq_strv *lists[] = { &req->channels, &req->conda,
					  &req->pip, &req->constraints,
					  &req->sources, &req->variables };
	char file[AQ_SHOW_PATH_SIZE];
	int rc = 0;

	check_defaults(r);
	if (!r->problems.n && !req->python && !req->conda.n && !req->pip.n &&
	    r->kind != AQ_REQUEST_SCRIPT)
		aq_problem(&r->problems, whole, "nothing is asked for: %s",
			   wants[r->kind]);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (lists[i]->broken == E2BIG)
			aq_problem(&r->problems, whole,
				   "more than %d packages, channels or "
				   "variables",
				   AQ_REQUEST_ITEMS_MAX);
		else if (!rc)
			rc = aq_strv_done(lists[i], "a request", err);
	if (!rc)
		rc = aq_problems_done(&r->problems, err);
	if (!rc && !req->python &&
	    (req->pip.n || r->kind == AQ_REQUEST_SCRIPT))
		rc = aq_python_normalise(r->conf->default_python, &req->python,
					 err);
	if (rc)
		return rc;
	aq_strv_sort_unique(&req->conda);
	aq_strv_sort_unique(&req->pip);
	aq_strv_sort_unique(&req->constraints);
	aq_strv_sort_unique(&req->sources);
	if (!req->pip.n) { /* nothing that they are about */
		aq_strv_free(&req->constraints);
		aq_strv_free(&req->sources);
	}
	if (req->variables.n > 1)
		qsort(req->variables.v, req->variables.n,
		      sizeof(*req->variables.v), by_name);
	rc = aq_request_seal(req, err);
	if (rc == AQ_USER && r->kind == AQ_REQUEST_EXPLICIT)
		aq_fail(err, rc,
			"as a request this lock file is over %d KiB: give the "
			"environment file that it was made from",
			AQ_REQUEST_CANONICAL_MAX / 1024);
	if (rc == AQ_USER)
		aq_fail_prefix(err, "%s:1:1", aq_show_path(r->file, file));
	return rc;
}

/* 'text' is cut. */
static int read_request(const char *name, char *text, size_t len,
			struct aq_file_budget budget,
			const struct aq_conf *conf, struct aq_request **ret,
			struct aq_strv *warnings, struct aq_err *err)
{
	cleanup_request struct aq_request *req = aq_request_new();
	struct aq_reading r = {
		.file = name,
		.conf = conf,
		.req = req,
		.warnings = warnings,
	};
	int rc;

	if (!req)
		return aq_fail(err, AQ_SYS, "out of memory for a request");
	r.pip = (struct aq_pip){ .requirements = &req->pip,
				 .constraints = &req->constraints,
				 .sources = &req->sources,
				 .policy = conf->policy,
				 .problems = &r.problems,
				 .warnings = warnings,
				 .budget = budget };
	read_text(&r, text, len);
	rc = finish(&r, err);
	aq_problems_free(&r.problems);
	if (!rc)
		*ret = steal(&req);
	return rc;
}

int aq_request_read(const char *path, const struct aq_conf *conf,
		    struct aq_request **ret, struct aq_strv *warnings,
		    struct aq_err *err)
{
	cleanup_str struct aq_str text =
		AQ_STR_INIT(2 * (AQ_SCRIPT_FILE_MAX + AQ_REQUEST_HASHES_MAX));
	const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
	enum aq_request_kind kind = kind_by_name(name);
	struct aq_file_budget budget = {
		.bytes = kind == AQ_REQUEST_SCRIPT ? AQ_SCRIPT_FILE_MAX :
						     AQ_REQUEST_FILE_MAX,
		.hashes = kind == AQ_REQUEST_REQUIREMENTS ?
				  AQ_REQUEST_HASHES_MAX : 0,
	};
	char file[AQ_SHOW_PATH_SIZE];
	int rc = aq_file_read(path, false, &budget, &text, NULL, err);

	if (rc) {
		aq_fail_prefix(err, "%s:1:1", aq_show_path(name, file));
		return rc;
	}
	if (kind != AQ_REQUEST_REQUIREMENTS) /* but it may include such */
		budget.hashes = AQ_REQUEST_HASHES_MAX;
	aq_str_add(&text, ""); /* an empty file's is a string too */
	rc = aq_str_done(&text, "a request", err);
	return rc ? rc :
		    read_request(name, text.s, text.len, budget, conf, ret,
				 warnings, err);
}

int aq_request_read_text(const char *name, const char *mem, size_t len,
			 const struct aq_conf *conf, struct aq_request **ret,
			 struct aq_strv *warnings, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * AQ_REQUEST_FILE_MAX);
	char file[AQ_SHOW_PATH_SIZE];
	int rc = aq_text_decode(mem, len, &text, err);

	aq_str_add(&text, "");
	if (!rc)
		rc = aq_text_done(&text, "a request", err);
	if (rc) {
		aq_fail_prefix(err, "%s:1:1", aq_show_path(name, file));
		return rc;
	}
	return read_request(name, text.s, text.len,
			    (struct aq_file_budget){ AQ_REQUEST_FILE_MAX,
						     AQ_REQUEST_HASHES_MAX },
			    conf, ret, warnings, err);
}
