/* SPDX-License-Identifier: Apache-2.0 */
/* The process in the cage that touches shared_dir: shared_serve.c for locks,
 * shared_archives_serve.c for archives.  It reads what it is told from standard input
 * and says what it finds on standard output.
 */
#ifndef AQ_SHARED_SERVE_H
#define AQ_SHARED_SERVE_H

#include "builder/shared_dir.h"

/* What it says, a line each (GROUPS: bits of shared_store.h, a decimal number): */
#define SHARED_SAYS_WAITS "waits "     /* and the node that is at work */
#define SHARED_SAYS_ALIVE "alive"      /* it still waits, or works */
#define SHARED_SAYS_GOT "got"          /* something; it is worth waiting */
#define SHARED_SAYS_CLAIMED "claimed"  /* of archives GROUPS: work, and then tell */
#define SHARED_SAYS_ALONE "alone"      /* nobody will tell */
#define SHARED_SAYS_DONE "done"        /* all is there */
#define SHARED_SAYS_NOTE "note "       /* what is ignored */
#define SHARED_SAYS_LOCK "lock "       /* GENERATION LENGTH, and the lock */
/* What it is told, until end of file; nothing, or nothing more: the build ended. */
#define SHARED_TELL_WORK "work\n"     /* before one of these: a client is at work */
#define SHARED_TELL_OVER "over\n"     /* no lock was had; archives, as far as they were */
#define SHARED_TELL_LOCK "publish\n"  /* and the lock */

/* -- what both do -- */
AQ_CHECK int shared_say(const char *what, const char *text, struct aq_err *err);
/* What was ignored, once. */
AQ_CHECK int shared_say_notes(struct shared_dir *d, struct aq_err *err);
/* Say who has the claim 'c' (NULL: nobody), once, and wait until it is worth looking
 * again; 'since' is when the wait began (aq_now_ms()), and the longer the less often.
 * AQ_SYS: the build is over.
 */
AQ_CHECK int shared_wait(const struct shared_claim *c, int64_t since, bool *is_said,
			 struct aq_err *err);
/* All of standard input; 'tick' is called as often as claims are to be renewed. */
AQ_CHECK int shared_read_told(struct aq_str *told,
			      int (*tick)(void *arg, struct aq_err *err),
			      void *arg, struct aq_err *err);
#define SHARED_TOLD_MAX (1024 * 1024 + 64) /* a lock, and a word */

/* -- for run_start() -- */
struct shared_job {
	const char *path, *key, *node;
	uid_t owner;
	uint32_t job;
	bool is_refresh;
	bool may_claim; /* else it says "alone" at once */
	bool is_told;   /* there is a lock to be published */
	bool is_built;  /* and what is of it */
	uint64_t replaced; /* as shared_dir_publish() has it */
};
/* 'arg' is a struct shared_job. */
int shared_serve(void *arg, struct aq_str *out, struct aq_err *err);

struct shared_archives_job {
	const char *path, *node;
	const char *key; /* of the claims: the lock's digest */
	uid_t owner;
	const struct aq_strv *names; /* of archives, "SHA256.conda" */
	const char *dir; /* where they are wanted */
	bool takes_all;   /* groups that nobody has; else one at a time */
	bool has_failed;  /* this node cannot fetch: it takes what others have */
	unsigned done;    /* groups that are as far here as this node can have them */
	unsigned ours;    /* to be told: groups that are here, as far as they could be had */
};
/* 'arg' is a struct shared_archives_job. */
int shared_archives_serve(void *arg, struct aq_str *out, struct aq_err *err);

#endif
