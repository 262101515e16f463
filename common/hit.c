/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hit.h"

#include <string.h>

#include "common/at_hand.h"
#include "common/flock.h"
#include "common/job.h"
#include "common/layout.h"
#include "common/memo.h"
#include "common/private.h"

static bool is_private(const struct aq_stage *stage, const struct aq_conf *conf)
{
	return aq_domain_inputs(stage->canonical, stage->canonical_len) ||
	       aq_memo_is_private(conf, stage->uid, stage->canonical,
				  stage->canonical_len);
}

int aq_hit_load_conf(struct aq_stage *stage, struct aq_conf **ret,
		     struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(stage->conf_path, stage->node, &conf, err);

	if (rc)
		return rc;
	if (stage->domain == AQ_STAGE_UNKNOWN)
		stage->domain = is_private(stage, conf) ? AQ_STAGE_PRIVATE :
							  AQ_STAGE_SHARED;
	if (stage->domain == AQ_STAGE_PRIVATE)
		rc = aq_private_enter(&conf, stage->uid, err);
	if (!rc)
		*ret = steal(&conf);
	return rc;
}

int aq_hit_take_lease(struct aq_stage *stage, const struct aq_conf *conf,
		      struct aq_err *err)
{
	int rc = aq_layout_is_trusted(conf) ?
			 aq_lease_acquire(conf, &stage->step,
					  &stage->ret_lease_fd, NULL) : AQ_SYS;

	if (rc) { /* the first step since the boot? */
		rc = aq_layout_prepare(conf, err);
		if (!rc)
			rc = aq_lease_acquire(conf, &stage->step,
					      &stage->ret_lease_fd, err);
	}
	return rc;
}

static int find(struct aq_stage *stage, const struct aq_conf *conf,
		bool is_at_hand, struct aq_err *err)
{
	char digest[AQ_LEASE_DIGEST_SIZE];
	cleanup_close int lock = -1; /* nothing is collected meanwhile */
	const char *name;
	int rc = is_at_hand ? aq_flock_try(conf, AQ_FLOCK_REFS, AQ_FLOCK_SHARED,
					   &lock, err) :
			      aq_flock_refs(conf, AQ_FLOCK_SHARED, &lock, err);

	if (!rc)
		rc = aq_memo_read(conf, stage->canonical, stage->canonical_len,
				  is_at_hand, stage->answer, digest, err);
	if (rc)
		return rc;
	name = aq_answer_env(stage->answer);
	if (!*name)
		return aq_fail(err, AQ_MISS, "the memo is damaged");
	rc = aq_lease_write(stage->ret_lease_fd, digest, name, err);
	if (!rc && conf->site) /* which is where its epilog looks */
		rc = aq_job_mark(conf->site, stage->step.job, err);
	return rc ? rc : aq_job_note_use(conf, stage->step.job, name,
				    stage->since_us, err);
}

/* Who asks for what, and how often it is resolved, is noted in refs.db. */
static bool has_to_be_noted(const struct aq_stage *stage)
{
	return stage->is_refresh || stage->workflow.name[0];
}

int aq_hit(struct aq_stage *stage, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_hit_load_conf(stage, &conf, err);

	stage->ret_lease_fd = -1;
	if (rc)
		return rc;
	rc = aq_hit_take_lease(stage, conf, NULL);
	if (!rc)
		rc = has_to_be_noted(stage) ? AQ_MISS :
					      find(stage, conf, false, NULL);
	if (!rc)
		return 0;
	aq_answer_begin(stage->answer);
	return AQ_MISS; /* no text: it is nothing for the log */
}

bool aq_hit_at_hand(struct aq_stage *stage)
{
	cleanup_conf struct aq_conf *conf = NULL;
	const char *path = stage->conf_path ? stage->conf_path : AQ_CONF_PATH;

	stage->ret_lease_fd = -1;
	if (has_to_be_noted(stage) || !aq_at_hand_file(path) ||
	    aq_conf_load(path, stage->node, &conf, NULL) != 0 ||
	    !aq_at_hand_memory(conf->run_dir) || !aq_layout_is_trusted(conf) ||
	    is_private(stage, conf))
		return false;
	if (aq_lease_acquire(conf, &stage->step, &stage->ret_lease_fd, NULL) == 0 &&
	    find(stage, conf, true, NULL) == 0)
		return true;
	/* a worker takes it, and waits */
	aq_close_fd(&stage->ret_lease_fd);
	aq_answer_begin(stage->answer);
	return false;
}
