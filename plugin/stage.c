/* SPDX-License-Identifier: Apache-2.0 */
/* Stage and release, in slurmstepd as root.  What touches disk or a library is
 * a worker's; slurmstepd keeps the lease's descriptor and reads the answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hit.h"
#include "common/worker.h"
#include "plugin/rim.h"

struct stage_work {
	struct aq_stage *stage;
	int socket;
};

static int stage_work(void *arg, struct aq_err *err)
{
	struct stage_work *w = arg;
	struct rim_library library;
	int rc = aq_hit(w->stage, err);

	if (rc == AQ_MISS)
		rc = rim_library_load(&library, err) ?
			     AQ_SYS : library.stage(w->stage, err);
	if (w->stage->ret_lease_fd >= 0)
		rim_lease_send(w->socket, w->stage->ret_lease_fd);
	return rc;
}

struct aq_answer *rim_make_answer(int *ret_fd)
{
	cleanup_close int fd = memfd_create("aq-answer", MFD_CLOEXEC);
	struct aq_answer *answer;

	if (fd < 0 || ftruncate(fd, sizeof(*answer)) < 0)
		return NULL;
	answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	if (answer == MAP_FAILED)
		return NULL;
	aq_answer_begin(answer);
	*ret_fd = steal_fd(&fd);
	return answer;
}

static bool get_ids(spank_t sp, struct aq_stage *ret)
{
	struct aq_step *step = &ret->step;
	uid_t uid = 0;

	/* not known: as if it were for everybody */
	(void)spank_get_item(sp, S_JOB_UID, &uid);
	ret->uid = uid;
	step->het = UINT32_MAX;
	return spank_get_item(sp, S_JOB_ID, &step->job) == ESPANK_SUCCESS &&
	       spank_get_item(sp, S_JOB_STEPID, &step->step) == ESPANK_SUCCESS;
}

