/* SPDX-License-Identifier: Apache-2.0 */
/* aq verify: whether the cache is what it should be. */
#include "cli/verify.h"

#include <stdio.h>
#include <string.h>

#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "common/clock.h"
#include "common/collect.h"
#include "common/layout.h"
#include "common/repair.h"
#include "common/text.h"

/* Files between two looks at the clock. */
#define TICK_FILES 64

struct run {
	struct cli *cli;
	struct aq_verify verify;
	struct term_progress progress;
	unsigned int n_ticks;
	int64_t last_ms;
	struct json json;
	uint64_t n_envs, n_findings, n_repaired, n_trash, n_work, n_unnoted;
	size_t n_named;
	int collect_fd; /* the collector's lock, while repairing; or -1 */
};

/* -- progress -- */

static void tick(const char *env, void *arg)
{
	struct run *r = arg;
	int64_t now;

	if (!r->progress.is_moving || r->n_ticks++ % TICK_FILES)
		return;
	now = aq_now_ms();
	if (now - r->last_ms < TERM_TICK_MS)
		return;
	r->last_ms = now;
	term_progress_add(&r->progress, "looking at ", 11);
	term_progress_add(&r->progress, env, strlen(env));
	term_progress_add(&r->progress, "\n", 1);
	term_progress_tick(&r->progress);
}

/* Something else is printed now. */
static void hide_progress(struct run *r)
{
	int64_t start = r->progress.start_ms;

	term_progress_end(&r->progress);
	term_progress_begin(&r->progress);
	r->progress.start_ms = start;
}

/* -- output -- */

/* 'env' NULL: of the cache as a whole; 'why' NULL: nobody tried to repair it. */
static void print_text(const struct aq_conf *conf, const char *env,
		       const char *text, bool is_repaired, const char *why)
{
	char buf[AQ_SHOW_PATH_SIZE], owner[DOMAINS_OWNER_SIZE];

	if (conf->domain.kind == AQ_PRIVATE) {
		fputs("private to ", stdout);
		term_print(stdout, domains_owner(conf, owner));
		fputs(": ", stdout);
	}
	if (env) {
		term_print_in(stdout, TERM_BOLD, env);
		fputs(": ", stdout);
	}
	/* a file's name may have a newline */
	fputs(aq_show_path(text, buf), stdout);
	if (is_repaired) {
		fputs("; repaired", stdout);
	} else if (why) {
		fputs("; ", stdout);
		term_print_in(stdout, TERM_RED, "not repaired: ");
		fputs(aq_show_path(why, buf), stdout);
	}
	putchar('\n');
}

static void print_finding(struct run *r, const char *env,
			  const struct aq_finding *f, bool is_repaired,
			  const char *why)
{
	r->n_findings++;
	r->n_repaired += is_repaired;
	if (!r->cli->has_json) {
		print_text(r->cli->conf, env, f->text, is_repaired, why);
		return;
	}
	json_open(&r->json, NULL, '{');
	json_text(&r->json, "env", env);
	domains_write(&r->json, r->cli->conf);
	json_text(&r->json, "finding", aq_finding_word(f->kind));
	json_text(&r->json, "package", f->package);
	json_text(&r->json, "path", f->path);
	json_text(&r->json, "text", f->text);
	json_bool(&r->json, "repaired", is_repaired);
	json_text(&r->json, "not_repaired", is_repaired ? NULL : why);
	json_close(&r->json, '}');
}

static void print_findings(struct run *r, const char *env,
			   const struct aq_findings *f, bool is_repaired,
			   const char *why)
{
	hide_progress(r);
	for (size_t i = 0; i < f->n; i++)
		print_finding(r, env, &f->v[i], is_repaired, why);
	r->n_findings += f->n_left_out;
	r->n_repaired += is_repaired ? f->n_left_out : 0;
	if (f->n_left_out && !r->cli->has_json)
		printf("%s: and %zu more\n", env ? env : "the cache",
		       f->n_left_out);
}

