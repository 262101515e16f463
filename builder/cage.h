/* SPDX-License-Identifier: Apache-2.0 */
/* The cage: what a program of a shared build sees of the node, where it may
 * write, and how much it may take.  Its form is its phase's.
 *
 *   cage.c      what lies below work/ for it
 *   cage_seen.c how root opens that
 *   confine.c   the phases, and how a child becomes one
 *   mounts.c    what it sees
 *   limits.h    how much it may take
 *   landlock.c  where it may write, once more
 *
 * A child goes through it in three steps, each of which returns NULL, or what
 * cannot be done, with errno set.  The builder of tests that has no cage
 * (tests/it/uncaged.c) has others in place of confine.c.
 */
#ifndef AQ_BUILDER_CAGE_H
#define AQ_BUILDER_CAGE_H

#include <sys/stat.h>

#include "builder/run.h"

/* Make the place for builds below work/ and clean up what an interrupted one
 * of ours left.
 */
AQ_CHECK int cage_prepare(struct build *b, struct aq_err *err);
/* From the next cage_prepare() on the committed environment 'name' is to be seen;
 * take away the place for it.
 */
void cage_show(struct build *b, const char *name);
void cage_hide(const struct build *b, const char *name);
/* As whom a phase's programs run. */
const struct identity *phase_identity(const struct build *b, enum phase phase);
/* As run() of a command of PHASE_PIP, to which the prefix's directories are given
 * meanwhile; its files stay whose they are.
 */
AQ_CHECK int cage_run_pip(struct build *b, struct command *cmd,
			  struct aq_err *err);
/* Away with what programs left in their scratch, and with what was passed to them. */
void cage_clean(const struct build *b);
/* From here on what clients see of work/ is a new one of this build's own, in which
 * the client makes the prefix, until cage_end_alone(): no path leads from there to
 * another build, and what was unpacked there goes with it; b->archives is moved there.
 * For a client that links what nobody has looked at.
 */
AQ_CHECK int cage_begin_alone(struct build *b, struct aq_err *err);
AQ_CHECK int cage_end_alone(struct build *b, struct aq_err *err);
/* Open the directory 'name' of what clients see of work/, where builder_user could put
 * links.  AQ_MISS: not there.
 */
AQ_CHECK int cage_open_seen(const struct build *b, const char *name, int *ret_fd,
			    struct aq_err *err);
/* Write the file STEM.SUFFIX, in a directory of the build's own, that a program in the
 * cage is to read; its path there.
 */
AQ_CHECK int cage_pass_file(struct build *b, const char *stem,
			    const char *suffix, const char *text, size_t len,
			    char ret_inside[BUILD_PATH_MAX],
			    struct aq_err *err);
/* Beside them a link 'name' to what is at the path 'to' in the cage. */
AQ_CHECK int cage_pass_link(const struct build *b, const char *name,
			    const char *to, struct aq_err *err);

/* What a phase may do; all the rest it may not. */
struct phase_form {
	bool has_caches;     /* all of work/, where nothing is executed */
	bool has_network;
	bool writes_prefix;
	bool has_shared;     /* shared_dir; without has_caches nothing of cache_dir */
	bool is_builders;    /* builder_user's; else probe_user's */
};
const struct phase_form *phase_form(enum phase phase);

/* Before a phase's program is started, by the supervisor: what all of the build may
 * take (limits_begin()).
 */
void confine_begin(struct build *b, enum phase phase);
/* 1. Leave the node's namespaces; what is forked next is the first process of a
 * new pid namespace.
 */
const char *confine_leave(const struct build *b, enum phase phase);
/* 2. That one, as root: see what the phase may see. */
const char *confine_see(const struct build *b, enum phase phase,
			bool hides_shells);
/* 3. The program itself, right before it runs: be who it is, for good. */
const char *confine_become(const struct build *b, enum phase phase);

/* -- mounts.c -- */
/* Nothing that is mounted from here on shows elsewhere. */
AQ_CHECK bool mounts_unshare(const struct build *b);
/* Bind all of work/ over cache_dir, with b->shown in it, read-only; and an empty
 * /dev/shm.
 */
AQ_CHECK bool mounts_bind_work(const struct build *b,
			       const struct phase_form *form);
/* Have shared_dir mounted where somebody does that once it is looked at, automount(8):
 * while mounts still come from the node's namespace.
 */
void mounts_find_shared(const struct build *b);
/* shared_dir as a mount of its own, which alone can be written.  Root looks up no more
 * of it than its name: what is below may not be root's to see.
 */
AQ_CHECK bool mounts_bind_shared(const struct build *b);
/* A cache_dir that has nothing but what the phase needs. */
AQ_CHECK bool mounts_bind_prefix(const struct build *b,
				 const struct phase_form *form);
/* Everything is read-only but what the phase may write. */
AQ_CHECK bool mounts_close(const struct build *b,
			   const struct phase_form *form);
/* An own /proc, and without network nobody's sockets. */
AQ_CHECK bool mounts_renew(const struct build *b,
			   const struct phase_form *form);
/* In the place of each shell is aq-no-shell. */
AQ_CHECK bool mounts_hide_shells(void);

/* Call 'fn' for each directory that a phase may write, as it is in the cage,
 * until it returns false.
 */
AQ_CHECK bool mounts_each_open(const struct build *b,
			       const struct phase_form *form,
			       bool (*fn)(const char *path, void *arg),
			       void *arg);

/* -- landlock.c -- */
/* True also where the kernel has none. */
AQ_CHECK bool landlock_restrict(const struct build *b,
				const struct phase_form *form);

#endif
