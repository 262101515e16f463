/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/term.h"
#include "cli/units.h"
#include "cli/standing.h"
#include "common/base.h"
#include "common/explicit.h"
#include "common/host.h"
#include "common/manifest.h"

/* Digits of a name that are told from a file's name; git takes as many. */
#define NAME_DIGITS_MIN 4

/* The beginning of an environment's name: hexadecimal digits, then "-N". */
static bool looks_like_name(const char *text)
{
	size_t n = strspn(text, "0123456789abcdef");

	if (n < NAME_DIGITS_MIN || n > AQ_ENV_LOCK_DIGITS)
		return false;
	return !text[n] || (n == AQ_ENV_LOCK_DIGITS && text[n] == '-' &&
			    strspn(text + n + 1, "0123456789") ==
				    strlen(text + n + 1));
}

/* The environment that serves the request in file 'path' on this node as it is now. */
static int find_by_request(const struct cli *cli, struct aq_store *store,
			   const char *path, struct aq_env **ret,
			   struct aq_err *err)
{
	cleanup_strv struct aq_strv warnings = AQ_STRV_INIT(CLI_WARNINGS_MAX);
	cleanup_request struct aq_request *req = NULL;
	cleanup_free char *context = NULL;
	struct aq_base base;
	struct aq_fit fit = { 0 };
	int rc = aq_request_read(path, cli->conf, &req, &warnings, err);

	if (!rc && cli->is_isolated)
		rc = aq_request_isolate(req, err);
	if (!rc)
		rc = aq_base_context(store, cli->conf, req, &context, &base,
				     err);
	if (rc)
		return rc;
	aq_fit_only(cli->conf, store, &fit);
	rc = aq_store_find(store, req->digest, context, req->canonical, ret, err);
	aq_store_find_only(store, NULL, NULL);
	if (rc == AQ_MISS && *fit.unfit)
		rc = aq_fail(err, AQ_MISS,
			     "'%s' has no environment that fits this node ('%s': %s): 'aq build %s' makes it",
			     path, fit.unfit, fit.why, path);
	else if (rc == AQ_MISS)
		rc = aq_fail(err, AQ_MISS,
			     "'%s' has no environment yet: 'aq build %s' makes it",
			     path, path);
	return rc;
}

static int find(const struct cli *cli, struct aq_store *store,
		const char *what, struct aq_env **ret, struct aq_err *err)
{
	int rc = AQ_MISS;

	if (aq_is_hex(what, AQ_SHA256_HEX_SIZE - 1))
		rc = aq_store_find_key(store, what, ret, err);
	else if (looks_like_name(what))
		rc = aq_store_find_name(store, what, ret, err);
	if (rc != AQ_MISS)
		return rc;
	if (strcmp(what, "-") == 0 || access(what, F_OK) == 0)
		return find_by_request(cli, store, what, ret, err);
	return aq_fail(err, AQ_MISS,
		       "'%s' is no environment (key, name, or a beginning of it that is no other's) and no file",
		       what);
}

/* What its lock needs of a node; 'why' this one has not, or "". */
static void print_needs(const struct aq_lock *lock, const char *why)
{
	for (size_t i = 0; i < lock->virtuals.n; i++)
		env_print_item(i ? "" : "needs", lock->virtuals.v[i]);
	if (!*why)
		return;
	term_print_in(stdout, TERM_YELLOW, "            does not fit this node: ");
	term_print(stdout, why);
	putchar('\n');
}

static void print_packages(const struct aq_lock *lock)
{
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *p = &lock->items[i];

		printf("%-12s", i ? "" : "packages");
		term_print(stdout, p->name);
		putchar(' ');
		term_print(stdout, p->version);
		if (p->build) {
			putchar(' ');
			term_print_in(stdout, TERM_DIM, p->build);
		}
		putchar('\n');
	}
}

