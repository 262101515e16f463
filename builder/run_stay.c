/* SPDX-License-Identifier: Apache-2.0 */
/* A client that has solved and stays, to link: what it takes to start one, an
 * interpreter and its library, is a large part of a build whose packages are cached.
 * Both are of one phase, and it is the next program that runs, or it ends: no other runs
 * beside it.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder/cgroup.h"
#include "builder/run_inside.h"
#include "common/clock.h"
#include "common/worker.h"

/* One that is not needed ends by itself within so long, in milliseconds. */
#define LEAVE_MS 1000
#define ARGS_MAX ((size_t)4 * 1024 * 1024)

void run_close(struct program *p)
{
	aq_close_fd(&p->to);
	aq_close_fd(&p->from);
	aq_close_fd(&p->errors);
	aq_close_fd(&p->fault);
}

bool run_has_answered(struct aq_str *output)
{
	size_t len = strlen(RUN_STAYS);

	if (!aq_ends_with(aq_str_get(output), RUN_STAYS) ||
	    (output->len > len && output->s[output->len - len - 1] != '\n'))
		return false;
	aq_str_truncate(output, output->len - len);
	return true;
}

int run_go_on(struct build *b, const struct command *cmd, struct program *ret,
	      struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(cmd->input_len + ARGS_MAX);
	char path[BUILD_PATH_MAX];
	int rc;

	for (size_t i = 1; i < cmd->argv.n; i++)
		if (cmd->argv.v[i])
			aq_str_add_fmt(&text, "%s\n", cmd->argv.v[i]);
	aq_str_add_char(&text, '\n');
	aq_str_add_mem(&text, cmd->input, cmd->input_len);
	rc = aq_str_done(&text, "a program's input", err);
	if (!rc)
		rc = cage_pass_file(b, "input", "txt", text.s, text.len, path, err);
	if (rc)
		return rc;
	*ret = b->staying;
	b->staying = (struct program)PROGRAM_NONE;
	/* a pipe takes a path at once; whether it has died is seen by who attends it */
	(void)!write(ret->to, path, strlen(path));
	aq_close_fd(&ret->to);
	return 0;
}

void run_leave(struct build *b)
{
	__attribute__((cleanup(run_close))) struct program p = b->staying;
	int status;

	b->staying = (struct program)PROGRAM_NONE;
	if (!p.pid)
		return;
	run_close(&p);
	if (!aq_reap(p.pid, aq_now_ms() + LEAVE_MS, &status))
		run_end(b, p.pid, &status);
	kill(-p.pid, SIGKILL);
	cgroup_kill_others(b->cgroup);
}
