/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment does to the variables of a task, as data: a list of
 * set / unset / prepend, captured once when the environment was built and
 * replayed without a shell.  Its inverse travels in AQ_UNDO.
 *
 * Pure: no files, no processes, no foreign library; runs in the task.
 */
#ifndef AQ_ENVOPS_H
#define AQ_ENVOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/str.h"

/* Serialised operations of one environment with its variables; conda's
 * heaviest activations (compilers) set some 60 variables in 8 KiB, and a
 * request brings 30 KiB at most.
 */
#define AQ_ENVOPS_MAX (64 * 1024)
/* AQ_UNDO as a variable: below the 32 KiB that Slurm carries safely, and three times what
 * an environment with conda's compilers needs in a shell where others are active.
 */
#define AQ_UNDO_MAX (24 * 1024)

enum aq_envop_kind {
	AQ_ENVOP_SET,     /* NAME=value */
	AQ_ENVOP_UNSET,   /* remove NAME */
	AQ_ENVOP_PREPEND, /* value in front of NAME's colon-separated list */
	AQ_ENVOP_APPEND,  /* value at its end */
};

/* Append one operation to a serialised list (cap it with AQ_ENVOPS_MAX).
 * 'name' is a C identifier, 'value' any text ("" for UNSET).
 */
void aq_envops_add(struct aq_str *ops, enum aq_envop_kind kind,
		   const char *name, const char *value);

/* The same with a value in which AQ_ENVOPS_REF NAME AQ_ENVOPS_REF_END stands
 * for what the task's own variable NAME (HOME, USER, …) holds before the first
 * operation, "" if it is unset.
 */
#define AQ_ENVOPS_REF '\x01'
#define AQ_ENVOPS_REF_END '\x02'
void aq_envops_add_template(struct aq_str *ops, enum aq_envop_kind kind,
			    const char *name, const char *value);

/* Serialised form: for each operation a byte (S, U, P, A; lower case: the
 * value is a template), the name, NUL, the value, NUL.
 * Call 'each' for every operation of ops[0..len) until it returns false.
 * Returns whether the list is well formed and 'each' never said false.
 */
struct aq_envop {
	enum aq_envop_kind kind;
	bool is_template;
	const char *name;
	const char *value;
};
bool aq_envops_each(const char *ops, size_t len,
		    bool (*each)(const struct aq_envop *op, void *arg),
		    void *arg);

/* Whether 'name' (its first 'len' bytes) is a C identifier. */
bool aq_is_env_name(const char *name, size_t len);

/* Whether ops[0..len) is a well-formed list (bounded, names valid). */
bool aq_envops_is_sound(const char *ops, size_t len);

/* Compute the environment that results from 'env' (NULL-terminated NAME=VALUE
 * array, not changed): first the inverse of an earlier one of ours (AQ_UNDO)
 * or of an active conda or venv, then 'ops' (NULL, 0: only undo: that is
 * what `none` means), then AQ_UNDO for the way back.
 * Returns 0 and appends to 'ret_set' NAME=VALUE for each variable to set, to
 * 'ret_unset' the names to remove; or fails with AQ_SYS (over a limit, out
 * of memory).  A damaged or hostile AQ_UNDO is ignored and removed.
 */
AQ_CHECK int aq_envops_plan(char *const env[], const char *ops, size_t len,
			    struct aq_strv *ret_set, struct aq_strv *ret_unset,
			    struct aq_err *err);

#endif
