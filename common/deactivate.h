/* SPDX-License-Identifier: Apache-2.0 */
/* Leave the conda environments or the venv that were active where the job was
 * submitted.  Without a shell: their deactivation scripts are not run, so what
 * only those would take back stays.
 */
#ifndef AQ_DEACTIVATE_H
#define AQ_DEACTIVATE_H

#include "common/envmap.h"

/* conda nests: CONDA_SHLVL levels, CONDA_PREFIX_1 … below CONDA_PREFIX. */
#define AQ_CONDA_LEVELS_MAX 64

/* Take each level's bin out of PATH and unset what activation set:
 * CONDA_PREFIX and its stack, CONDA_SHLVL, CONDA_DEFAULT_ENV,
 * CONDA_PROMPT_MODIFIER, VIRTUAL_ENV, VIRTUAL_ENV_PROMPT, and PYTHONHOME,
 * which would make any other Python fail.  CONDA_EXE and condabin, which are
 * there with nothing active, stay, and so does PYTHONPATH: it is the user's.
 */
void aq_deactivate(struct aq_envmap *map);

#endif
