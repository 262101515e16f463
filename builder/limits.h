/* SPDX-License-Identifier: Apache-2.0 */
/* How much a program of a build may take (limits.c), on the disk too (limits_disk.c),
 * and all of them together (limits_group.c).
 */
#ifndef AQ_BUILDER_LIMITS_H
#define AQ_BUILDER_LIMITS_H

#include "builder/run.h"

struct phase_form; /* cage.h */

/* In the child, before it is who it is to be: its rlimits.  False with errno set. */
AQ_CHECK bool limits_set(const struct build *b, const struct phase_form *form);
/* A control group for the build, the first time, and as many processes in it as the
 * phase may have.  What cannot be had of it is said in the log, and rlimits of
 * limits_set() stand in for it.
 */
void limits_begin(struct build *b, const struct phase_form *form);
uint64_t limits_processes(const struct phase_form *form); /* a phase may have */
/* What a build may write, 'most' bytes at most. */
uint64_t limits_disk(const struct build *b, uint64_t most);
/* The supervisor: the kernel ends its programs before it. */
void limits_keep_from_oom(void);
/* The kernel ends a build before it ends a job. */
void limits_offer_to_oom(void);

/* Whether others of the phase's account have so many processes that what failed may
 * have failed for want of one more.
 */
bool limits_are_used_up(const struct build *b, enum phase phase);
/* A program ended, which did not do what it should: the limit of the build's control
 * group that it met meanwhile, or NULL.
 */
const char *limits_met(struct build *b, enum phase phase);
/* A program failed and said 'text': the limit that this tells of, or NULL. */
const char *limits_say(struct build *b, enum phase phase, int exit_code,
		       const char *text);
/* From now on this process, and what it starts, has a tenth of the processors' time that
 * others get: of our session, of other sessions, of control groups beside ours.
 */
void limits_be_last(struct build *b);
/* The build is over: nothing is left of its control group. */
void limits_end(struct build *b);
/* Why the running program must be ended, or NULL; 'is_over': it has ended by
 * itself, and the build must not go on.
 */
const char *limits_look_at_disk(struct build *b, enum phase phase, bool is_over);

#endif
