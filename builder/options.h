/* SPDX-License-Identifier: Apache-2.0 */
/* aq-builder's command line, as common/build.h has it. */
#ifndef AQ_BUILDER_OPTIONS_H
#define AQ_BUILDER_OPTIONS_H

#include "builder/builder.h"

struct builder_options {
	const char *conf_path, *node;
	const char *as_base, *refresh, *again, *step, *uid, *workflow, *nodes,
		*fetch, *prefetch;
	bool is_personal, is_explain, is_private;
};

/* False: it is none. */
bool builder_options_read(int argc, char **argv, struct builder_options *ret);
/* What they say of 'b'; 'step' is to outlive it. */
void builder_options_apply(const struct builder_options *o, struct aq_step *step,
			   struct build *b);

#endif
