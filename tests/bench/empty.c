/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin with our hooks and nothing in them: what Slurm itself costs (launch). */
#include <slurm/spank.h>

SPANK_PLUGIN(empty, 1)

#define EMPTY(hook)                                                            \
	int hook(spank_t sp, int ac, char **av)                                \
	{                                                                      \
		(void)sp;                                                      \
		(void)ac;                                                      \
		(void)av;                                                      \
		return 0;                                                      \
	}

EMPTY(slurm_spank_init)
EMPTY(slurm_spank_init_post_opt)
EMPTY(slurm_spank_job_prolog)
EMPTY(slurm_spank_task_init_privileged)
EMPTY(slurm_spank_task_init)
EMPTY(slurm_spank_task_post_fork)
EMPTY(slurm_spank_exit)
EMPTY(slurm_spank_job_epilog)
