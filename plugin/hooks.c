/* SPDX-License-Identifier: Apache-2.0 */
/* The map: which hook does what, in which process, as whom.
 *
 * hook                  process               context       ids
 * init                  srun, sbatch, salloc  LOCAL, ALLOC. user
 * init_post_opt         the same              the same      user     submit
 * job_prolog            slurmstepd (prolog)   JOB_SCRIPT    root     reference, prefetch
 * init, init_post_opt   slurmstepd            REMOTE        root     stage
 * task_init_privileged  the forked task       REMOTE        root     build
 * task_init             the same              REMOTE        user     apply
 * task_post_fork        slurmstepd            REMOTE        root
 * exit                  slurmstepd            REMOTE        root     release
 * job_epilog            slurmstepd (epilog)   JOB_SCRIPT    root     drop
 *
 * In the root hooks nothing is returned but 0: with anything else Slurm drains
 * the node or strands the job.  See docs/design.md.
 */
#include "plugin/rim.h"

#define HOOK __attribute__((visibility("default")))

SPANK_PLUGIN(spank_aq, 1)
extern HOOK const char plugin_name[], plugin_type[];
extern HOOK const unsigned int plugin_version, spank_plugin_version;

static struct rim_args rim_args;
static struct rim_step rim_step = RIM_STEP_INIT;

static int option_given(int val, const char *optarg, int remote)
{
	(void)val;
	if (remote)
		rim_stage_option(optarg);
	else
		rim_submit_option(optarg);
	return 0;
}

static int isolated_given(int val, const char *optarg, int remote)
{
	(void)val;
	(void)optarg;
	if (!remote) /* nodes read it from the request */
		rim_submit_isolated();
	return 0;
}

static int refresh_given(int val, const char *optarg, int remote)
{
	(void)val;
	(void)optarg;
	if (!remote)
		rim_submit_refresh();
	return 0;
}

static int workflow_given(int val, const char *optarg, int remote)
{
	(void)val;
	if (!remote)
		rim_submit_workflow(optarg);
	return 0;
}

static int workflow_remove_given(int val, const char *optarg, int remote)
{
	(void)val;
	(void)optarg;
	if (!remote)
		rim_submit_workflow_remove();
	return 0;
}

static struct spank_option rim_options[] = { {
	.name = (char *)RIM_OPTION,
	.arginfo = (char *)"FILE|none",
	.usage = (char *)"run in the conda environment that FILE asks for (an "
			 "environment.yml, a requirements.txt, or a Python "
			 "file that says so by PEP 723); none: in none",
	.has_arg = 1,
	.val = 0,
	.cb = option_given,
}, {
	.name = (char *)RIM_OPTION_ISOLATED,
	.usage = (char *)"let its environment inherit from no base",
	.cb = isolated_given,
}, {
	.name = (char *)RIM_OPTION_REFRESH,
	.usage = (char *)"resolve it afresh, once a job and node, instead of "
			 "reusing what is there",
	.cb = refresh_given,
}, {
	.name = (char *)RIM_OPTION_WORKFLOW,
	.arginfo = (char *)"NAME",
	.usage = (char *)"it is what the workflow NAME, yours, asks for from "
			 "now on; what NAME asked for before is not kept",
	.has_arg = 1,
	.cb = workflow_given,
}, {
	.name = (char *)RIM_OPTION_WORKFLOW_REMOVE,
	.usage = (char *)"forget the workflow on the nodes where this runs, in "
			 "no environment",
	.cb = workflow_remove_given,
} };

static void register_options(spank_t sp)
{
	for (size_t i = 0; i < ARRAY_LEN(rim_options); i++)
		if (spank_option_register(sp, &rim_options[i]) !=
		    ESPANK_SUCCESS)
			slurm_error("aq: cannot register --%s",
				    rim_options[i].name);
}

HOOK int slurm_spank_init(spank_t sp, int ac, char **av)
{
	spank_context_t context = spank_context();

	rim_args_read(ac, av, &rim_args);
	if (context == S_CTX_LOCAL || context == S_CTX_ALLOCATOR)
		rim_submit_start(context == S_CTX_ALLOCATOR);
	if (context != S_CTX_SLURMD)
		register_options(sp);
	return 0;
}

HOOK int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
	spank_context_t context = spank_context();

	(void)ac;
	(void)av;
	if (context == S_CTX_LOCAL || context == S_CTX_ALLOCATOR)
		rim_submit_finish(sp, &rim_args);
	else if (context == S_CTX_REMOTE)
		rim_stage(sp, &rim_args, &rim_step);
	return 0;
}

HOOK int slurm_spank_job_prolog(spank_t sp, int ac, char **av)
{
	struct rim_args args; /* init is not called in this process */

	rim_args_read(ac, av, &args);
	rim_job_prolog(sp, &args);
	return 0;
}

HOOK int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	rim_task_start_build(sp, &rim_step);
	return 0;
}

HOOK int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	rim_task_enter(sp, &rim_step);
	return 0;
}

HOOK int slurm_spank_task_post_fork(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	rim_stage_forked(sp, &rim_step);
	return 0;
}

HOOK int slurm_spank_exit(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (spank_context() == S_CTX_REMOTE)
		rim_release(&rim_step);
	return 0;
}

HOOK int slurm_spank_job_epilog(spank_t sp, int ac, char **av)
{
	struct rim_args args;

	rim_args_read(ac, av, &args);
	rim_job_epilog(sp, &args);
	return 0;
}
