/* SPDX-License-Identifier: Apache-2.0 */
/* In aq-builder's place: "builds" a row of the cache in no time, or fails as
 * the request's package names say.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/answer_fill.h"
#include "common/build.h"
#include "common/io.h"
#include "common/key.h"
#include "common/layout.h"
#include "common/store.h"

#define LOCK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int read_request(const struct aq_conf *conf, struct aq_request **ret,
			struct aq_err *err)
{
	static char text[AQ_REQUEST_CANONICAL_MAX + 1];
	ssize_t n = read(AQ_BUILDER_FD_REQUEST, text, sizeof(text));

	if (n < 0)
		return aq_fail_errno(err, "cannot read the request");
	return aq_request_parse(text, (size_t)n, conf, ret, err);
}

static int commit(const struct aq_conf *conf, const struct aq_request *req,
		  struct aq_answer *answer, struct aq_err *err)
{
	const struct aq_domain domain = { .kind = AQ_SHARED };
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_store struct aq_store *store = NULL;
	cleanup_free char *context = NULL;
	char key[AQ_SHA256_HEX_SIZE];
	struct aq_env env = { .name = "00112233445566778899-1", .lock = LOCK,
			      .generation = 1, .kind = AQ_ENV_CREATED,
			      .reason = "" };
	char prefix[4096];
	int rc = aq_layout_prepare(conf, err);

	snprintf(prefix, sizeof(prefix), "%s/envs/%s", conf->cache_dir, env.name);
	if (!rc)
		rc = aq_make_dir(AT_FDCWD, prefix, 0755, err);

	aq_envops_add(&ops, AQ_ENVOP_PREPEND, "PATH", "/the/prefix/bin");
	env.ops = ops.s;
	env.ops_len = ops.len;
	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_WRITE, &store, err);
	if (!rc)
		rc = aq_key_context(conf, &domain, NULL, &context, err);
	if (!rc)
		rc = aq_key(req, context, key, err);
	if (!rc) {
		const struct aq_binding b = { .key = key,
					      .digest = req->digest,
					      .context = context,
					      .canonical = req->canonical };

		rc = aq_store_commit(store, &env, &b, err);
	}
	return rc ? rc : aq_answer_fill(answer, conf, &env, key, req, "created",
					err);
}

int main(int argc, char **argv)
{
	struct aq_answer *answer = mmap(NULL, sizeof(*answer),
					PROT_READ | PROT_WRITE, MAP_SHARED,
					AQ_BUILDER_FD_ANSWER, 0);
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_request struct aq_request *req = NULL;
	static struct aq_err err;
	int rc;

	if (answer == MAP_FAILED || answer->magic != AQ_ANSWER_MAGIC || argc < 3)
		return 2;
	dprintf(AQ_BUILDER_FD_PROGRESS, "standing in\n");
	rc = aq_conf_load(argv[2], NULL, &conf, &err);
	if (!rc)
		rc = read_request(conf, &req, &err);
	if (!rc && strstr(req->canonical, "impossible"))
		rc = aq_fail(&err, AQ_USER, "nothing provides 'impossible'");
	if (!rc && strstr(req->canonical, "killed"))
		raise(SIGKILL);
	if (!rc)
		rc = commit(conf, req, answer, &err);
	if (rc)
		aq_answer_fail(answer, (enum aq_class)rc, err.text);
	return rc;
}
