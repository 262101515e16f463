/* SPDX-License-Identifier: Apache-2.0 */
/* Ways in which a database can be damaged, chosen by a number. */
#ifndef AQ_DAMAGE_H
#define AQ_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

/* The next of a sequence that 'state' alone decides; below 'n'. */
uint64_t dice(uint64_t *state, uint64_t n);

/* A whole database, and a journal that rolls back to it. */
struct whole {
	struct aq_str db, journal;
};

/* Write the database 'path' with what is beside it, damaged as *state decides; what
 * was there is gone.  Returns what was done, for people.
 */
const char *damage(const char *path, const struct whole *whole,
		   uint64_t *state);

#endif