static void summarise(struct run *r)
{
	uint64_t n_left = r->n_findings - r->n_repaired;
	uint64_t n_trash = r->n_trash, n_work = r->n_work;

	if (r->cli->has_json) {
		json_close(&r->json, ']');
		json_bool(&r->json, "contents", r->cli->has_contents);
		json_number(&r->json, "environments", r->n_envs);
		json_number(&r->json, "left", n_left);
		json_number(&r->json, "trash", n_trash);
		json_number(&r->json, "half_built", n_work);
		json_number(&r->json, "not_noted", r->n_unnoted);
		json_end(&r->json);
		return;
	}
	printf("%llu environments, ", (unsigned long long)r->n_envs);
	if (!r->n_findings)
		puts(r->cli->has_contents ?
			     "all of them are what their locks say" :
			     "all of them are as their rows say");
	else
		printf("%llu findings, %llu repaired\n",
		       (unsigned long long)r->n_findings,
		       (unsigned long long)r->n_repaired);
	if (r->n_unnoted)
		printf("%llu of them were built just now: what is in their files is compared once it is noted\n",
		       (unsigned long long)r->n_unnoted);
	if (n_trash || n_work)
		printf("%llu in trash/ and %llu half built wait to be removed: 'aq gc', or the next build, does it\n",
		       (unsigned long long)n_trash, (unsigned long long)n_work);
}

/* -- looking -- */

/* Repairing excludes collecting: what is taken away is to come back. */
static int begin_repair(struct run *r, struct aq_err *err)
{
	int rc;

	if (r->collect_fd >= 0)
		return 0;
	rc = aq_layout_prepare(r->cli->conf, err);
	if (!rc)
		rc = aq_collect_begin(r->cli->conf, &r->collect_fd, err);
	return rc == AQ_BUSY ? aq_fail(err, AQ_BUSY, "somebody collects or repairs just now") : rc;
}

static int repair_cache(struct run *r, struct aq_err *err)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = aq_repair_cache(r->cli->conf, err);

	if (!rc)
		rc = aq_verify_cache(&r->verify, &f, err);
	for (size_t i = 0; !rc && i < f.n; i++)
		if (f.v[i].kind != AQ_FINDING_REFERENCE)
			rc = aq_fail(err, AQ_SYS, "still, %s", f.v[i].text);
	return rc;
}

/* Say what 'f' holds, repaired as far as that was asked for and can be.
 * 'name' NULL: of the cache as a whole.
 */
static void settle(struct run *r, const char *name, const struct aq_findings *f)
{
	struct aq_err err = { 0 };
	int rc;

	if (!f->n && !f->n_left_out)
		return;
	if (!r->cli->is_repair) {
		print_findings(r, name, f, false, NULL);
		return;
	}
	rc = begin_repair(r, &err);
	if (!rc && name)
		rc = verify_repair(r->cli, &r->verify, name, f, &err);
	else if (!rc)
		rc = repair_cache(r, &err);
	print_findings(r, name, f, rc == 0,
		       rc ? (err.text[0] ? err.text : "failed without a word") :
			    NULL);
}

/* References end with their jobs: nothing is to be repaired there. */
static int settle_cache(struct run *r, const struct aq_findings *f,
			struct aq_err *err)
{
	cleanup_findings struct aq_findings rest = AQ_FINDINGS_INIT;
	int rc;

	for (size_t i = 0; i < f->n; i++) {
		bool is_reference = f->v[i].kind == AQ_FINDING_REFERENCE;
		bool is_left_out = r->cli->argc &&
				   f->v[i].kind != AQ_FINDING_DATABASE;

		if (is_reference && !is_left_out)
			print_finding(r, NULL, &f->v[i], false, NULL);
		if (!is_reference && !is_left_out)
			aq_findings_add(&rest, f->v[i].kind, f->v[i].package,
					f->v[i].path, "%s", f->v[i].text);
	}
	rc = aq_findings_done(&rest, err);
	if (!rc)
		settle(r, NULL, &rest);
	return rc;
}

