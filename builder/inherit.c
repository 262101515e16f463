/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/inherit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/host.h"
#include "builder/pip.h"
#include "common/flock.h"
#include "common/manifest.h"
#include "common/matchspec.h"
#include "common/sources.h"
#include "common/vmatch.h"

/* In one line, printable, no white space twice. */
static void add_plain(struct aq_str *out, const char *text)
{
	bool is_gap = false;

	for (; *text; text++) {
		/* drawings: uv writes its reasons as trees */
		if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~') {
			is_gap = true;
			continue;
		}
		if (is_gap && out->len)
			aq_str_add_char(out, ' ');
		is_gap = false;
		aq_str_add_char(out, *text);
	}
}

int inherit_miss(struct aq_err *err, const char *what, const char *detail)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(64 * 1024);

	add_plain(&text, detail);
	return aq_fail(err, AQ_MISS, "%s%s%.300s", what, text.len ? ": " : "",
		       aq_str_get(&text));
}

int inherit_hold_base(struct build *b, struct aq_err *err)
{
	cleanup_manifest struct aq_manifest *m = NULL;
	char name[128], python[2 * BUILD_PATH_MAX];
	int rc;

	snprintf(b->base_prefix, sizeof(b->base_prefix), "%s/envs/%s",
		 b->conf->cache_dir, b->base.env);
	snprintf(python, sizeof(python), "%s/bin/python%s", b->base_prefix,
		 b->base.python);
	snprintf(name, sizeof(name), AQ_FLOCK_HOLD "%s", b->base.env);
	rc = aq_flock_wait(b->conf, name, AQ_FLOCK_SHARED, NULL, NULL,
			   &b->base_fd, err);
	if (!rc)
		rc = aq_manifest_read(b->conf, b->base.env, &m, err);
	if (!rc && strcmp(m->lock->digest, b->base.lock) != 0)
		rc = aq_fail(err, AQ_CORRUPT, "it has another lock");
	if (!rc && faccessat(AT_FDCWD, python, X_OK, AT_SYMLINK_NOFOLLOW) < 0)
		rc = aq_fail_errno(err, "'%s'", python);
	if (rc)
		return aq_fail_prefix(err, "base %s ('%s')", b->base.python,
				      b->base.env);
	b->base_manifest = steal(&m);
	cage_show(b, b->base.env);
	return 0;
}

/* -- the conda part -- */

/* Whether the base's package is what 'spec' asks for, and from where. */
static int check_spec(struct build *b, struct aq_matchspec *spec,
		      const char *text, const struct aq_strv *channels,
		      struct aq_err *err)
{
	const struct aq_lock_item *item = aq_lock_find(
		b->base_manifest->lock, AQ_LOCK_CONDA, spec->name);
	bool is_from = false;
	char has[512];

	if (!item)
		return inherit_miss(err, "it lacks", text);
	snprintf(has, sizeof(has), "%s is asked for, it has %s %s", text,
		 item->version, item->build);
	if (aq_sources_match(b->conf, channels, spec, item, &is_from) !=
	    AQ_MATCH_YES)
		return inherit_miss(err, has, "");
	if (!is_from)
		return inherit_miss(err, has, "from another channel");
	return 0;
}

int inherit_check(struct build *b, struct aq_err *err)
{
	cleanup_strv struct aq_strv channels = AQ_STRV_INIT(4096);
	struct aq_err why = { 0 };
	int rc = host_check(b, b->base_manifest->lock, &why);
	struct aq_matchspec python = { .name = (char[]){ "python" },
				       .version = b->req->python };

	if (rc)
		return inherit_miss(err, why.text, "");
	rc = aq_sources_channels(b->req, b->conf, &channels, err);
	if (!rc)
		rc = check_spec(b, &python, b->req->python, &channels, err);
	for (size_t i = 0; !rc && i < b->req->conda.n; i++) {
		cleanup_matchspec struct aq_matchspec spec = { 0 };

		rc = aq_matchspec_parse(b->req->conda.v[i], &spec, err);
		if (!rc)
			rc = check_spec(b, &spec, b->req->conda.v[i],
					&channels, err);
	}
	return rc;
}

/* -- the difference -- */

static int solve_pip(struct build *b, struct aq_str *lines, struct aq_err *err)
{
	char uv[BUILD_PATH_MAX];
	int rc;

	if (!b->req->pip.n)
		return 0;
	if (!uv_find(b, uv, sizeof(uv)))
		return pip_solve_over_base(b, lines, err);
	rc = stubs_make(b, err);
	return rc ? rc : uv_solve_over_base(b, uv, lines, err);
}

int inherit_solve(struct build *b, struct aq_err *err)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc = inherit_check(b, err);

	if (rc)
		return rc;
	say(b, "inheriting from base %s", b->base.python);
	b->kind = AQ_ENV_INHERITED;
	rc = solve_pip(b, &lines, err);
	return rc ? rc : records_to_lock(b, aq_str_get(&lines), err);
}
