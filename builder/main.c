/* SPDX-License-Identifier: Apache-2.0 */
/* aq-builder: builds one environment, for one step or command.  Started by
 * aq_build_spawn() (common/build.h) with its descriptors in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/allowance.h"
#include "builder/builder.h"
#include "builder/bytecode.h"
#include "builder/caches.h"
#include "builder/limits.h"
#include "builder/options.h"
#include "builder/outcome.h"
#include "builder/queue.h"
#include "builder/turn.h"
#include "common/build.h"
#include "common/collect.h"
#include "common/index.h"
#include "common/layout.h"
#include "common/memo.h"
#include "common/private.h"
#include "common/refs.h"
#include "common/text.h"
#include "common/worker.h"

/* The answer's memory, or NULL: not started as it should be, or by another version's
 * plugin, that was in slurmstepd already when this one was installed.
 */
static struct aq_answer *map_answer(void)
{
	struct aq_answer *a;
	struct stat st;

	if (fstat(AQ_BUILDER_FD_ANSWER, &st) < 0 ||
	    st.st_size != (off_t)sizeof(*a))
		return NULL;
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED,
		 AQ_BUILDER_FD_ANSWER, 0);
	return a == MAP_FAILED || a->magic != AQ_ANSWER_MAGIC ? NULL : a;
}

static int read_request(struct aq_str *ret, struct aq_err *err)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(AQ_BUILDER_FD_REQUEST, buf, sizeof(buf))) != 0) {
		if (n > 0)
			aq_str_add_mem(ret, buf, (size_t)n);
		else if (errno != EINTR)
			return aq_fail_errno(err, "cannot read the request");
	}
	return aq_str_done(ret, "the request", err);
}

/* UID/WORKFLOW: of the step that we serve. */
static int read_workflow(const char *text, const struct aq_conf *conf,
			 struct aq_workflow *ret, struct aq_err *err)
{
	const char *slash = strchr(text, '/');
	struct aq_workflow w;

	if (!slash || !aq_workflow_parse(slash + 1, aq_workflow_now(), &w))
		return aq_fail(err, AQ_SYS, "'%s' is no workflow", text);
	w.uid = (uint32_t)strtoul(text, NULL, 10);
	if (conf->max_workflows && !w.is_removed)
		*ret = w;
	return 0;
}

/* Users read what there is; a cache of one's own needs no index. */
static void publish(const struct build *b)
{
	bool is_new = strcmp(b->answer->resolution, "reused") != 0;

	if (!b->is_personal && !build_is_look(b) && (is_new || b->as_base))
		(void)!aq_index_write(b->conf, NULL);
}

/* The request's domain decides whose cache it is. */
static int enter_domain(struct build *b, struct aq_conf **conf,
			const struct aq_str *request, bool is_private,
			struct aq_err *err)
{
	const char *canonical = aq_str_get(request);
	unsigned int inputs = aq_domain_inputs(canonical, request->len);
	int rc = 0;

	b->has_sources = inputs != 0;
	b->is_private = !b->is_personal &&
			(inputs || is_private ||
			 aq_memo_is_private(*conf, b->uid, canonical,
					    request->len));
	if (b->is_fetch && (inputs || b->is_private))
		return aq_fail(err, AQ_USER,
			       "nodes share nothing of a request that is private to its user: there is nothing to fetch");
	/* what only its user may have waits for a step of that user's */
	if (b->prefetch && (inputs || b->is_private))
		return aq_fail(err, AQ_BUSY, "what is private is not prefetched");
	if (b->is_private && b->as_base)
		return aq_fail(err, AQ_USER,
			       "a base is everybody's: it takes released packages alone");
	if (b->is_private)
		rc = aq_private_enter(conf, b->uid, err);
	b->conf = *conf;
	b->shared = aq_conf_site(*conf);
	return rc;
}

static const struct build nothing_yet = {
	.base_fd = -1, .own_fd = -1, .compiler_fd = -1, .key_fd = -1,
	.wait_fd = -1, .slot_fd = -1, .ticket_fd = -1, .public_fd = -1,
	.log_fd = -1, .room.alone_fd = -1, .sharing = SHARING_INIT,
	.staying = PROGRAM_NONE,
};

/* What it held is given back, but for who waits for it. */
static void leave(struct build *b)
{
	turn_leave(b);
	aq_close_fd(&b->room.alone_fd);
	queue_leave(b);
	/* who catches up takes what it needs anew */
	aq_close_fd(&b->base_fd);
	aq_close_fd(&b->own_fd);
	aq_close_fd(&b->compiler_fd);
}

