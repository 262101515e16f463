/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to "which environment?": one fixed-size block of memory, written
 * by whoever found out (the stage worker on a hit, aq-builder on a miss) and
 * read by a hook that trusts nothing in it but its bounds.  It lies in a
 * memfd or a shared anonymous mapping: no pointer, no length that is not
 * checked against this struct.
 */
#ifndef AQ_ANSWER_H
#define AQ_ANSWER_H

#include <stdint.h>

#include "common/envops.h"
#include "common/err.h"

#define AQ_ANSWER_MAGIC 0x41515231u /* "AQR1": also the layout's version */
#define AQ_ANSWER_PATH_MAX 1024     /* prefix and log, with the NUL */

struct aq_answer {
	uint32_t magic;
	uint32_t done;     /* 0 until the writer is through; written last */
	int32_t class;     /* enum aq_class: AQ_OK, AQ_MISS, AQ_USER, AQ_SYS */
	uint32_t ops_len;  /* bytes of ops[] */
	uint64_t build_ms; /* what the build took; 0 if reused */
	uint64_t new_bytes; /* new on disk; 0 if reused */
	char resolution[16]; /* reused|inherited|linked|created */
	char made[48];       /* how it came about at first, for people */
	char key[72];        /* 64 hex digits */
	char lock[72];       /* 64 hex digits */
	char prefix[AQ_ANSWER_PATH_MAX];
	char log[AQ_ANSWER_PATH_MAX]; /* the build's log, or "" */
	char text[AQ_ERR_TEXT_MAX];   /* class != AQ_OK: why, for the user */
	char ops[AQ_ENVOPS_MAX];      /* what to do to the task's environment */
};

/* Make 'a' empty: nothing is found out yet.  Who fills it, a program of its own that
 * may be of another version, sees by the magic whether it knows this layout.
 */
void aq_answer_begin(struct aq_answer *a);

/* Whether 'a' is complete and within its bounds: magic, done, every text
 * terminated, ops well formed.  Pure; any process.
 */
bool aq_answer_is_sound(const struct aq_answer *a);

/* The name of the environment, which its prefix ends in; "": there is none. */
const char *aq_answer_env(const struct aq_answer *a);

/* Whether nothing has the name of its prefix any more: somebody removed it by hand,
 * where aq gc would have removed its row first.
 */
bool aq_answer_is_gone(const struct aq_answer *a);

/* What AQ_VERBOSE's value, or NULL, asks for: one line of a hit too. */
#define AQ_VERBOSE "AQ_VERBOSE"
bool aq_is_verbose(const char *value);
/* And one before what is said of a failure, behind the node: whose it is. */
#define AQ_SAYS_FAILED "there is no environment"
#define AQ_SAYS_REQUEST AQ_SAYS_FAILED ", by what the request asks for:"
#define AQ_SAYS_NODE AQ_SAYS_FAILED ", by this node's fault:"
/* That line: which environment a sound 'a' says, how it came about, how long
 * looking it up took in microseconds (0: that is not known).
 */
void aq_answer_describe(const struct aq_answer *a, uint64_t us, char *ret,
			size_t size);

/* Set in a task's environment: it says on its standard output how its environment came
 * about, its prefix and its lock, a line each, and ends without having entered it.
 */
#define AQ_TELL "SLURM_AQ_TELL"

/* Fill 'a' with a failure of 'class' and 'text' and mark it done. */
void aq_answer_fail(struct aq_answer *a, enum aq_class class,
		    const char *text);

#endif
