/* SPDX-License-Identifier: Apache-2.0 */
/* aq-builder: builds one environment, for one step or command.  Started by
 * aq_build_spawn() (common/build.h) with its descriptors in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include "builder/cage.h"
#include "builder/inherit.h"
#include "builder/limits.h"
#include "builder/options.h"
#include "builder/outcome.h"
#include "builder/queue.h"
#include "builder/room.h"
#include "builder/turn.h"
#include "common/build.h"
#include "common/clock.h"
#include "common/collect.h"
#include "common/index.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/lease.h"
#include "common/memo.h"
#include "common/job.h"
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

static int open_log(struct build *b, struct aq_err *err)
{
	(void)unlink(b->log_path);
	b->log_fd = open(b->log_path,
			 O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW |
				 O_CLOEXEC, 0644);
	if (b->log_fd < 0 || fchmod(b->log_fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s'", b->log_path);
	return 0;
}

static int set_up(struct build *b, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	const struct aq_conf *conf = b->conf;
	struct aq_err why = { 0 };
	int rc = aq_layout_prepare(conf, err);

	if (!rc)
		rc = identity_find(conf->builder_user, b->is_personal,
				   &b->builder, err);
	if (!rc)
		rc = identity_find(conf->probe_user, b->is_personal, &b->probe,
				   err);
	if (!rc && b->is_private && b->builder.uid != conf->domain.uid)
		rc = aq_fail(err, AQ_SYS, "account '%s' has another uid by now",
			     conf->domain.user);
	if (!rc)
		rc = aq_store_open(conf, AQ_STORE_EXAMINE, &store, err);
	if (!rc)
		rc = aq_base_context(store, conf, b->req, &b->context,
				     &b->base, err);
	if (!rc)
		rc = aq_key(b->req, b->context, b->key, err);
	if (rc)
		return rc;
	/* a damaged base is a reason to build without it */
	if (b->base.env[0] && inherit_hold_base(b, &why) != 0)
		snprintf(b->reason, sizeof(b->reason), "not inherited: %.400s",
			 why.text);
	snprintf(b->log_path, sizeof(b->log_path), "%s/logs/%.16s.log",
		 conf->cache_dir, b->key);
	snprintf(b->work, sizeof(b->work), "%s/work", conf->cache_dir);
	/* without a cage work/ is where it is */
	snprintf(b->inside, sizeof(b->inside), "%s",
		 b->is_personal ? b->work : conf->cache_dir);
	snprintf(b->pass, sizeof(b->pass), "pass/%.16s", b->key);
	snprintf(b->scratch, sizeof(b->scratch), "probe/%.16s", b->key);
	return 0;
}

/* Nobody of our job has, while we waited for our turn. */
static bool must_refresh(const struct build *b)
{
	return b->is_refresh &&
	       !(b->job && aq_job_has_refreshed(b->conf, b->job, b->key));
}

static int try_once(struct build *b, struct aq_err *err)
{
	int rc;

	b->verdict = BUILD_FAULT;
	rc = b->log_fd < 0 ? open_log(b, err) : 0;
	if (!rc)
		rc = b->is_explain ? explain(b, err) :
		     b->is_fetch   ? fetch_for_others(b, err) :
				     build(b, err);
	if (rc)
		room_note(b, err);
	return rc;
}

/* A full disk is collected from, and then it is tried again. */
static int make(struct build *b, struct aq_err *err)
{
	int rc;

	room_prepare(b);
	do {
		room_start(b);
		rc = try_once(b, err);
	} while (rc && room_make(b, err));
	room_give_back(b);
	parts_write(&b->parts, b->log_fd);
	if (rc) /* it may quote what others wrote, and goes many ways from here */
		aq_text_make_printable_text(err->text);
	if (rc && !build_is_look(b))
		build_remember_failure(b, err);
	return rc;
}

static void tell_log(struct build *b)
{
	(void)!aq_copy_text(b->answer->log, sizeof(b->answer->log),
			    b->log_path);
}

