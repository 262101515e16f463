#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several environments in one job, each for the step that names it:
#     sbatch several.sh
#SBATCH --aq-requirements=req.yaml
#SBATCH --output=several-%j.out

srun python fn.py
# another one for this step: its Python is another version
srun --aq-requirements=environment.yml python -c 'import sys, requests; print("python", *sys.version_info[:2])'
# none: what the submitter has
srun --aq-requirements=none bash -c "printenv AQ_ENV_PREFIX || echo environment: none of ours"
