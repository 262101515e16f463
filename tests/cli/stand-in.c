/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for aq-builder (AQ_BUILDER), with the same descriptors: builds
 * nothing, but commits an environment that holds nothing, so that what aq does
 * with builders and caches can be tested without packages.  The request's
 * variable BEHAVE says what happens:
 *
 *   ok           it is built
 *   seal         it is built and sealed, with the size that it has
 *   refuse       the request cannot be met, with hostile text in the reason
 *   die          the builder is killed
 *   wait:FILE    progress is said, then FILE is waited for, unless nobody waits any more
 *   third:FILE   the same, and that a third of it is done
 *   inherit:LOCK it is, on the environment of that lock
 *   for:UID      it is, for that user
 *   outlive:FILE writes FILE when it sees that nobody waits any more
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/answer_fill.h"
#include "common/build.h"
#include "common/key.h"
#include "common/layout.h"
#include "common/manifest.h"
#include "common/sums.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TICK_MS 10

struct stand_in {
	const struct aq_conf *conf;
	struct aq_request *req;
	struct aq_answer *answer;
};

static const char *behaviour(const struct aq_request *req)
{
	for (size_t i = 0; i < req->variables.n; i++)
		if (aq_starts_with(req->variables.v[i], "BEHAVE="))
			return req->variables.v[i] + strlen("BEHAVE=");
	return "ok";
}

static void say(const char *text)
{
	if (write(AQ_BUILDER_FD_PROGRESS, text, strlen(text)) < 0)
		_exit(3);
}

/* One lock is one environment: each key gets a build string of its own. */
static int make_lock(const char *key, const char *base, struct aq_lock **ret,
		     struct aq_err *err)
{
	char build[9];
	int rc = aq_lock_new(aq_platform_subdir(), ret, err);

	snprintf(build, sizeof(build), "%.8s", key);
	if (!rc && !base)
		rc = aq_lock_add(*ret, AQ_LOCK_CONDA,
				 "https://conda.example.org/noarch/demo-1.0-0.conda",
				 SHA, "demo", "1.0", build, err);
	if (!rc)
		rc = aq_lock_add(*ret, AQ_LOCK_WHEEL,
				 "https://pypi.example.org/w-2-py3-none-any.whl",
				 SHA, "w", "2", NULL, err);
	if (!rc && base)
		rc = aq_lock_add(*ret, AQ_LOCK_WHEEL,
				 "https://pypi.example.org/x-1-py3-none-any.whl",
				 SHA, "x", "1", NULL, err);
	if (!rc && base && !aq_copy_text((*ret)->base, AQ_SHA256_HEX_SIZE, base))
		rc = AQ_SYS;
	return rc ? rc : aq_lock_finish(*ret, err);
}

/* PREFIX/bin/hello, which says where it is. */
static void make_prefix(const char *prefix)
{
	char path[2048];
	FILE *f;

	mkdir(prefix, 0755);
	snprintf(path, sizeof(path), "%s/bin", prefix);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/bin/hello", prefix);
	f = fopen(path, "w");
	if (!f)
		return;
	fputs("#!/bin/sh\necho \"hello from $CONDA_PREFIX $*\"\n", f);
	fclose(f);
	chmod(path, 0755);
}

static int close_dir(const struct aq_walk_entry *e, void *arg,
		     struct aq_err *err)
{
	(void)arg;
	if (!S_ISLNK(e->st->st_mode) &&
	    fchmodat(e->dirfd, e->name, S_ISDIR(e->st->st_mode) ? 0755 : 0444, 0) < 0)
		return aq_fail_errno(err, "cannot close '%s'", e->path);
	return e->is_end && fchmod(e->fd, 0555) < 0 ?
		aq_fail_errno(err, "cannot close '%s'", e->path) : 0;
}

/* As aq-builder leaves one. */
static int seal(const char *prefix, struct aq_env *env, struct aq_str *sums,
		struct aq_err *err)
{
	struct aq_usage usage = AQ_USAGE_INIT;
	int rc = aq_walk(AT_FDCWD, prefix, close_dir, NULL, err);

	if (!rc)
		rc = aq_sums_make(AT_FDCWD, prefix, sums, &usage, err);
	env->size_own = usage.total;
	aq_usage_free(&usage);
	return rc;
}