/* Wait until it may be built, unless it is known to fail. */
static int wait_to_build(struct build *b, struct aq_err *err)
{
	int rc = 0;

	if (!b->is_refresh && !b->again) {
		rc = build_recall_failure(b, err);
		if (rc && access(b->log_path, F_OK) == 0)
			tell_log(b); /* of the build that failed */
	}
	if (!rc)
		rc = allowance_check(b, err);
	return rc ? rc : queue_wait(b, err);
}

/* It is missing.  From when it may be built on time counts. */
static int begin(struct build *b, struct aq_err *err)
{
	bool is_look = build_is_look(b);
	int rc;

	/* one that came late, as its disk hung, takes nobody's turn */
	if (b->prefetch && turn_is_step_gone(b))
		return aq_fail(err, AQ_BUSY, "the job that this was for is over");
	rc = is_look ? 0 : wait_to_build(b, err);
	b->start_ms = aq_now_ms();
	b->deadline_ms = b->start_ms + (int64_t)b->conf->build_timeout * 1000;
	return rc || is_look ? rc : allowance_take(b, err);
}

/* Our turn: look again, build what is still missing. */
static int serve(struct build *b, struct aq_err *err)
{
	int rc = turn_take(b, err);

	if (rc)
		return rc;
	rc = build_look_again(b, must_refresh(b) || b->again || b->is_fetch,
			      err);
	if (!rc && b->as_base)
		rc = build_become_base(b, err);
	if (rc != AQ_MISS) { /* or it was collected meanwhile */
		cage_clean(b);
		return rc;
	}
	/* found out while we waited for our turn */
	if (!b->is_private &&
	    aq_memo_is_private(b->conf, b->uid, b->req->canonical,
			       b->req->canonical_len)) {
		b->must_be_private = true;
		cage_clean(b);
		return aq_fail(err, AQ_USER, "a package has a link script");
	}
	say_start(b);
	rc = begin(b, err);
	if (!rc)
		rc = make(b, err);
	if (!rc && b->is_refresh && b->job)
		rc = aq_job_note_refresh(b->conf, b->job, b->key, err);
	if (!rc && b->as_base)
		rc = build_become_base(b, err);
	if (rc && b->log_fd >= 0) {
		tell_log(b);
		dprintf(b->log_fd, "failed: %s\n", err->text);
	}
	cage_clean(b);
	say_end(b);
	return rc;
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

/* In a private domain a step's lease is where the job's epilog looks for it, whether or
 * not the stage knew of that domain: a mark first, so that whenever the epilog comes it
 * looks there.  It takes the site's mark away before it does: without that the job is
 * over.
 */
static int enter_job(const struct build *b, struct aq_err *err)
{
	const struct aq_conf *site = b->conf->site;
	uint32_t job = b->step->job;
	int rc = b->workflow.name[0] ? aq_job_note_workflow(b->conf, job, err) :
				       aq_job_mark(b->conf, job, err);

	if (!rc && !aq_job_is_marked(site, job) && turn_is_step_gone(b)) {
		(void)!aq_job_unmark(b->conf, job, NULL);
		return aq_fail(err, AQ_BUSY, "the job is over");
	}
	if (!rc)
		rc = aq_job_mark(site, job, err);
	return rc ? rc : aq_lease_move(site, b->conf, b->step, err);
}

/* Our step holds all that serves its request until we know what it uses; the
 * stage's worker may have been killed before it could say so.
 */
static void take_reference(struct build *b)
{
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };

	if ((b->conf->site && enter_job(b, &err) != 0) ||
	    aq_refs_open(b->conf, &refs, &err) != 0 ||
	    aq_refs_take(refs, b->step, b->req->digest, &err) != 0)
		say(b, "no reference was taken: %s", err.text);
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
};

static int serve_in_domain(struct build *b, struct aq_err *err)
{
	int rc = set_up(b, err);

	if (!rc && b->step)
		take_reference(b);
	b->start_ms = aq_now_ms();
	b->deadline_ms = INT64_MAX;
	return rc ? rc : serve(b, err);
}

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
	return serve_in_domain(b, err);
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
		rc = serve_in_domain(&b, err);
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