static void print_times(const struct aq_env *env)
{
	char at[UNITS_SIZE], took[UNITS_SIZE], ago[UNITS_SIZE];
	const time_t created = (time_t)env->created;
	struct tm tm;

	if (!localtime_r(&created, &tm) ||
	    !strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(at, sizeof(at), "?");
	printf("%-12s%s, in %s\n", "built", at, units_ms(env->build_ms, took));
	printf("%-12s%llu, last %s\n", "uses", (unsigned long long)env->uses,
	       units_ago(env->last_used, (uint64_t)time(NULL), ago));
}

static void print_text(const struct aq_env *env, const char *prefix,
		       const struct standing *s, const struct aq_manifest *m,
		       const char *unfit)
{
	char own[UNITS_SIZE], shared[UNITS_SIZE];

	env_print_item("name", env->name);
	env_print_item("prefix", prefix);
	env_print_item("kind", aq_env_kind_name(env->kind));
	env_print_item("python", env->python[0] ? env->python : "none");
	if (env->base[0])
		env_print_item("base", env->base);
	if (env->reason[0])
		env_print_item("because", env->reason);
	print_times(env);
	printf("%-12s%s of its own, %s shared\n", "size",
	       units_bytes(env->size_own, own),
	       units_bytes(env->size_shared, shared));
	standing_print(s);
	env_print_item("lock", env->lock);
	if (!m)
		return;
	env_print_item("key", m->key);
	env_print_item("digest", m->digest);
	print_needs(m->lock, unfit);
	print_packages(m->lock);
}

static void write_packages(struct json *j, const struct aq_lock *lock)
{
	json_open(j, "packages", '[');
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *p = &lock->items[i];

		json_open(j, NULL, '{');
		json_text(j, "kind", aq_lock_kind_name(p->kind));
		json_text(j, "name", p->name);
		json_text(j, "version", p->version);
		json_text(j, "build", p->build);
		json_text(j, "url", p->url);
		json_text(j, "sha256", p->sha256);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static bool write_op(const struct aq_envop *op, void *arg)
{
	static const char *const kinds[] = { "set", "unset", "prepend",
					     "append" };
	struct json *j = arg;

	json_open(j, NULL, '{');
	json_text(j, "do", kinds[op->kind]);
	json_text(j, "name", op->name);
	if (op->kind != AQ_ENVOP_UNSET)
		json_text(j, "value", op->value);
	json_bool(j, "is_template", op->is_template);
	json_close(j, '}');
	return true;
}

static void write_json(const struct aq_env *env, const char *prefix,
		       const struct standing *s, const struct aq_manifest *m,
		       const char *unfit)
{
	struct json j;

	json_begin(&j, stdout);
	env_write_json(&j, env);
	standing_write(&j, s);
	json_text(&j, "prefix", prefix);
	json_open(&j, "activation", '[');
	(void)aq_envops_each(env->ops, env->ops_len, write_op, &j);
	json_close(&j, ']');
	if (m) {
		json_text(&j, "key", m->key);
		json_text(&j, "digest", m->digest);
		json_text(&j, "request", m->canonical);
		json_open(&j, "needs", '[');
		for (size_t i = 0; i < m->lock->virtuals.n; i++)
			json_text(&j, NULL, m->lock->virtuals.v[i]);
		json_close(&j, ']');
		json_text(&j, "unfit", *unfit ? unfit : NULL);
		write_packages(&j, m->lock);
	}
	json_end(&j);
}

/* The manifest of the environment that a lock is based on. */
static int read_base(const struct cli *cli, struct aq_store *store,
		     const char *digest, struct aq_manifest **ret,
		     struct aq_err *err)
{
	cleanup_env struct aq_env *env = NULL;
	int rc = aq_store_find_lock(store, digest, &env, err);

	if (rc == AQ_MISS)
		return aq_fail(err, AQ_MISS,
			       "the environment that it is based on (lock %s) is not there any more",
			       digest);
	return rc ? rc : aq_manifest_read(cli->conf, env->name, ret, err);
}

/* Print what 'env' holds as an explicit lock file: whole, or nothing. */
static int print_lock(const struct cli *cli, struct aq_store *store,
		      const struct aq_env *env)
{
	cleanup_manifest struct aq_manifest *m = NULL, *base = NULL;
	cleanup_str struct aq_str out = AQ_STR_INIT(2 * AQ_LOCK_MAX);
	struct aq_err err = { 0 };
	int rc = aq_manifest_read(cli->conf, env->name, &m, &err);

	if (!rc && m->lock->base[0])
		rc = read_base(cli, store, m->lock->base, &base, &err);
	if (!rc) {
		aq_explicit_print(m->lock, base ? base->lock : NULL, &out);
		rc = aq_str_done(&out, "a lock file", &err);
	}
	if (rc)
		return cli_fail(&err);
	fputs(aq_str_get(&out), stdout);
	return CLI_OK;
}

int cli_show(struct cli *cli)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	cleanup_manifest struct aq_manifest *manifest = NULL;
	cleanup_str struct aq_str prefix = AQ_STR_INIT(4096);
	cleanup_standing struct standing standing = STANDING_INIT;
	struct aq_err err = { 0 }, unfit = { 0 };
	struct aq_host host;
	int rc = env_open_store(cli, &store, &err);

	if (!rc)
		rc = find(cli, store, cli->argv[0], &env, &err);
	if (rc)
		return cli_fail(&err);
	if (cli->has_lock)
		return print_lock(cli, store, env);
	if (standing_read(cli, store, env, &standing, &err) != 0)
		return cli_fail(&err);
	if (aq_manifest_read(cli->conf, env->name, &manifest, &err) != 0) {
		term_print_in(stderr, TERM_YELLOW, "warning: ");
		fprintf(stderr, "its manifest cannot be read: ");
		term_print(stderr, err.text);
		fputc('\n', stderr);
	}
	aq_host_find(cli->conf, &host);
	if (aq_fit_env(cli->conf, &host, env->name, &unfit) != AQ_USER)
		unfit.text[0] = '\0';
	aq_str_add_fmt(&prefix, "%s/envs/%s", cli->conf->cache_dir, env->name);
	(cli->has_json ? write_json : print_text)(env, aq_str_get(&prefix),
						  &standing, manifest,
						  unfit.text);
	return CLI_OK;
}