static int build(struct stand_in *s, struct aq_err *err)
{
	cleanup_str struct aq_str sums = AQ_STR_INIT(AQ_SUMS_MAX);
	const struct aq_domain domain = { .kind = AQ_SHARED };
	cleanup_lock struct aq_lock *lock = NULL;
	cleanup_store struct aq_store *store = NULL;
	cleanup_free char *context = NULL;
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct aq_env env = { .kind = AQ_ENV_CREATED, .generation = 1,
			      .created = 1700000000, .last_used = 1700000000,
			      .build_ms = 1500, .size_own = 2500000,
			      .reason = "" };
	char key[AQ_SHA256_HEX_SIZE], prefix[1024], bin[1040];
	struct aq_binding binding = { .key = key, .digest = s->req->digest,
				      .canonical = s->req->canonical };
	const char *how = behaviour(s->req), *base = NULL;
	int rc = aq_layout_prepare(s->conf, err);

	if (aq_starts_with(how, "for:"))
		env.uid = (uint32_t)strtoul(how + strlen("for:"), NULL, 10);
	if (aq_starts_with(how, "inherit:"))
		base = how + strlen("inherit:");
	if (!rc)
		rc = aq_key_context(s->conf, &domain, NULL, &context, err);
	if (!rc)
		rc = aq_key(s->req, context, key, err);
	if (!rc)
		rc = make_lock(key, base, &lock, err);
	if (!rc)
		rc = aq_store_open(s->conf, AQ_STORE_BUILD, &store, err);
	if (rc)
		return rc;
	binding.context = context;
	snprintf(env.name, sizeof(env.name), "%.20s-1", lock->digest);
	memcpy(env.lock, lock->digest, sizeof(env.lock));
	env.packages = (uint32_t)lock->n_items;
	snprintf(env.python, sizeof(env.python), "3.9.6");
	snprintf(prefix, sizeof(prefix), "%s/envs/%s", s->conf->cache_dir,
		 env.name);
	snprintf(bin, sizeof(bin), "%s/bin", prefix);
	make_prefix(prefix);
	aq_envops_add(&ops, AQ_ENVOP_PREPEND, "PATH", bin);
	aq_envops_add(&ops, AQ_ENVOP_SET, "CONDA_PREFIX", prefix);
	env.ops = ops.s;
	env.ops_len = ops.len;
	if (strcmp(how, "seal") == 0)
		rc = seal(prefix, &env, &sums, err);
	if (!rc)
		rc = aq_manifest_write(s->conf, &env, &binding, lock, err);
	if (!rc)
		rc = aq_sums_write(s->conf, env.name, &sums, err);
	if (!rc)
		rc = aq_store_commit(store, &env, &binding, err);
	if (!rc) {
		s->answer->build_ms = env.build_ms;
		s->answer->new_bytes = env.size_own;
		rc = aq_answer_fill(s->answer, s->conf, &env, key, s->req,
				    "created", err);
	}
	return rc;
}

/* As long as somebody waits for us. */
static void wait_for_file(const char *path, const char *done)
{
	struct pollfd p = { .fd = AQ_BUILDER_FD_ALIVE, .events = POLLIN };

	say("waiting for a test\n");
	say(done);
	while (access(path, F_OK) < 0)
		if (poll(&p, 1, TICK_MS) > 0)
			_exit(1);
}

static void outlive(const char *path)
{
	struct pollfd p = { .fd = AQ_BUILDER_FD_ALIVE, .events = POLLIN };

	say("building for long\n");
	while (poll(&p, 1, -1) < 0)
		;
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	_exit(1);
}

static int behave(struct stand_in *s, struct aq_err *err)
{
	const char *how = behaviour(s->req);

	say("resolving\ninstalling 2 packages\n");
	if (strcmp(how, "refuse") == 0)
		return aq_fail(err, AQ_USER,
			       "nothing provides numpy 1.99\n\033[2Jgone");
	if (strcmp(how, "die") == 0)
		raise(SIGKILL);
	if (aq_starts_with(how, "wait:"))
		wait_for_file(how + strlen("wait:"), "");
	if (aq_starts_with(how, "third:"))
		wait_for_file(how + strlen("third:"), "[4/12]\n");
	if (aq_starts_with(how, "outlive:"))
		outlive(how + strlen("outlive:"));
	return build(s, err);
}

int main(int argc, char **argv)
{
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_request struct aq_request *req = NULL;
	static char text[AQ_REQUEST_CANONICAL_MAX + 1];
	const char *conf_path = NULL, *into = NULL;
	bool is_personal = false, is_explain = false;
	struct stand_in s = { 0 };
	struct aq_err err = { 0 };
	ssize_t n;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			conf_path = argv[++i];
		if (strcmp(argv[i], "--fetch") == 0 && i + 1 < argc)
			into = argv[++i];
		is_personal |= strcmp(argv[i], "--personal") == 0;
		is_explain |= strcmp(argv[i], "--explain") == 0;
	}
	s.answer = mmap(NULL, sizeof(*s.answer), PROT_READ | PROT_WRITE,
			MAP_SHARED, AQ_BUILDER_FD_ANSWER, 0);
	n = read(AQ_BUILDER_FD_REQUEST, text, sizeof(text));
	if (s.answer == MAP_FAILED || s.answer->magic != AQ_ANSWER_MAGIC || n < 0)
		return 3;
	rc = is_personal ? aq_conf_load_personal(conf_path, &conf, &err) :
			   aq_conf_load(conf_path, NULL, &conf, &err);
	if (!rc)
		rc = aq_request_parse(text, (size_t)n, conf, &req, &err);
	s.conf = conf;
	s.req = req;
	if (!rc)
		rc = behave(&s, &err);
	/* it was built all the same, but is described as it would have been */
	if (!rc && is_explain)
		snprintf(s.answer->text, sizeof(s.answer->text),
			 "base 3.9 0123456789abcdef0123-1\nbecause of a test\nadd conda demo 1.0\n");
	if (!rc && into && access(into, F_OK) == 0)
		snprintf(s.answer->text, sizeof(s.answer->text),
			 "1 packages, 2 wheels");
	if (rc)
		aq_answer_fail(s.answer, (enum aq_class)rc, err.text);
	return 0;
}
