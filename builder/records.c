/* SPDX-License-Identifier: Apache-2.0 */
/* What clients print, as lines of a lock.  JSON is taken apart in a child of
 * the client's own identity, by SQLite's JSON functions; root reads only the
 * lines, strictly.
 */
#include <stdio.h>
#include <string.h>

#include "builder/builder.h"
#include "builder/run.h"
#include "common/db.h"
#include "common/redact.h"

struct json_job {
	const struct aq_str *json;
	const char *query;
};

static int add_line(const struct aq_db_row *row, void *arg, struct aq_err *err)
{
	struct aq_str *out = arg;
	const char *line = aq_db_text(row, 0);

	/* NULL || text is NULL in SQL */
	if (!*line)
		return aq_fail(err, AQ_SYS, "a package has no URL, SHA-256, name, version or build");
	aq_str_add_fmt(out, "%s\n", line);
	return 0;
}

static int parse_json(void *arg, struct aq_str *out, struct aq_err *err)
{
	const struct json_job *job = arg;
	const struct aq_db_value values[] = { AQ_TEXT(aq_str_get(job->json)) };
	cleanup_db struct aq_db *db = NULL;
	int rc = aq_db_open_memory(&db, err);

	if (!rc)
		rc = aq_db_run(db, job->query, values, 1, add_line, out, err);
	return rc == AQ_MISS ? 0 : rc;
}

int records_from_json(struct build *b, const struct aq_str *json,
		      const char *query, struct aq_str *lines,
		      struct aq_err *err)
{
	struct json_job job = { json, query };
	int rc = run_function(b, PHASE_LAYER, parse_json, &job, lines, err);

	if (rc)
		return aq_fail_prefix(err, "the client's output is not what it should be");
	return 0;
}

#define FIELDS 6

static int add_record(struct build *b, char *line, struct aq_err *err)
{
	char *f[FIELDS] = { 0 }, *save = NULL;
	size_t n = 0;

	if (aq_starts_with(line, "virtual ")) {
		aq_strv_add(&b->lock->virtuals, line + strlen("virtual "));
		return 0;
	}
	for (char *p = strtok_r(line, " ", &save); p && n < FIELDS;
	     p = strtok_r(NULL, " ", &save))
		f[n++] = p;
	if (n == 6 && strcmp(f[0], "conda") == 0) {
		if (strcmp(f[3], "python") == 0 && !b->lock->python)
			b->lock->python = strdup(f[4]);
		return aq_lock_add(b->lock, AQ_LOCK_CONDA, f[1], f[2], f[3],
				   f[4], f[5], err);
	}
	for (int k = AQ_LOCK_WHEEL; n == 5 && k <= AQ_LOCK_VCS; k++)
		if (strcmp(f[0], aq_lock_kind_name((enum aq_lock_kind)k)) == 0)
			return aq_lock_add(b->lock, (enum aq_lock_kind)k, f[1],
					   f[2], f[3], f[4], NULL, err);
	aq_redact_in_place(line, strlen(line) + 1, NULL);
	return aq_fail(err, AQ_SYS, "the client printed no lock: '%.80s'",
		       line);
}

/* What is asked for of the node itself; of a layer, what its base needs. */
static void add_needs(struct build *b)
{
	const struct aq_strv *base = b->kind == AQ_ENV_INHERITED ?
		&b->base_manifest->lock->virtuals : NULL;

	for (size_t i = 0; i < b->req->conda.n; i++)
		if (aq_starts_with(b->req->conda.v[i], "__"))
			aq_strv_add(&b->lock->virtuals, b->req->conda.v[i]);
	for (size_t i = 0; base && i < base->n; i++)
		aq_strv_add(&b->lock->virtuals, base->v[i]);
}

int records_to_lock(struct build *b, const char *lines, struct aq_err *err)
{
	cleanup_free char *copy = strdup(lines);
	char *save = NULL;
	int rc;

	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory");
	rc = aq_lock_new(aq_platform_subdir(), &b->lock, err);
	if (!rc && b->kind == AQ_ENV_INHERITED) {
		memcpy(b->lock->base, b->base.lock, sizeof(b->lock->base));
		b->lock->python = strdup(b->base.full);
	}
	if (!rc)
		add_needs(b);
	for (char *line = strtok_r(copy, "\n", &save); line && !rc;
	     line = strtok_r(NULL, "\n", &save))
		rc = add_record(b, line, err);
	return rc ? rc : aq_lock_finish(b->lock, err);
}
