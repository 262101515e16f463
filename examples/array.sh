#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every task of an array in one environment, which each node builds once however
# many tasks wait for it:
#     sbatch --array=1-4 array.sh
#SBATCH --aq-requirements=req.yaml
#SBATCH --output=array-%A_%a.out

python -c "
import os, numpy
task = int(os.environ['SLURM_ARRAY_TASK_ID'])
print('task', task, 'drew', numpy.random.default_rng(task).integers(100))
"
