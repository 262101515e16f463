/* SPDX-License-Identifier: Apache-2.0 */
/* aq-builder from inside.
 *
 *   main.c       enter clean, read the request, choose its domain; options.c
 *   serve.c      one request there: its turn, look again, or build; answer
 *   turn.c       one build a key: wait for one's turn, notice who still waits
 *   queue.c      how many builds run at once, whose is next; order.c decides
 *   allowance.c  what a user may have built: new keys (keys.c), bytes
 *   say.c        progress for the user and for other waiters
 *   outcome.c    what came of it, counted and said; parts.c how long it took
 *   build.c      the build itself: resolve, make, probe, seal, commit
 *   resolve.c    which lock, of which kind; explain.c says it, fetch.c has its packages
 *                fetched for others; again.c knows it
 *   host.c       what this node has of what packages may need of one
 *   shared.c     the same lock on all nodes; shared_*.c
 *   prefix.c     where it is made
 *   caches.c     whether what lies there is what was written; power cuts
 *   packages.c   what clients unpack: looked at, and closed; packages_*.c
 *   client.c     the table of clients; rattler.c mamba.c bundled.c are dialects;
 *                clients.c finds them
 *   inherit.c    layers over a base; stubs.c bare.c layer.c
 *   pip.c        pip requirements; uv.c, pylock.c is its file, known.c what it said
 *   records.c    what clients print, as lines of a lock
 *   secrets.c    credentials, for the programs that fetch
 *   scripts.c    link scripts of packages, where they may run
 *   probe.c      what runs an environment's own programs; activation*.c decides
 *   bytecode.c   byte-code that environments share; bytecode_*.c
 *   seal.c       root's walk over what was built; seal_*.c
 *   room.c       room on the disk for it
 *   run.c        a program in the cage, under a deadline; run_child.c becomes it;
 *                run_stay.c; cage.h identity.c; held.c redacts what it says
 *   limits.h     what a program may take; all of a build's together: cgroup*.c
 *
 * A part that others call has a header of its name; the rest of them, and what all
 * have, is here.
 *
 * A private build (common/private.h) is in a cage as any, and its job's user is
 * both identities: what it runs is that user's, and so are the caches.
 *
 * Two identities: `builder_user` runs the client and may write the caches;
 * `probe_user` runs what the packages brought and may write none of them.  Root
 * runs nothing of either.
 */
#ifndef AQ_BUILDER_H
#define AQ_BUILDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "builder/clients.h"
#include "builder/identity.h"
#include "builder/parts.h"
#include "builder/secrets.h"
#include "builder/shared_process.h"
#include "common/answer.h"
#include "common/base.h"
#include "common/conf.h"
#include "common/key.h"
#include "common/lock.h"
#include "common/manifest.h"
#include "common/request.h"
#include "common/store.h"
#include "common/tally.h"
#include "common/workflow.h"

#define BUILD_PATH_MAX 1024
#define BUILD_PLACE_SIZE 48 /* "tmp/KIND-KEY": a directory below work/ */
/* "AT-UID-KEY-w", queue.h */
#define QUEUE_NAME_SIZE 80

/* A network or disk fault is remembered this long, in seconds: long enough to
 * spare the channel from 10,000 tasks, short enough to try again soon.
 */
#define BUILD_FAULT_TTL 30

/* For who tries to install into an environment; no quote of Python's, one line. */
#define BUILD_MANAGED_HINT                                                     \
	"This environment is read-only: slurm-aq made it for a request, and "  \
	"others may use it too. Add the package to `requirements:` of your "   \
	"req.yaml and submit again, or install it into a directory of your "   \
	"own with `pip install --target`."

/* How a build fails decides what is remembered of it. */
enum build_verdict {
	BUILD_FAULT,   /* network, disk: BUILD_FAULT_TTL */
	BUILD_REFUSED, /* the request cannot be met: failure_ttl */
	BUILD_ENDED,   /* signal, cancel, time-out, limit: never */
	BUILD_NOT_KEPT, /* remembered already, or a word in aq.conf: never */
};

/* One that runs, as its supervisor knows it. */
struct program {
	pid_t pid; /* 0: there is none */
	int to, from, errors, fault; /* pipes; or -1 */
};
#define PROGRAM_NONE { .to = -1, .from = -1, .errors = -1, .fault = -1 }

