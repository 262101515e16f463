/* SPDX-License-Identifier: Apache-2.0 */
#include "common/canonical.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/direct.h"
#include "common/matchspec.h"
#include "common/pep508.h"
#include "common/text.h"

struct aq_request *aq_request_new(void)
{
	struct aq_request *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->channels.max = req->conda.max = req->pip.max =
		req->constraints.max = req->sources.max =
			req->variables.max =
			AQ_REQUEST_ITEMS_MAX;
	return req;
}

void aq_request_free(struct aq_request *req)
{
	if (!req)
		return;
	free(req->python);
	aq_strv_free(&req->channels);
	aq_strv_free(&req->conda);
	aq_strv_free(&req->pip);
	aq_strv_free(&req->constraints);
	aq_strv_free(&req->sources);
	aq_strv_free(&req->variables);
	free(req->canonical);
	free(req);
}

bool aq_is_variable_name(const char *name, size_t len)
{
	static const char *const reserved[] = { "SLURM", "SPANK", "AQ_" };

	if (!len || isdigit((unsigned char)*name))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (aq_starts_with(name, reserved[i]))
			return false;
	return true;
}

int aq_variable_compare(const char *a, const char *b)
{
	size_t alen = strcspn(a, "="), blen = strcspn(b, "=");
	int diff = memcmp(a, b, alen < blen ? alen : blen);

	return diff ? diff : (alen > blen) - (alen < blen);
}

static void add_lines(struct aq_str *out, const char *word,
		      const struct aq_strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		aq_str_add_fmt(out, "%s %s\n", word, v->v[i]);
}

void aq_canonical_package_part(const struct aq_request *req, struct aq_str *out)
{
	if (req->python)
		aq_str_add_fmt(out, "python %s\n", req->python);
	add_lines(out, "channel", &req->channels);
	add_lines(out, "conda", &req->conda);
	add_lines(out, "pip", &req->pip);
	add_lines(out, "constraint", &req->constraints);
	add_lines(out, "no-binary", &req->sources);
}

int aq_request_seal(struct aq_request *req, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	int rc;

	aq_str_add(&out, AQ_CANONICAL_HEADER);
	aq_canonical_package_part(req, &out);
	if (req->is_isolated)
		aq_str_add(&out, "inherit no\n");
	add_lines(&out, "variable", &req->variables);
	if (out.broken == E2BIG)
		return aq_fail(err, AQ_USER,
			       "the request is over %d KiB: ask for fewer "
			       "packages, most come along as dependencies",
			       AQ_REQUEST_CANONICAL_MAX / 1024);
	rc = aq_str_done(&out, "a request", err);
	if (!rc)
		rc = aq_sha256(out.s, out.len, req->digest, err);
	if (rc)
		return rc;
	free(req->canonical);
	req->canonical_len = out.len;
	req->canonical = steal(&out.s);
	return 0;
}

int aq_request_isolate(struct aq_request *req, struct aq_err *err)
{
	req->is_isolated = true;
	return aq_request_seal(req, err);
}

/* -- reading it again: hostile input --
 *
 * Lines are read for what they mean; that they say it in the one way that is
 * canonical, aq_request_parse() finds by saying it itself.
 */

static int fail_damaged(struct aq_err *err, const char *line)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(err, AQ_USER,
		       "the request is damaged at '%s': submit the job again",
		       aq_show(line, show));
}

/* Append 'value' if it is what sorting would have put there. */
static int append_sorted(struct aq_strv *v, const char *value,
			 int (*compare)(const char *, const char *),
			 struct aq_err *err)
{
	if (v->n && compare(v->v[v->n - 1], value) >= 0)
		return fail_damaged(err, value);
	aq_strv_add(v, value);
	return aq_strv_done(v, "a request", err);
}

static int read_python(struct aq_request *req, const char *value,
		       const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_free char *normal = NULL;
	int rc;

	(void)conf;
	if (req->python)
		return fail_damaged(err, value);
	rc = aq_vspec_normalise(value, &normal, err);
	if (rc)
		return rc;
	if (aq_vspec_contradicts_itself(normal))
		return fail_damaged(err, value);
	req->python = steal(&normal);
	return 0;
}

static int read_channel(struct aq_request *req, const char *value,
			const struct aq_conf *conf, struct aq_err *err)
{
	const struct aq_channel *channel;
	int rc = aq_channel_find(conf, value, &channel, err);

	if (rc)
		return rc;
	if (strcmp(channel->name, value) != 0 ||
	    aq_strv_has(&req->channels, value))
		return fail_damaged(err, value);
	aq_strv_add(&req->channels, value);
	return aq_strv_done(&req->channels, "a request", err);
}

/* A spec about Python must be part of what 'python' says already. */
static int check_python_spec(const struct aq_request *req,
			     const struct aq_matchspec *spec, const char *value,
			     struct aq_err *err)
{
	cleanup_free char *both = NULL;
	int rc;

	if (!req->python || !aq_matchspec_is_special(spec))
		return fail_damaged(err, value);
	rc = aq_vspec_and(req->python, spec->version, &both, err);
	if (rc)
		return rc;
	return strcmp(both, req->python) == 0 ? 0 : fail_damaged(err, value);
}

static int read_conda(struct aq_request *req, const char *value,
		      const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	cleanup_str struct aq_str normal = AQ_STR_INIT(2 * AQ_SPEC_MAX);
	const struct aq_channel *channel;
	int rc = aq_matchspec_parse(value, &spec, err);

	if (rc)
		return rc;
	aq_matchspec_print(&spec, &normal);
	rc = aq_str_done(&normal, "a package spec", err);
	if (rc)
		return rc;
	if (spec.channel) {
		rc = aq_channel_find(conf, spec.channel, &channel, err);
		if (rc)
			return rc;
		if (strcmp(channel->name, spec.channel) != 0)
			return fail_damaged(err, value);
	}
	if (strcmp(spec.name, "python") == 0) {
		rc = check_python_spec(req, &spec, value, err);
		if (rc)
			return rc;
	}
	return append_sorted(&req->conda, aq_str_get(&normal), strcmp, err);
}

