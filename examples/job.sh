#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A batch script, and the steps that it starts, in the environment of its job:
#     sbatch job.sh
#SBATCH --aq-requirements=req.yaml
#SBATCH --output=job-%j.out

python fn.py
srun python fn.py
