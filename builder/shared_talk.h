/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the process that touches shared_dir: it is started, told
 * and heard, and not waited for where it hangs.  What they say to each other is in
 * shared_serve.h.
 */
#ifndef AQ_SHARED_TALK_H
#define AQ_SHARED_TALK_H

#include "builder/run.h"
#include "builder/shared_serve.h"

enum shared_heard {
	SHARED_HEARD_LOCK,
	SHARED_HEARD_CLAIMED,
	SHARED_HEARD_ALONE,
	SHARED_HEARD_GOT, /* some of them; more will be said */
	SHARED_HEARD_DONE,
	SHARED_HEARD_NOTHING, /* there will be no answer, which was said */
};

/* What runs in the cage: as run_function() calls it. */
struct shared_program {
	enum phase phase;
	int (*fn)(void *arg, struct aq_str *out, struct aq_err *err);
	void *arg;
};

/* Archives that are to be had, and a client that can download them. */
struct shared_wanted {
	const struct aq_strv *names; /* as shared_archive_name() has them */
	int (*download)(struct build *b, const char *program,
			struct aq_err *err);
	/* or NULL; called with some of them here, for all that are */
	int (*unpack)(struct build *b, const char *program, struct aq_err *err);
	const char *program;
	const char *place; /* where they are wanted, below work/ */
};
/* -- shared_archives.c -- */
/* Get them from shared_dir, or download and publish them.  Fails with BUILD_ENDED; of
 * `aq fetch` also where one cannot be had.
 */
AQ_CHECK int shared_get(struct build *b, const struct shared_wanted *w,
			struct aq_err *err);
/* An empty place for this build's: 'ret', "tmp/KIND-…". */
AQ_CHECK int shared_make_place(struct build *b, const char *kind,
			       char ret[BUILD_PLACE_SIZE], struct aq_err *err);
/* Those of b->lock. */
void shared_add_names(const struct build *b, enum aq_lock_kind kind,
		      struct aq_strv *names);

/* Whether this build shares. */
bool shared_is_used(const struct build *b);
/* Start it.  False: that cannot be done, which was said. */
AQ_CHECK bool shared_start(struct build *b, struct shared_process *p,
			   const struct shared_program *program);
/* Wait for its answer; *lock is set with SHARED_HEARD_LOCK, if what it said is one.
 * Non-zero: the build is over, BUILD_ENDED.
 */
AQ_CHECK int shared_hear(struct build *b, struct shared_process *p,
			 enum shared_heard *ret, struct aq_lock **lock,
			 struct aq_err *err);
/* It is told to end. */
void shared_drop(struct shared_process *p);
/* Tell the one that runs that what it has claimed is fetched now. */
void shared_tell_work(struct build *b, struct shared_process *p);
/* Tell the one that runs 'head' and text[0..len), and no more; if it is gone another,
 * 'told': it may have ended with its step, which it is in where no program of the build
 * has run before.  False: neither takes it, which was said.
 */
AQ_CHECK bool shared_tell(struct build *b, struct shared_process *p,
			  const struct shared_program *told, const char *head,
			  const char *text, size_t len);

#endif