static int read_requirement(struct aq_strv *into, const char *value,
			    bool constraint, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	cleanup_str struct aq_str normal = AQ_STR_INIT(2 * AQ_SPEC_MAX);
	int rc = aq_requirement_parse(value, &r, err);

	if (rc)
		return rc;
	aq_requirement_print(&r, &normal);
	rc = aq_str_done(&normal, "a requirement", err);
	if (rc)
		return rc;
	if ((constraint && (r.extras.n || r.url)) ||
	    (r.url && aq_direct_input(r.url) == AQ_INPUT_LOCAL &&
	     !aq_direct_sha256(r.url)))
		return fail_damaged(err, value);
	return append_sorted(into, aq_str_get(&normal), strcmp, err);
}

static int read_pip(struct aq_request *req, const char *value,
		    const struct aq_conf *conf, struct aq_err *err)
{
	(void)conf;
	if (!req->python) /* pip has always a Python to install into */
		return fail_damaged(err, value);
	return read_requirement(&req->pip, value, false, err);
}

static int read_constraint(struct aq_request *req, const char *value,
			   const struct aq_conf *conf, struct aq_err *err)
{
	(void)conf;
	if (!req->pip.n) /* they constrain nothing, and are dropped */
		return fail_damaged(err, value);
	return read_requirement(&req->constraints, value, true, err);
}

static int read_source(struct aq_request *req, const char *value,
		       const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	int rc = aq_requirement_parse(value, &r, err);

	(void)conf;
	if (rc)
		return rc;
	if (!req->pip.n || strcmp(r.name, value) != 0)
		return fail_damaged(err, value);
	return append_sorted(&req->sources, value, strcmp, err);
}

static int read_inherit(struct aq_request *req, const char *value,
			const struct aq_conf *conf, struct aq_err *err)
{
	(void)conf;
	if (req->is_isolated || strcmp(value, "no") != 0)
		return fail_damaged(err, value);
	req->is_isolated = true;
	return 0;
}

static int read_variable(struct aq_request *req, const char *value,
			 const struct aq_conf *conf, struct aq_err *err)
{
	size_t len = strcspn(value, "=");

	(void)conf;
	if (!value[len] || !aq_is_variable_name(value, len))
		return fail_damaged(err, value);
	return append_sorted(&req->variables, value, aq_variable_compare, err);
}

/* The kinds of lines, in their order. */
static const struct kind {
	const char *word;
	int (*read)(struct aq_request *req, const char *value,
		    const struct aq_conf *conf, struct aq_err *err);
} kinds[] = {
	{ "python ", read_python },	    { "channel ", read_channel },
	{ "conda ", read_conda },	    { "pip ", read_pip },
	{ "constraint ", read_constraint }, { "no-binary ", read_source },
	{ "inherit ", read_inherit },	    { "variable ", read_variable },
};

static int read_line(struct aq_request *req, const char *line, size_t *kind,
		     const struct aq_conf *conf, struct aq_err *err)
{
	if (!aq_text_is_clean(line))
		return fail_damaged(err, line);
	for (size_t i = *kind; i < ARRAY_LEN(kinds); i++)
		if (aq_starts_with(line, kinds[i].word)) {
			*kind = i;
			return kinds[i].read(req, line + strlen(kinds[i].word),
					     conf, err);
		}
	return fail_damaged(err, line);
}

static int read_lines(struct aq_request *req, char *text,
		      const struct aq_conf *conf, struct aq_err *err)
{
	size_t kind = 0;

	if (!aq_starts_with(text, AQ_CANONICAL_HEADER))
		return aq_fail(err, AQ_USER,
			       "the request is damaged or of another version: "
			       "submit the job again");
	text += strlen(AQ_CANONICAL_HEADER);
	while (*text) {
		char *end = strchr(text, '\n');
		int rc;

		if (!end)
			return fail_damaged(err, text);
		*end = '\0';
		rc = read_line(req, text, &kind, conf, err);
		if (rc)
			return rc;
		text = end + 1;
	}
	return 0;
}

int aq_request_parse(const char *canonical, size_t len,
		     const struct aq_conf *conf, struct aq_request **ret,
		     struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	cleanup_free char *copy = NULL;
	int rc;

	if (len > AQ_REQUEST_CANONICAL_MAX || memchr(canonical, '\0', len))
		return aq_fail(err, AQ_USER,
			       "the request is damaged: submit the job again");
	req = aq_request_new();
	copy = strndup(canonical, len);
	if (!req || !copy)
		return aq_fail(err, AQ_SYS, "out of memory for a request");
	rc = read_lines(req, copy, conf, err);
	if (!rc)
		rc = aq_request_seal(req, err);
	if (rc)
		return rc;
	if (req->canonical_len != len ||
	    memcmp(req->canonical, canonical, len) != 0)
		return aq_fail(err, AQ_USER,
			       "the request is damaged or was not made by us: submit the job again");
	if (!req->python && !req->conda.n)
		return fail_damaged(err, "its end");
	/* another site's policy may have let it pass */
	rc = aq_policy_check_all(conf->policy, aq_domain_inputs(canonical, len),
				 err);
	if (rc)
		return rc;
	*ret = steal(&req);
	return 0;
}
