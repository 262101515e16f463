/* SPDX-License-Identifier: Apache-2.0 */
/* What test_history.c compares the cache with: who runs in what, and, in
 * history_asked.c, who asks for what.  history_build.c builds it.
 */
#ifndef AQ_HISTORY_H
#define AQ_HISTORY_H

#include "common/refs.h"
#include "common/workflows.h"
#include "tests/unit/cachedir.h"

#define REQUESTS 8 /* the last half inherit from the base of their time */
#define JOBS 5
#define STEPS 3
#define NOBODY -1
#define USERS 2
#define FLOWS 2 /* a user */

/* Who asks for what, as one database knows it. */
struct asked {
	struct flow {
		uint64_t submitted; /* 0: never */
		int request;        /* NOBODY: it was removed */
	} flows[USERS][FLOWS];
	bool is_plain[REQUESTS];
};

struct model {
	struct aq_conf *conf;
	unsigned int seed;
	struct sample *samples[REQUESTS];
	char base[AQ_ENV_NAME_SIZE]; /* the current one, or "" */
	struct job {
		bool is_there; /* no epilog yet */
		struct step {
			bool runs;
			int fd;      /* its lease, or NOBODY: slurmstepd is dead */
			int request; /* that it waits for, or NOBODY */
			char env[AQ_ENV_NAME_SIZE]; /* in which its tasks run */
			bool is_noted; /* its reference says so */
			bool is_stranger; /* it could not take one */
			struct aq_workflow workflow; /* or none */
			bool was_plain; /* its key, when it was looked up */
		} steps[STEPS];
	} jobs[JOBS];
	struct asked noted, kept; /* in refs.db, in cache.db */
	uint64_t n_submitted;
	unsigned long n_collected, n_left;
};

/* A random number below 'n'. */
unsigned int below(struct model *m, unsigned int n);
struct aq_refs *refs_of(struct model *m);
struct aq_store *store_of(struct model *m);

/* Whether the sample's key leads to an environment. */
bool is_there(struct aq_store *store, const struct sample *s);
/* What is noted is kept: aq_store_take_notes() did it. */
void move(struct model *m, struct aq_store *store);
/* Whether somebody means to ask for request 'n' again; all is moved. */
bool is_wanted(const struct model *m, int n);
/* Somebody's workflow, submitted now, or a while ago and only started now. */
struct aq_workflow submit(struct model *m);
/* It asks for 'request'; NOBODY: it is removed. */
void note_workflow(struct model *m, struct aq_refs *refs,
		   const struct aq_workflow *w, int request);
void remove_workflow(struct model *m);
void take_notes(struct model *m);

/* What the model's step 's' is called elsewhere. */
struct aq_step step_of(const struct model *m, const struct step *s);
/* Where the environment 'env' is; the caller frees it. */
char *prefix_of(const struct model *m, const char *env);
/* As a builder does, for everybody who waits for request 'n', or as `aq build`. */
void build(struct model *m, unsigned int n);

#endif
