/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the process that touches shared_dir: it is started, told
 * and heard, and not waited for where it hangs.  What they say to each other is in
 * shared_serve.h.
 */
#ifndef AQ_SHARED_TALK_H
#define AQ_SHARED_TALK_H

#include "builder/builder.h"
#include "builder/shared_serve.h"

enum shared_heard {
	SHARED_HEARD_LOCK,
	SHARED_HEARD_CLAIMED,
	SHARED_HEARD_ALONE,
	SHARED_HEARD_DONE,
	SHARED_HEARD_NOTHING, /* there will be no answer, which was said */
};

/* What runs in the cage: as run_function() calls it. */
struct shared_program {
	enum phase phase;
	int (*fn)(void *arg, struct aq_str *out, struct aq_err *err);
	void *arg;
};

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
/* Tell the one that runs 'head' and text[0..len), and no more; if it is gone another,
 * 'told': it is no part of the build's control group, and may have ended with its
 * step, or is, and ended with a client.  False: neither takes it, which was said.
 */
AQ_CHECK bool shared_tell(struct build *b, struct shared_process *p,
			  const struct shared_program *told, const char *head,
			  const char *text, size_t len);

#endif
