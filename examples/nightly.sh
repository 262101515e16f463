#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is run again and again, under a name of one's own.  Submit it with another
# request, and the environment that it leaves goes with the last job that uses it:
#     sbatch nightly.sh
#     sbatch --aq-requirements=environment.yml nightly.sh
#SBATCH --aq-requirements=req.yaml
#SBATCH --aq-workflow=nightly
#SBATCH --output=nightly-%j.out

echo "$AQ_ENV_PREFIX"