static void end(struct build *b)
{
	caches_settle(b);
	aq_str_free(&b->metadata);
	aq_strv_free(&b->records);
	queue_leave(b);
	limits_end(b);
	aq_close_fd(&b->log_fd);
	aq_manifest_free(b->base_manifest);
	free(b->context);
}

/* Nobody waits for us any more. */
static void let_go(struct build *b)
{
	aq_close_fd(&b->progress_fd);
	aq_close_fd(&b->alive_fd);
	b->prefetch = 0; /* the end of its job ends nothing of what is still to do */
	leave(b);
}

/* What all may have was tried, and a package of it has a link script, which its user
 * alone may have run: the same again, in that user's domain.  The step, and what it
 * holds, goes along.
 */
static int serve_privately(struct build *b, struct aq_conf **conf,
			   struct aq_err *err)
{
	const struct aq_conf *site = *conf;
	struct build own = nothing_yet;
	int rc = aq_private_enter(conf, b->uid, err);

	if (!rc)
		rc = aq_layout_prepare(*conf, err);
	if (rc)
		return rc;
	aq_memo_keep_private(*conf, b->req); /* before others have their turn */
	allowance_give_back(b);
	leave(b);
	end(b);
	own.conf = *conf;
	own.shared = site;
	own.req = b->req;
	own.answer = b->answer;
	own.is_refresh = b->is_refresh;
	own.job = b->job;
	own.uid = b->uid;
	own.workflow = b->workflow;
	own.step = b->step;
	own.nodes = b->nodes;
	own.is_private = true;
	own.progress_fd = b->progress_fd;
	own.alive_fd = b->alive_fd;
	*b = own;
	b->answer->log[0] = '\0';
	say(b, "a package has a link script, which runs for its user alone: building a private environment");
	return serve(b, err);
}

/* A collection passes over what one of us holds.  Of what a workflow had left no epilog
 * need ask again, as the next one does of limits.
 */
static void collect_what_we_held(const struct build *b)
{
	cleanup_refs struct aq_refs *refs = NULL;

	if (!b->is_personal && aq_refs_open(b->conf, &refs, NULL) == 0)
		(void)!aq_collect_start_if_left(b->conf, refs, NULL);
}

/* What is fetched goes there. */
static int share_in(struct aq_conf *conf, const char *dir, struct aq_err *err)
{
	free(conf->shared_dir);
	conf->shared_dir = strdup(dir);
	return conf->shared_dir ? 0 : aq_fail(err, AQ_SYS, "out of memory");
}

static int answer(const struct builder_options *o, struct aq_answer *a,
		  struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	cleanup_request struct aq_request *req = NULL;
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	struct aq_step step;
	struct build b = nothing_yet;
	int rc = o->is_personal ? aq_conf_load_personal(o->conf_path, &conf, err) :
				  aq_conf_load(o->conf_path, o->node, &conf, err);

	if (!rc && o->fetch)
		rc = share_in(conf, o->fetch, err);
	b.answer = a;
	builder_options_apply(o, &step, &b);
	if (!rc)
		rc = read_request(&text, err);
	if (!rc)
		rc = enter_domain(&b, &conf, &text, o->is_private, err);
	if (!rc)
		rc = aq_request_parse(aq_str_get(&text), text.len, conf, &req,
				      err);
	if (!rc && o->workflow)
		rc = read_workflow(o->workflow, conf, &b.workflow, err);
	if (!rc && o->as_base)
		rc = aq_request_isolate(req, err);
	b.req = req;
	if (!rc)
		rc = serve(&b, err);
	if (rc && b.must_be_private && !b.prefetch && !turn_is_step_gone(&b))
		rc = serve_privately(&b, &conf, err);
	if (rc && b.conf)
		outcome_failed(&b, rc);
	if (rc) {
		aq_text_make_printable_text(err->text);
		aq_answer_fail(a, (enum aq_class)rc, err->text);
	}
	let_go(&b);
	if (!rc) {
		publish(&b);
		bytecode_catch_up(&b);
	}
	end(&b);
	if (!rc) /* out of our control group, which ends with us */
		collect_what_we_held(&b);
	return rc;
}

int main(int argc, char **argv)
{
	static struct aq_err err;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct aq_answer *a = map_answer();
	struct builder_options options;

	if (!a || !builder_options_read(argc, argv, &options)) {
		fprintf(stderr, "aq-builder: run by the plugin and by aq, not by hand\n");
		return 2;
	}
	aq_come_clean();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* run.c waits for all */
	sigaction(SIGPIPE, &ignore, NULL); /* nobody reads progress any more */
	for (int fd = AQ_BUILDER_FD_ANSWER; fd <= AQ_BUILDER_FD_ALIVE; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return answer(&options, a, &err);
}