int rim_pass_request(const char *text, size_t len, int *ret_fd,
		     struct aq_err *err)
{
	cleanup_close int fd = memfd_create("aq-request", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
	    lseek(fd, 0, SEEK_SET) != 0)
		return aq_fail_errno(err, "cannot pass the request on");
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* What the builder reads and what keeps it alive. */
static int prepare_build(struct rim_step *step, struct aq_err *err)
{
	int rc = rim_pass_request(step->stage.canonical,
				  step->stage.canonical_len,
				  &step->request_fd, err);

	if (rc)
		return rc;
	if (pipe2(step->progress, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    pipe2(step->alive, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	return 0;
}

static void fail_step(struct rim_step *step, int class, const char *text)
{
	step->state = RIM_FAILED;
	aq_answer_fail(step->answer, (enum aq_class)class, text);
}

static int open_sockets(int sockets[2], struct aq_err *err)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return aq_fail_errno(err, "cannot make a socket pair");
	return 0;
}

/* The reference and the look-up: its class.  In a worker, which is a copy of slurmstepd
 * and costs more than all else, unless all of it is at hand.
 */
static int look_up(struct rim_step *step, struct aq_err *err)
{
	struct stage_work work = { .stage = &step->stage };
	int sockets[2], rc;

	if (aq_hit_at_hand(&step->stage)) {
		step->lease_fd = step->stage.ret_lease_fd;
		step->is_lease_in_memory = true;
		return 0;
	}
	rc = open_sockets(sockets, err);
	if (rc)
		return rc;
	work.socket = sockets[1];
	step->had_worker = true;
	rc = aq_worker_run(stage_work, &work, AQ_WORKER_DEADLINE_MS,
			   work.socket, err);
	step->lease_fd = rim_lease_receive(sockets[0], &step->is_lease_in_memory);
	close(sockets[0]);
	close(sockets[1]);
	if (rc == AQ_OK && !aq_answer_is_sound(step->answer))
		return aq_fail(err, AQ_SYS, "the answer is damaged");
	/* a busy cache is a miss: the builder looks again, and has the time */
	if (rc == AQ_SYS && err->errnum == ETIMEDOUT) {
		/* it may have been killed between answer and commit */
		aq_answer_begin(step->answer);
		return AQ_MISS;
	}
	return rc;
}

void rim_say_took(const struct rim_step *step, const char *hook,
		  int64_t since_us, const char *how)
{
	slurm_debug("aq: %s of step %u.%u took %lld us%s", hook,
		    step->stage.step.job, step->stage.step.step,
		    (long long)(aq_now_us() - since_us),
		    how);
}

static void find_out(struct rim_step *step)
{
	static struct aq_err err;
	int rc;

	step->stage.since_us = aq_now_us();
	rc = look_up(step, &err);
	step->look_up_us = (uint64_t)(aq_now_us() - step->stage.since_us);
	rim_say_took(step, "stage", step->stage.since_us,
		     step->had_worker ? ", with a worker" : "");
	/* with a hit or a miss the text is a note for the administrator */
	if (rc != AQ_USER && err.text[0])
		slurm_error("aq: step %u.%u: %s", step->stage.step.job,
			    step->stage.step.step, err.text);
	step->state = rc ? RIM_FAILED : RIM_HIT;
	if (rc == AQ_MISS) {
		rc = prepare_build(step, &err);
		step->state = RIM_MISS;
	}
	if (rc)
		fail_step(step, rc, err.text);
}

/* What this process's step was given by the option itself.  The request comes
 * by RIM_REQUEST; this tells when that got lost.
 */
static enum { ASKED_NOTHING, ASKED_UNDO, ASKED_FILE } asked;

void rim_stage_option(const char *value)
{
	asked = value && strcmp(value, AQ_REQUEST_NONE) == 0 ? ASKED_UNDO
							     : ASKED_FILE;
}

/* Whether there is anything to do; the request in 'ret' if there is.  Sets
 * step->state, and step->why if that is RIM_FAILED.
 */
static bool read_request(spank_t sp, struct rim_step *step, char *ret, int size)
{
	spank_err_t rc = spank_getenv(sp, RIM_REQUEST, ret, size);

	if (rc == ESPANK_SUCCESS) {
		step->state = strcmp(ret, AQ_REQUEST_NONE) == 0 ? RIM_UNDO
								: RIM_FAILED;
	} else if (rc == ESPANK_NOSPACE) {
		step->why = RIM_REQUEST " is too long to be a request: submit the job again";
		step->state = RIM_FAILED;
	} else if (asked == ASKED_FILE) {
		step->why = RIM_REQUEST ", which carries the request, did not reach this node (--export-file?): submit the job again";
		step->state = RIM_FAILED;
	} else if (asked == ASKED_UNDO) {
		step->state = RIM_UNDO;
	}
	return step->state == RIM_FAILED && !step->why;
}

/* The workflow, if the variable says one that can be read; whose it is Slurm
 * says.
 */
static void read_workflow(spank_t sp, struct aq_workflow *ret)
{
	char text[AQ_WORKFLOW_TEXT_SIZE];
	struct aq_workflow w;

	if (spank_getenv(sp, RIM_WORKFLOW, text, sizeof(text)) ==
		    ESPANK_SUCCESS &&
	    aq_workflow_parse(text, aq_workflow_now(), &w) &&
	    spank_get_item(sp, S_JOB_UID, &w.uid) == ESPANK_SUCCESS)
		*ret = w;
}

static int forget_work(void *arg, struct aq_err *err)
{
	struct rim_library library;
	int rc = rim_library_load(&library, err);

	return rc ? rc : library.forget(arg, err);
}

/* A step in no environment: is it there to have its workflow forgotten? */
static void forget(spank_t sp, struct rim_step *step)
{
	static struct aq_err err;

	read_workflow(sp, &step->stage.workflow);
	if (!step->stage.workflow.is_removed ||
	    !get_ids(sp, &step->stage) ||
	    step->stage.step.step == SLURM_EXTERN_CONT)
		return;
	step->stage.conf_path = step->args.conf_path;
	if (aq_worker_run(forget_work, &step->stage, AQ_WORKER_DEADLINE_MS, -1,
			  &err) == 0)
		return;
	slurm_error("aq: workflow '%s' of user %u: %s",
		    step->stage.workflow.name, step->stage.workflow.uid,
		    err.text);
	step->why = "the workflow was not removed on this node: try again";
	step->state = RIM_FAILED;
}

void rim_stage(spank_t sp, const struct rim_args *args, struct rim_step *step)
{
	static char request[AQ_REQUEST_CANONICAL_MAX + 1];
	char refresh[8];

	*step = (struct rim_step)RIM_STEP_INIT;
	step->args = *args;
	if (!read_request(sp, step, request, sizeof(request))) {
		if (step->state == RIM_UNDO)
			forget(sp, step);
		return;
	}
	if (!get_ids(sp, &step->stage)) {
		step->why = "Slurm does not say which job and step this is";
		return;
	}
	if (step->stage.step.step == SLURM_EXTERN_CONT) {
		step->state = RIM_NOTHING;
		return;
	}
	step->answer = rim_make_answer(&step->answer_fd);
	if (!step->answer) {
		step->why = "this node is out of memory or descriptors";
		return;
	}
	step->stage.conf_path = args->conf_path;
	step->stage.canonical = request;
	step->stage.canonical_len = strlen(request);
	step->stage.answer = step->answer;
	step->stage.is_refresh = spank_getenv(sp, RIM_REFRESH, refresh,
					      sizeof(refresh)) == ESPANK_SUCCESS;
	read_workflow(sp, &step->stage.workflow);
	find_out(step);
}

/* What a build needed of us. */
static void close_build(struct rim_step *step)
{
	aq_close_fd(&step->request_fd);
	for (size_t i = 0; i < 2; i++) {
		aq_close_fd(&step->progress[i]);
		aq_close_fd(&step->alive[i]);
	}
}

void rim_stage_forked(spank_t sp, struct rim_step *step)
{
	uint32_t count = 0;
	int id = 0;

	if (step->state != RIM_MISS)
		return;
	if (spank_get_item(sp, S_TASK_ID, &id) == ESPANK_SUCCESS &&
	    spank_get_item(sp, S_JOB_LOCAL_TASK_COUNT, &count) ==
		    ESPANK_SUCCESS &&
	    (uint32_t)id + 1 < count)
		return;
	close_build(step);
}

static int release_work(void *arg, struct aq_err *err)
{
	const struct rim_step *step = arg;

	return aq_lease_end(step->lease_fd, err);
}

void rim_release(struct rim_step *step)
{
	static struct aq_err err;
	int64_t since_us = aq_now_us();
	int rc;

	close_build(step);
	if (step->lease_fd < 0)
		return;
	/* a worker, a copy of slurmstepd, costs more than all else of a release */
	rc = step->is_lease_in_memory ?
		     release_work(step, &err) :
		     aq_worker_run(release_work, step, AQ_WORKER_DEADLINE_MS,
				   step->lease_fd, &err);
	if (rc)
		slurm_error("aq: release of step %u.%u: %s",
			    step->stage.step.job, step->stage.step.step,
			    err.text);
	aq_close_fd(&step->lease_fd);
	rim_say_took(step, "release", since_us, "");
}
