/* SPDX-License-Identifier: Apache-2.0 */
/* One request in the domain that was entered for it: its key, its turn, and then what is
 * there by now, or a build.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/allowance.h"
#include "builder/builder.h"
#include "builder/cage.h"
#include "builder/inherit.h"
#include "builder/queue.h"
#include "builder/room.h"
#include "builder/turn.h"
#include "common/clock.h"
#include "common/job.h"
#include "common/layout.h"
#include "common/lease.h"
#include "common/memo.h"
#include "common/refs.h"
#include "common/text.h"

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
	run_leave(b);
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
static int serve_key(struct build *b, struct aq_err *err)
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

int serve(struct build *b, struct aq_err *err)
{
	int rc = set_up(b, err);

	if (!rc && b->step)
		take_reference(b);
	b->start_ms = aq_now_ms();
	b->deadline_ms = INT64_MAX;
	return rc ? rc : serve_key(b, err);
}