struct build {
	const struct aq_conf *conf;
	const struct aq_conf *shared; /* the node's; of a private build another */
	const struct aq_request *req;
	struct aq_answer *answer;
	bool is_explain;     /* resolve only, and say what would be built */
	bool is_fetch;       /* only put its lock and packages into shared_dir */
	bool is_refresh;     /* resolve afresh, once for 'job' (0: always) */
	uint32_t job;
	uint32_t prefetch;   /* a job that waits, as long as it has a mark; or 0 */
	uint32_t nodes;      /* of its step; 0: that is another node's to say */
	uint32_t uid;        /* whose job it is; 0: root's, for everybody */
	struct aq_workflow workflow; /* that asks for it; without a name: none */
	const struct aq_step *step; /* that waits; NULL: nobody's */
	const char *as_base; /* "3.11": what is built becomes that base; or NULL */
	const char *again;   /* an environment that is to be made anew; or NULL */
	uint32_t generation; /* of that */
	char *context;
	char key[AQ_SHA256_HEX_SIZE];
	bool is_personal; /* one identity, no cage */
	bool is_private;  /* the job's user's alone, in a cage as that user */
	bool links_alone; /* its client has a package cache of its own: cage_begin_alone() */
	bool has_sources; /* its request asks for more than index and channels */
	bool must_be_private; /* it failed since it is not: client_link() */
	bool is_host_asked; /* host.h */
	/* an environment of the key that does not fit this node as it is now; or "" */
	char unfit[AQ_ENV_NAME_SIZE];
	bool is_cache_bad; /* what is unpacked there is not what its archive says */
	bool has_waited;  /* for another builder of the key */
	int progress_fd;  /* or -1 */
	int alive_fd;     /* or -1: nobody waits, and none is needed */
	int key_fd;       /* the key's lock, once it is our turn */
	int wait_fd;      /* says that our step still waits; or -1 */
	struct program staying; /* run_leave() */
	struct cgroup *cgroup; /* ours, once a program ran; limits.c */
	bool is_last; /* limits_be_last() */
	int slot_fd;      /* the lock of its name; or -1 */
	int ticket_fd;    /* the lock of our ticket, queue.h; or -1 */
	char ticket[QUEUE_NAME_SIZE]; /* its name; or "" */
	int public_fd;    /* progress for other waiters; or -1 */
	int log_fd;
	char log_path[BUILD_PATH_MAX];
	uint64_t log_len;
	/* CLOCK_MONOTONIC; of the build, once it has begun, before that of our
	 * wait for it, which has no end
	 */
	int64_t start_ms, deadline_ms;
	struct parts parts;

	struct identity builder, probe;
	/* As the client sees them; in the cage work/ lies over cache_dir. */
	char work[BUILD_PATH_MAX];   /* seen by root: cache_dir/work */
	char inside[BUILD_PATH_MAX]; /* seen in the cage: cache_dir */
	/* Below either: files for programs in the cage, what a probe may write. */
	char pass[32], scratch[32];
	char view[64]; /* what clients see of work/, below it; "": all */

	/* What this request would inherit from; base.env "": nothing. */
	struct aq_base base;
	struct aq_manifest *base_manifest;
	int base_fd; /* a lock: nobody collects it; or -1 */
	int own_fd;  /* the same of what becomes a base itself */
	char base_prefix[BUILD_PATH_MAX];
	char stubs_name[64];        /* below work/stubs; stubs.c */
	char stubs[BUILD_PATH_MAX]; /* the same in the cage */
	char compiler[AQ_ENV_NAME_SIZE]; /* the base that compiles; bytecode.h */
	int compiler_fd; /* a lock: nobody collects it; or -1 */
	char open_dir[96]; /* what a probe may write besides, below work/; or "" */
	/* Committed environments to see in the cage: what is inherited from, the
	 * compiler, what is compiled.
	 */
	char shown[3][AQ_ENV_NAME_SIZE];

	enum aq_env_kind kind; /* of what is being tried */
	char reason[AQ_ENV_REASON_SIZE]; /* why it is no cheaper one */

	struct aq_lock *lock;
	char name[AQ_ENV_NAME_SIZE];
	char prefix[BUILD_PATH_MAX]; /* the final one, baked in */
	char site[BUILD_PATH_MAX];   /* where root finds it while it is built */

	/* What conda's packages said of themselves before a wheel was installed,
	 * and the records of Python packages that were there; seal_forged.c.
	 */
	struct aq_str metadata;
	struct aq_strv records;
	struct {
		dev_t dev;
		ino_t ino;
	} sealed; /* the directory that was judged */

	enum build_verdict verdict;
	struct aq_tally tally; /* what is to be counted of it */

	char archives[BUILD_PLACE_SIZE]; /* below work/: of packages, shared.h; or "" */
	char wheels[BUILD_PLACE_SIZE];   /* the same of wheels */
	struct sharing sharing; /* shared.h */

	struct disk_watch {
		bool is_begun;
		uint64_t bytes, inodes; /* free when it began */
		int64_t next_ms;
		bool is_over; /* it wrote too much */
	} disk; /* limits_disk.c */

