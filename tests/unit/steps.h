/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of two jobs, and what they hold. */
#ifndef AQ_STEPS_H
#define AQ_STEPS_H

#include "common/lease.h"
#include "common/refs.h"

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

extern const struct aq_step step0, step1, batch, other;

/* refs.db, to be closed; how many references hold 'digest' (NULL: any). */
struct aq_refs *must_open(const struct aq_conf *conf);
uint64_t count(struct aq_refs *refs, const char *digest);
int take(struct aq_refs *refs, const struct aq_step *step, const char *digest);

/* The path of a lease; write 'text' at 'at' of step0's; what is so of one. */
char *lease_path(const struct aq_conf *conf, const struct aq_step *step);
void write_lease(const struct aq_conf *conf, size_t at, const char *text);
bool is_free(const struct aq_conf *conf, const struct aq_step *step);
bool has_lease_file(const struct aq_conf *conf, const struct aq_step *step);

/* A child that holds the lease of 'step' until it is killed; kill it. */
pid_t hold(const struct aq_conf *conf, const struct aq_step *step);
void end(pid_t pid);

#endif