static int look_at_cache(struct run *r, struct aq_err *err)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = aq_verify_cache(&r->verify, &f, err);

	return rc ? rc : settle_cache(r, &f, err);
}

static int look_at_env(struct run *r, const char *name, struct aq_err *err)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	int rc = aq_verify_env(&r->verify, name, &f, err);

	if (rc) /* gone meanwhile */
		return rc == AQ_MISS ? 0 : aq_fail_prefix(err, "'%s'", name);
	r->n_envs++;
	settle(r, name, &f);
	return 0;
}

/* Those that begin with 'beginning'; a whole name is that one alone. */
static int choose(struct aq_strv *names, const char *beginning,
		  struct aq_strv *ret, struct aq_err *err)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], beginning) == 0 ||
		    (!aq_strv_has(names, beginning) &&
		     aq_starts_with(names->v[i], beginning)))
			aq_strv_add(ret, names->v[i]);
	if (!ret->n || !*beginning)
		return aq_fail(err, AQ_MISS, "no environment is named '%s': 'aq list' has their names",
			       beginning);
	if (ret->n > 1)
		return aq_fail(err, AQ_USER, "several environments begin like that: write more of the name");
	return aq_strv_done(ret, "environments", err);
}

static int look(struct run *r, size_t *ret_n, struct aq_err *err)
{
	cleanup_strv struct aq_strv all = AQ_STRV_INIT(AQ_VERIFY_NAMES_MAX);
	cleanup_strv struct aq_strv one = AQ_STRV_INIT(AQ_VERIFY_NAMES_MAX);
	const struct aq_strv *names = &all;
	int rc = look_at_cache(r, err);

	*ret_n = 0;
	if (!rc)
		rc = aq_verify_names(r->cli->conf, &all, err);
	if (!rc && r->cli->argc) {
		rc = choose(&all, r->cli->argv[0], &one, err);
		names = &one;
	}
	*ret_n = names->n;
	for (size_t i = 0; !rc && i < names->n; i++)
		rc = look_at_env(r, names->v[i], err);
	/* of the database, which was said, and not repaired */
	return rc == AQ_CORRUPT ? 0 : rc;
}

/* One domain.  A NAME may be in several: all that have it are looked at. */
static int look_in(struct cli *cli, void *arg, struct aq_err *err)
{
	struct run *r = arg;
	uint64_t n_trash = 0, n_work = 0;
	size_t n = 0;
	int rc;

	r->verify = (struct aq_verify){ .conf = cli->conf,
					.has_contents = cli->has_contents,
					.tick = tick, .arg = r };
	rc = look(r, &n, err);
	(void)!aq_verify_leftovers(cli->conf, &n_trash, &n_work, NULL);
	r->n_trash += n_trash;
	r->n_work += n_work;
	r->n_unnoted += r->verify.n_unnoted;
	r->n_named += n;
	aq_verify_end(&r->verify);
	aq_close_fd(&r->collect_fd);
	return rc == AQ_MISS && cli->argc ? 0 : rc;
}

int cli_verify(struct cli *cli)
{
	struct run r = { .cli = cli, .collect_fd = -1 };
	struct aq_err err = { 0 };
	int rc;

	term_progress_begin(&r.progress);
	if (cli->has_json) {
		json_begin(&r.json, stdout);
		json_open(&r.json, "findings", '[');
	}
	rc = domains_each(cli, look_in, &r, &err);
	if (!rc && cli->argc && !r.n_named)
		rc = AQ_MISS; /* its text is there */
	term_progress_end(&r.progress);
	if (!rc || cli->has_json)
		summarise(&r);
	if (rc)
		return cli_fail(&err);
	return r.n_findings > r.n_repaired ? CLI_SYSTEM : CLI_OK;
}
