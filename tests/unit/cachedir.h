/* SPDX-License-Identifier: Apache-2.0 */
/* A node's directories for one test: below /tmp, removed afterwards. */
#ifndef AQ_CACHEDIR_H
#define AQ_CACHEDIR_H

#include "common/conf.h"
#include "common/refs.h"
#include "common/lock.h"
#include "common/store.h"

/* cmocka's setup and teardown of one test: *state is the struct aq_conf, whose
 * directories are laid out, empty.
 */
int cachedir_setup(void **state);
int cachedir_setup_in_memory(void **state); /* in /dev/shm, a tmpfs */
int cachedir_teardown(void **state);

/* An environment of the n-th lock with its request; free with sample_free(). */
struct sample {
	struct aq_env env;
	struct aq_binding tie;
	struct aq_lock *lock;
	char key[AQ_SHA256_HEX_SIZE], digest[AQ_SHA256_HEX_SIZE];
	char canonical[64], ops[64];
};
struct sample *sample(unsigned int n, uint32_t generation);
void sample_free(struct sample *s);

/* The store, which can be opened; the sample's row, which can be made. */
struct aq_store *must_open_store(const struct aq_conf *conf,
				 enum aq_store_mode mode);
void commit_sample(struct aq_store *store, const struct sample *s);

/* How often a random, fault or load test tries: the variable 'name'. */
unsigned long count_of(const char *name, unsigned long otherwise);

/* A file below one of conf's directories. */
char *path_below(const char *dir, const char *name);
/* Write mem[0..len) at 'offset' of a file, which is made if need be. */
void scribble(const char *path, long offset, const void *mem, size_t len);
/* The permission bits of a file. */
unsigned int mode_of(const char *path);

/* A step finds 'env', as aq_refs_hold_built() with a hit. */
int hold_hit(struct aq_refs *refs, const struct aq_step *step, const char *env,
	     uint64_t now);

#endif
