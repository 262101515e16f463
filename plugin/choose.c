/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "plugin/rim.h"

const char *const rim_inherited[] = {
	RIM_CARRIER,
	RIM_CARRIER_OF("aq_isolated"),
	RIM_CARRIER_OF("aq_refresh"),
	RIM_CARRIER_WORKFLOW,
	RIM_CARRIER_WORKFLOW_REMOVE,
	RIM_REQUEST,
	RIM_REFRESH,
	RIM_WORKFLOW,
	AQ_TELL,
	RIM_DIGEST_CARRIER,
	RIM_PREFETCH_CARRIER,
	NULL,
};

/* What Slurm does (22.05 to 26.05, by running it): each component of a command
 * line begins with a callback for what the outer job hands down, if anything;
 * what the component names itself follows.  sbatch calls back for its script's
 * #SBATCH lines before its own command line's, which therefore comes last.
 */
struct rim_choice rim_choose(const struct aq_strv *values, const char *carrier,
			     size_t n_components)
{
	struct rim_choice choice = { .is_inherited = true };
	size_t n_inherited = carrier ? n_components : 0;

	for (size_t i = 0; i < values->n; i++) {
		const char *value = values->v[i];

		if (n_inherited && strcmp(value, carrier) == 0) {
			n_inherited--;
			if (!choice.value)
				choice.value = value;
			continue;
		}
		if (!choice.is_inherited && n_components > 1 &&
		    strcmp(value, choice.value) != 0) {
			choice.differs = true;
			choice.other = choice.value;
		}
		choice.value = value;
		choice.is_inherited = false;
	}
	return choice;
}