	struct {
		uint64_t at_start; /* bytes free when this try began */
		uint64_t at_end;   /* when it failed */
		uint64_t used;     /* by then */
		bool is_lacking;   /* it failed for want of room */
		bool is_watched;   /* it runs: min_free is kept free of it */
		bool is_crossed;   /* it was not, and is ended */
		unsigned int n_made;
		int alone_fd; /* the lock of those that were ended; or -1 */
	} room; /* room.c */
};

/* -- say.c -- */
/* A line for the user, for other waiters and for the log. */
void say(struct build *b, const char *fmt, ...) AQ_PRINTF(2, 3);
/* How much of what was said last is done, for a bar in the terminal of who waits: a line
 * "[DONE/OF]".  To a step nothing, whose tasks print each line.
 */
void say_done(struct build *b, unsigned int done, unsigned int of);
/* What a program says, to the log alone, as text that can be read: no control
 * characters, a line for each state of a progress bar.
 */
void say_to_log(const struct build *b, const char *text, size_t len);
void say_start(struct build *b); /* from now on others may read along */
void say_end(struct build *b);
/* Pass on what the builder whose turn it is says; '*at' is where we are. */
void say_others(struct build *b, size_t *at);

/* -- records.c -- */
/* Parse "conda …", "wheel …", "virtual …" lines into b->lock (hostile). */
AQ_CHECK int records_to_lock(struct build *b, const char *lines,
			     struct aq_err *err);
/* A client's JSON as such lines: 'query' is SQL over json_each(?1). */
AQ_CHECK int records_from_json(struct build *b, const struct aq_str *json,
			       const char *query, struct aq_str *lines,
			       struct aq_err *err);

/* -- probe.c -- */
/* Capture activation into 'ret_ops', check. */
AQ_CHECK int probe(struct build *b, struct aq_str *ret_ops,
		   struct aq_err *err);

/* -- resolve.c -- */
/* b->lock, of the cheapest kind that the request admits: a layer over the base,
 * a prefix that shares the base's packages, a prefix of its own.  b->reason
 * says why it is no cheaper one.
 */
AQ_CHECK int resolve(struct build *b, struct aq_err *err);

/* -- again.c -- */
/* b->lock and its kind, as the manifest of b->again has them: it had to be taken
 * away.  AQ_USER: its base is not there any more.
 */
AQ_CHECK int again_resolve(struct build *b, struct aq_err *err);

/* -- explain.c -- */
/* Resolve as build() would and answer with what it would make; the answer's
 * text has lines "base PYTHON NAME", "because REASON", "add KIND NAME VERSION".
 */
AQ_CHECK int explain(struct build *b, struct aq_err *err);
/* Put the lock that the request has, or gets, with all its packages and wheels that come
 * from elsewhere into shared_dir; the answer's text is "NUMBER packages, NUMBER wheels".
 */
AQ_CHECK int fetch_for_others(struct build *b, struct aq_err *err);

/* -- serve.c -- */
/* The domain is entered (b->conf): take our step's reference, wait for our turn, and
 * answer with what is there by then, or is built.  AQ_USER with b->must_be_private: the
 * same is to be tried in the domain of b->uid.
 */
AQ_CHECK int serve(struct build *b, struct aq_err *err);

/* -- build.c -- */
/* Whether nobody waits for the build any more, or it has taken too long; for
 * aq_flock_wait().
 */
bool build_is_over(void *build);
/* No environment comes of it, and nothing is remembered or counted of it. */
static inline bool build_is_look(const struct build *b)
{
	return b->is_explain || b->is_fetch;
}
/* Enter the caches, until *ret_caches is closed, with a cage, and find b->lock. */
AQ_CHECK int build_resolve(struct build *b, int *ret_caches, struct aq_err *err);
/* AQ_USER or AQ_SYS: this key failed not long ago, and would again. */
AQ_CHECK int build_recall_failure(struct build *b, struct aq_err *err);
/* It is our turn and the environment is missing: build, commit, answer.  May be
 * tried again.
 */
AQ_CHECK int build(struct build *b, struct aq_err *err);
/* It failed for good: the next ones of its key are to know, as b->verdict says.
 */
void build_remember_failure(struct build *b, const struct aq_err *why);
/* Answer with 'env'; 'outcome' is how the key came to it.  AQ_MISS: it is gone. */
AQ_CHECK int build_answer(struct build *b, const struct aq_env *env,
			  enum aq_tally_what outcome, struct aq_err *err);
/* The environment that was just answered becomes base b->as_base. */
AQ_CHECK int build_become_base(struct build *b, struct aq_err *err);
/* Answer from the store, if by now the key has what fits this node.  AQ_MISS: it has
 * not, or 'is_new': another is wanted all the same.
 */
AQ_CHECK int build_look_again(struct build *b, bool is_new, struct aq_err *err);

#endif
