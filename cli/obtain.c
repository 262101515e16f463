/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/obtain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli/term.h"
#include "common/build.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/lookup.h"
#include "common/store.h"
#include "common/tally.h"

void obtain_free(struct aq_answer *answer)
{
	if (answer)
		munmap(answer, sizeof(*answer));
}

static int make_answer(int *ret_fd, struct aq_answer **ret, struct aq_err *err)
{
	cleanup_close int fd = memfd_create("aq-answer", MFD_CLOEXEC);
	void *mem;

	if (fd < 0 || ftruncate(fd, sizeof(**ret)) < 0)
		return aq_fail_errno(err, "cannot make room for the answer");
	mem = mmap(NULL, sizeof(**ret), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	if (mem == MAP_FAILED)
		return aq_fail_errno(err, "cannot make room for the answer");
	aq_answer_begin(mem);
	*ret = mem;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int pass_request(const struct aq_request *req, int *ret_fd,
			struct aq_err *err)
{
	cleanup_close int fd = memfd_create("aq-request", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return aq_fail_errno(err, "cannot pass the request on");
	rc = aq_write_all(fd, req->canonical, req->canonical_len, err);
	if (!rc && lseek(fd, 0, SEEK_SET) != 0)
		rc = aq_fail_errno(err, "cannot pass the request on");
	if (!rc)
		*ret_fd = steal_fd(&fd);
	return rc;
}

/* Until the builder has closed its end: it is through, or dead. */
static void follow(int fd)
{
	struct term_progress progress;
	char buf[4096];
	ssize_t n = 1;

	term_progress_begin(&progress);
	while (n > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int ready = poll(&p, 1, TERM_TICK_MS);

		term_progress_tick(&progress);
		if (ready == 0 || (ready < 0 && errno == EINTR))
			continue;
		n = ready < 0 ? -1 : read(fd, buf, sizeof(buf));
		if (n > 0)
			term_progress_add(&progress, buf, (size_t)n);
		else if (n < 0 && (errno == EINTR || errno == EAGAIN))
			n = 1;
	}
	term_progress_end(&progress);
}

/* The builder runs in the root directory. */
static int absolute_conf(const struct cli *cli, char path[PATH_MAX],
			 struct aq_err *err)
{
	const char *from = cli->conf->path;

	if (!from)
		return 0;
	if (!realpath(from, path))
		return aq_fail_errno(err, "cannot find '%s'", from);
	return 0;
}

static int build(const struct cli *cli, const struct aq_request *req,
		 int answer_fd, struct aq_err *err)
{
	cleanup_close int request = -1, progress_in = -1, progress_out = -1;
	cleanup_close int alive_in = -1, alive_out = -1;
	const char *builder = getenv(CLI_BUILDER_VARIABLE);
	char conf[PATH_MAX] = "";
	int alive[2], progress[2], rc;

	rc = absolute_conf(cli, conf, err);
	if (!rc)
		rc = pass_request(req, &request, err);
	if (rc)
		return rc;
	if (pipe2(progress, O_CLOEXEC | O_NONBLOCK) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	progress_in = progress[0];
	progress_out = progress[1];
	if (pipe2(alive, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	alive_in = alive[0];
	alive_out = alive[1];
	rc = aq_build_spawn(&(struct aq_build_start){
			.builder = builder && *builder ? builder :
							 AQ_BUILDER_PATH,
			.conf_path = *conf ? conf : NULL,
			.node = cli->node,
			.is_personal = cli->is_personal,
			.as_base = cli->as_base,
			.is_refresh = cli->is_refresh,
			.is_explain = cli->is_explain,
			.fetch = cli->fetch,
			.again = cli->again,
			.uid = cli->conf->domain.uid,
			.is_private = cli->conf->domain.kind == AQ_PRIVATE,
			.answer_fd = answer_fd,
			.request_fd = request,
			.progress_fd = progress_out,
			.alive_fd = alive_in,
		}, err);
	if (rc)
		return rc;
	/* only the builder holds these from here on */
	aq_close_fd(&progress_out);
	aq_close_fd(&alive_in);
	follow(progress_in);
	return 0;
}

/* What a builder left in 'a', which may be anything if it was killed. */
static int judge(const struct aq_answer *a, struct aq_err *err)
{
	if (!aq_answer_is_sound(a))
		return aq_fail(err, AQ_SYS,
			       "the build ended without a word (was it killed, or slurm-aq upgraded just then?): try again, the next one starts afresh");
	if (a->class == AQ_OK)
		return 0;
	if (a->log[0] && !strstr(a->text, a->log))
		return aq_fail(err, (enum aq_class)a->class, "%.3000s\nlog: %s",
			       a->text, a->log);
	return aq_fail(err, (enum aq_class)a->class, "%s", a->text);
}

/* A request that no workflow is said for holds what it finds. */
static int make_plain(const struct cli *cli, const char *key,
		      struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(cli->conf, AQ_STORE_WRITE, &store, err);

	return rc ? rc : aq_store_make_plain(store, key, err);
}

/* As the hook counts a step's. */
static void count_hit(const struct cli *cli, const struct aq_answer *a)
{
	const struct aq_tally hit = { .n[AQ_TALLY_HIT] = 1 };
	const char *name = aq_answer_env(a);
	cleanup_refs struct aq_refs *refs = NULL;

	if (*name && aq_refs_open(cli->conf, &refs, NULL) == 0)
		(void)!aq_refs_add_tally(refs, name, (uint64_t)time(NULL),
					 &hit, NULL);
}

/* 'us': what looking up took, 0 if the builder found it. */
static void say_found(const struct aq_answer *a, uint64_t us)
{
	char line[256];

	if (!aq_is_verbose(getenv(AQ_VERBOSE)) ||
	    strcmp(a->resolution, "reused") != 0)
		return;
	aq_answer_describe(a, us, line, sizeof(line));
	fputs("aq: ", stderr);
	term_print(stderr, line);
	fputc('\n', stderr);
}

static int look_up(const struct cli *cli, const struct aq_request *req,
		   struct aq_answer *answer, uint64_t *ret_us,
		   struct aq_err *err)
{
	int64_t start = aq_now_us();
	bool is_plain = false;
	int rc = aq_look_up(cli->conf, req, answer, &is_plain, err);

	if (rc)
		return rc;
	*ret_us = (uint64_t)(aq_now_us() - start);
	if (cli->is_explain)
		return 0;
	count_hit(cli, answer);
	return is_plain ? 0 : make_plain(cli, answer->key, err);
}

int obtain(const struct cli *cli, const struct aq_request *req,
	   struct aq_answer **ret, struct aq_err *err)
{
	cleanup_answer struct aq_answer *answer = NULL;
	cleanup_close int fd = -1;
	uint64_t us = 0;
	int rc = make_answer(&fd, &answer, err);

	if (!rc)
		rc = aq_layout_prepare(cli->conf, err);
	if (rc)
		return rc;
	rc = cli->as_base || cli->is_refresh || cli->again || cli->fetch ?
		     AQ_MISS :
		     look_up(cli, req, answer, &us, err);
	/* the cache busy or damaged is a miss: the builder sees to it */
	if (rc == AQ_MISS || rc == AQ_BUSY || rc == AQ_CORRUPT) {
		rc = build(cli, req, fd, err);
		if (!rc)
			rc = judge(answer, err);
	}
	if (rc)
		return rc;
	if (!cli->is_explain)
		say_found(answer, us);
	*ret = steal(&answer);
	return 0;
}
