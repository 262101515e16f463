/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with faults.c into a copy of the plugin, whose library is failing.c's: at
 * each hook two files beside aq.conf say what goes wrong in it, where NODE is
 * "submit" for srun, sbatch and salloc.  Without them it is what it is.  Never
 * installed.
 *
 *   CONF.faults.NODE.HOOK      a struct faults: which call fails.  What would end or
 *                              stop the process does so in what the hook forks alone,
 *                              its worker: the hook itself could not survive it.  A
 *                              task, which is a user's own, may die
 *   CONF.faults.NODE.HOOK.run  a program, run before the hook does anything
 */
#include <stdio.h>
#include <stdlib.h>

#include "plugin/rim.h"
#include "tests/unit/faults.h"

#define PATH_SIZE 4096

static bool is_survived(uint64_t kind, bool is_task)
{
	if (kind == FAULT_KILL || kind == FAULT_ABORT)
		return is_task;
	return kind != FAULT_HANG && kind != FAULT_GROW && kind != FAULT_FLOOD;
}

static void begin(const char *hook, const char *conf, bool is_task)
{
	const char *node = getenv("SLURMD_NODENAME");
	char plan[PATH_SIZE];
	const struct faults *f;

	faults_pause(true);
	if (!conf)
		return;
	snprintf(plan, sizeof(plan), "%s.faults.%s.%s", conf,
		 node ? node : "submit", hook);
	faults_run_program(plan);
	f = faults_map(plan);
	if (!f)
		return;
	setenv("AQ_FAULTS", plan, 1); /* for the library */
	if (is_survived(f->kind, is_task) || !node)
		faults_pause(false);
	else
		faults_pause_self();
}

static void end(void)
{
	faults_pause(true);
	unsetenv("AQ_FAULTS");
}

/* -- hooks: of each its name, where its aq.conf is told, and whether it is a user's
 * own process --
 */
#define HOOK(name, params, args, hook, conf, is_task)                          \
	void __real_##name params;                                             \
	void __wrap_##name params;                                             \
	void __wrap_##name params                                              \
	{                                                                      \
		begin(hook, conf, is_task);                                    \
		__real_##name args;                                            \
		end();                                                         \
	}

HOOK(rim_submit_finish, (spank_t sp, const struct rim_args *a), (sp, a),
     "submit", a->conf_path, true)
HOOK(rim_job_prolog, (spank_t sp, const struct rim_args *a), (sp, a),
     "prolog", a->conf_path, false)
HOOK(rim_stage,
     (spank_t sp, const struct rim_args *a, struct rim_step *step),
     (sp, a, step), "stage", a->conf_path, false)
HOOK(rim_task_start_build, (spank_t sp, struct rim_step *step), (sp, step),
     "build", step->args.conf_path, true)
HOOK(rim_task_enter, (spank_t sp, struct rim_step *step), (sp, step),
     "apply", step->args.conf_path, true)
HOOK(rim_stage_forked, (spank_t sp, struct rim_step *step), (sp, step),
     "forked", step->args.conf_path, false)
HOOK(rim_release, (struct rim_step *step), (step),
     "release", step->args.conf_path, false)
HOOK(rim_job_epilog, (spank_t sp, const struct rim_args *a), (sp, a),
     "epilog", a->conf_path, false)

/* Of every process of Slurm's that has the plugin, slurmd too. */
void __real_rim_args_read(int ac, char **av, struct rim_args *ret);
void __wrap_rim_args_read(int ac, char **av, struct rim_args *ret);
void __wrap_rim_args_read(int ac, char **av, struct rim_args *ret)
{
	__real_rim_args_read(ac, av, ret);
	begin("init", ret->conf_path, false);
	__real_rim_args_read(ac, av, ret);
	end();
}
