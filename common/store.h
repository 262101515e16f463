/* SPDX-License-Identifier: Apache-2.0 */
/* cache.db: which environments this node has, and for which requests.  Only a
 * row says that an environment is valid, never a directory.
 *
 * Tables (schema in store_schema.c, versioned by PRAGMA user_version, with
 * migrations): environments; keys (key -> environment, several locks a key);
 * requests ((digest, context) -> key, with the canonical bytes); failures
 * (key -> reason, until); workflows (common/workflows.h).
 * Rollback journal, synchronous=EXTRA: several SQLite releases can corrupt a
 * WAL with two writers.  No transaction is open during a build; no handle
 * crosses a fork or outlives a hook's worker.
 */
#ifndef AQ_STORE_H
#define AQ_STORE_H

#include <stdint.h>

#include "common/conf.h"
#include "common/envops.h"
#include "common/err.h"
#include "common/request.h"
#include "common/sha256.h"
#include "common/str.h"

#define AQ_ENV_LOCK_DIGITS 20 /* of the lock's digest, in a name */
#define AQ_ENV_NAME_SIZE 40   /* those, '-', generation, NUL */
#define AQ_ENV_REASON_SIZE 512 /* bytes: a few lines of a terminal */
#define AQ_STORE_ENVS_MAX (1024 * 1024) /* of a cache */

enum aq_env_kind {
	AQ_ENV_CREATED,
	AQ_ENV_LINKED,
	AQ_ENV_INHERITED,
	AQ_ENV_BASE,
};
/* "created", "linked", "inherited", "base": also AQ_RESOLUTION's words. */
const char *aq_env_kind_name(enum aq_env_kind kind);
#define AQ_ENV_MADE_SIZE 48 /* room for the longest of the next */

/* One environment. */
struct aq_env {
	char name[AQ_ENV_NAME_SIZE];
	char lock[AQ_SHA256_HEX_SIZE];
	uint32_t generation;         /* 1, 2, … of one lock */
	enum aq_env_kind kind;
	char base[AQ_ENV_NAME_SIZE]; /* inherited: the base's name, else "" */
	char python[32];             /* full version, or "" */
	uint64_t created;    /* Unix seconds; for people and LRU order only */
	uint64_t last_used;  /* the same */
	uint64_t uses;
	uint64_t build_ms;
	uint64_t size_own;    /* bytes that only this environment holds */
	uint64_t size_shared; /* bytes hard-linked elsewhere too */
	/* why it is not of a cheaper kind, for people, without control
	 * characters; "" where there is none
	 */
	const char *reason;
	bool pinned;
	uint32_t packages; /* of its lock: a base's are not among them */
	uint32_t uid; /* for whom it was built first; 0: root, for everybody */
	char *ops; /* activation, serialised (common/envops.h) */
	size_t ops_len;
};

/* The name of the environment that is 'generation' of 'lock' (a digest). */
void aq_env_make_name(const char *lock, uint32_t generation,
		      char ret[AQ_ENV_NAME_SIZE]);
/* Whether 'name' could be one's: it becomes a path. */
bool aq_env_is_name(const char *name);
/* Whether env->name is that of its lock and generation. */
bool aq_env_is_named_well(const struct aq_env *env);

/* How it came about, for people: "created", "inherited from base 3.9", "built
 * as a base".
 */
void aq_env_say_made(const struct aq_env *env, char ret[AQ_ENV_MADE_SIZE]);

void aq_env_free(struct aq_env *env);
DEFINE_CLEANUP(aq_env);
#define cleanup_env __attribute__((cleanup(aq_env_cleanup_)))

enum aq_store_mode {
	AQ_STORE_READ,
	AQ_STORE_WRITE,
	/* to write, by who has minutes' work to lose: waits for others */
	AQ_STORE_BUILD,
	/* the same, and every page is read first, so that damage anywhere is
	 * found and healed; once is enough for one who comes back
	 */
	AQ_STORE_EXAMINE,
};

struct aq_store;

/* Open conf->cache_dir/cache.db.  AQ_STORE_READ: AQ_MISS if it is not there,
 * AQ_CORRUPT if damaged or foreign; a miss for the caller.  The other modes
 * make it, filled from the manifests (common/manifest.h); a damaged or foreign
 * one is first set aside as cache.db.corrupt-N.
 * Waits at most AQ_STORE_BUSY_MS (the last two: AQ_STORE_PATIENCE_MS) for locks,
 * over the handle's whole life, then AQ_BUSY.  AQ_MISS (the last two: AQ_SYS,
 * since nothing can be built for it): written by a newer version (said in err->text).
 * A reader too may have to roll back what a killed writer left.
 */
