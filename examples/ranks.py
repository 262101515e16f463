# SPDX-License-Identifier: Apache-2.0
"""What each of a step's ranks is: srun says it, with or without an MPI library."""

import os

import numpy as np

rank, ranks = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
part = np.array_split(np.arange(1, 101), ranks)[rank]
print(f"rank {rank} of {ranks}: {part.sum()} in {os.environ['AQ_LOCK'][:12]}")
