/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of docs/design.md, "On the node": made with their owners and
 * modes, opened without following links.
 */
#ifndef AQ_LAYOUT_H
#define AQ_LAYOUT_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/err.h"

/* Make what is missing of cache_dir (0755) and run_dir (0700) and their
 * subdirectories: envs, logs 0755; work, private 0711 (the builder's identities
 * pass through); meta, trash 0700; leases, locks, jobs 0700; public_dir 0755.
 * The umask of the caller does not matter.
 * Of a private domain cache_dir and public_dir are 0750, and its user's to read; the
 * node's own are made before.
 * What is there with another owner or more rights than these is AQ_SYS with
 * the remedy in its text.
 */
AQ_CHECK int aq_layout_prepare(const struct aq_conf *conf, struct aq_err *err);

/* Whether nobody but root can have made run_dir: what is in it is believed, and it may be
 * in a directory that all may write to.  For others than root it is always so.
 */
bool aq_layout_is_trusted(const struct aq_conf *conf);

/* Below cache_dir/work: wheels that nodes share (builder/shared_wheels.c). */
#define AQ_WORK_WHEEL_FILES "wheels/files"
/* Below its pass/ and probe/: who makes byte-code. */
#define AQ_WORK_COMPILER "bytecode"

/* All that was written below cache_dir is on disk when it returns 0: clients flush
 * nothing.  What others wrote to that file system is flushed with it, so no hook may
 * wait for this.
 */
AQ_CHECK int aq_layout_flush(const struct aq_conf *conf, struct aq_err *err);

/* Call 'fn' for each of them, the outer ones first. */
void aq_layout_each(const struct aq_conf *conf,
		    void (*fn)(const char *path, mode_t mode, void *arg),
		    void *arg);

#endif