#define AQ_STORE_BUSY_MS 1000 /* half of a hook's worker's time */
#define AQ_STORE_PATIENCE_MS 30000
AQ_CHECK int aq_store_open(const struct aq_conf *conf, enum aq_store_mode mode,
			   struct aq_store **ret, struct aq_err *err);
void aq_store_close(struct aq_store *store);
#define aq_store_free aq_store_close
DEFINE_CLEANUP(aq_store);
#define cleanup_store __attribute__((cleanup(aq_store_cleanup_)))

/* The ready environment of a request in 'context' (common/key.h), compared by
 * its canonical bytes, not only by the digest.  AQ_MISS if there is none.
 */
AQ_CHECK int aq_store_find(struct aq_store *store, const char *digest,
			   const char *context, const char *canonical,
			   struct aq_env **ret, struct aq_err *err);
/* By key (the one tied to it last), by lock (its newest generation), by name
 * or a prefix of it (AQ_USER: several begin like that).
 */
AQ_CHECK int aq_store_find_key(struct aq_store *store, const char *key,
			       struct aq_env **ret, struct aq_err *err);
AQ_CHECK int aq_store_find_lock(struct aq_store *store, const char *lock,
				struct aq_env **ret, struct aq_err *err);
AQ_CHECK int aq_store_find_name(struct aq_store *store, const char *name,
				struct aq_env **ret, struct aq_err *err);

/* From now on the first two find the one tied last of those for which 'fits' returns 0:
 * with AQ_USER it is passed over, anything else they fail with.
 */
typedef int (*aq_store_fits_fn)(const char *env_name, void *arg,
				struct aq_err *err);
void aq_store_find_only(struct aq_store *store, aq_store_fits_fn fits,
			void *arg);

/* Whether there is one of exactly that name. */
AQ_CHECK int aq_store_has_name(struct aq_store *store, const char *name,
			       bool *ret, struct aq_err *err);
/* Whether 'key' was ever asked for outside of any workflow. */
AQ_CHECK int aq_store_is_plain(struct aq_store *store, const char *key,
			       bool *ret, struct aq_err *err);
/* From now on it was. */
AQ_CHECK int aq_store_make_plain(struct aq_store *store, const char *key,
				 struct aq_err *err);

/* Requests remembered of one key: they differ in what does not matter to the
 * environment, their variables.
 */
#define AQ_STORE_REQUESTS_MAX 256

/* What ties a request to an environment. */
struct aq_binding {
	const char *key;
	const char *digest;
	const char *context;
	const char *canonical;
	/* asked for by a workflow; else plainly, which holds the key for good */
	bool is_of_workflow;
	/* an environment of the key that does not fit this node as it is, and keeps its
	 * place before this one for when it does again; NULL or "": none
	 */
	const char *behind;
};

/* Commit a new environment (another of its name must not be there: AQ_BUSY; and
 * it must be that of its lock and generation: AQ_SYS) with its binding, in one
 * transaction; a remembered failure of the key goes.  What is tied to a key last is
 * what it leads to, unless it is b->behind another.
 */
AQ_CHECK int aq_store_commit(struct aq_store *store, const struct aq_env *env,
			     const struct aq_binding *b, struct aq_err *err);

/* Tie one more request to an environment that is there (AQ_MISS if not); its
 * key leads there from now on.
 */
AQ_CHECK int aq_store_bind(struct aq_store *store, const char *env_name,
			   const struct aq_binding *b, struct aq_err *err);

/* Remove an environment's row and what was tied to it; AQ_MISS if it is not
 * there.  Its files are the caller's.
 */
AQ_CHECK int aq_store_remove(struct aq_store *store, const char *env_name,
			     struct aq_err *err);

/* The generation that the next environment of 'lock' gets: one more than any
 * that the table or the directories (envs/, meta/, trash/) hold.
 */
AQ_CHECK int aq_store_next_generation(struct aq_store *store, const char *lock,
				      uint32_t *ret, struct aq_err *err);

/* Count one use; AQ_MISS if it is not there. */
AQ_CHECK int aq_store_used(struct aq_store *store, const char *env_name,
			   uint64_t now, struct aq_err *err);

/* Failures remembered at once; an array has one. */
#define AQ_STORE_FAILURES_MAX 1000

