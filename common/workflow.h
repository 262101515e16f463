/* SPDX-License-Identifier: Apache-2.0 */
/* A workflow: a user's name for what they run repeatedly (--aq-workflow).  The
 * request that was submitted last is its current one; what it asked for before
 * is obsolete, whichever job starts first.
 *
 * From srun to the node it travels as SLURM_AQ_WORKFLOW, "NAME SUBMITTED", or
 * "NAME SUBMITTED removed" where it is to be forgotten.  Whose it is Slurm
 * says, never the variable.
 */
#ifndef AQ_WORKFLOW_H
#define AQ_WORKFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

#define AQ_WORKFLOW_NAME_MAX 64   /* bytes */
#define AQ_WORKFLOW_TEXT_SIZE 128 /* bytes of the variable, with the NUL */

struct aq_workflow {
	uint32_t uid;
	char name[AQ_WORKFLOW_NAME_MAX + 1]; /* "": none */
	/* Unix nanoseconds, as the submitting host's clock said: the order */
	uint64_t submitted;
	bool is_removed;
};

/* Whether 'text' is a name: 1 to 64 letters, digits, '.', '_', '-'. */
bool aq_workflow_is_name(const char *text);

/* CLOCK_REALTIME in nanoseconds. */
uint64_t aq_workflow_now(void);

/* What the variable says of 'w'; the uid is not in it. */
void aq_workflow_print(const struct aq_workflow *w,
		       char ret[AQ_WORKFLOW_TEXT_SIZE]);

/* Read the variable, which is hostile on a node: anything but what
 * aq_workflow_print() writes is false, *ret untouched.  A time after 'now'
 * (nanoseconds) counts as 'now'.  ret->uid is the caller's to set.
 */
AQ_CHECK bool aq_workflow_parse(const char *text, uint64_t now,
				struct aq_workflow *ret);

#endif