/* A verdict about a request, remembered for 'ttl' seconds so that an array of
 * 10,000 tasks fails fast.  'now' is Unix seconds; an entry from the future (a
 * clock was set back) counts as expired.
 */
AQ_CHECK int aq_store_fail_put(struct aq_store *store, const char *key,
			       const struct aq_err *why, uint64_t now,
			       uint64_t ttl, struct aq_err *err);
/* AQ_MISS: none.  AQ_USER or AQ_SYS: there is one, of that class, its reason in
 * err->text, for 'ret_left' seconds more.
 */
AQ_CHECK int aq_store_fail_get(struct aq_store *store, const char *key,
			       uint64_t now, uint64_t *ret_left,
			       struct aq_err *err);

/* Say what 'env' takes on disk by now; AQ_MISS: it is gone. */
AQ_CHECK int aq_store_resize(struct aq_store *store, const struct aq_env *env,
			     struct aq_err *err);

/* The bytes that environments alone hold, together; uid not 0: those that were
 * built for that user.
 */
AQ_CHECK int aq_store_size(struct aq_store *store, uint32_t uid, uint64_t *ret,
			   struct aq_err *err);

/* What environments of 'kind' took so far, on average; *ret_n of them. */
AQ_CHECK int aq_store_typical(struct aq_store *store, enum aq_env_kind kind,
			      uint64_t *ret_n, uint64_t *ret_build_ms,
			      uint64_t *ret_size_own, struct aq_err *err);

/* -- verifying; store_verify.c -- */

/* Read every page: AQ_CORRUPT says what is damaged, foreign, or leads nowhere. */
AQ_CHECK int aq_store_check(struct aq_store *store, struct aq_err *err);
/* Append the names of all environments, also of rows that cannot be read. */
AQ_CHECK int aq_store_names(struct aq_store *store, struct aq_strv *ret,
			    struct aq_err *err);
/* By its whole name.  AQ_CORRUPT: its row cannot be read. */
AQ_CHECK int aq_store_find_exact(struct aq_store *store, const char *name,
				 struct aq_env **ret, struct aq_err *err);
/* Call 'fn' for everything that is tied to an environment, the last that was
 * tied to a key last; the texts are valid inside it only.
 */
typedef int (*aq_store_binding_fn)(const struct aq_binding *b, void *arg,
				   struct aq_err *err);
AQ_CHECK int aq_store_bindings(struct aq_store *store, const char *env_name,
			       aq_store_binding_fn fn, void *arg,
			       struct aq_err *err);
/* Remove a row that cannot be read, with what is tied to it. */
AQ_CHECK int aq_store_remove_damaged(struct aq_store *store,
				     const char *env_name, struct aq_err *err);
/* Remove what leads to environments that are not there. */
AQ_CHECK int aq_store_untie(struct aq_store *store, struct aq_err *err);
/* Make the row of 'name' from its manifest, if that is whole and its prefix is
 * there.
 */
AQ_CHECK int aq_store_adopt(struct aq_store *store, const struct aq_conf *conf,
			    const char *name, struct aq_err *err);

/* What a list is sorted by: names from the lowest, numbers from the greatest,
 * times from the latest; what is equal by name.
 */
enum aq_store_order {
	AQ_STORE_BY_NAME,
	AQ_STORE_BY_SIZE, /* own and shared */
	AQ_STORE_BY_OWN,
	AQ_STORE_BY_USES,
	AQ_STORE_BY_USED, /* last use */
	AQ_STORE_BY_CREATED,
};
/* The same as a number that is sorted upwards, what is equal by name; or the
 * other way round.  By name all are equal.
 */
uint64_t aq_store_sort_key(const struct aq_env *env, enum aq_store_order order,
			   bool is_reverse);
/* Call 'each' for every environment in that order, or the other way round,
 * until it returns non-zero, which is returned.  They come without their
 * activation (ops_len 0), which is most of a row.  Nobody waits for 'each': they
 * are as they were at the first.
 */
typedef int (*aq_store_each_fn)(const struct aq_env *env, void *arg,
				struct aq_err *err);
AQ_CHECK int aq_store_each(struct aq_store *store, enum aq_store_order order,
			   bool is_reverse, aq_store_each_fn each, void *arg,
			   struct aq_err *err);

/* Append the digests of the requests that lead to 'env_name', each once. */
AQ_CHECK int aq_store_digests(struct aq_store *store, const char *env_name,
			      struct aq_strv *ret, struct aq_err *err);

#endif
