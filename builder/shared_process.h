/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that touch shared_dir for a build, as its supervisor knows them
 * (shared.h).
 */
#ifndef AQ_SHARED_PROCESS_H
#define AQ_SHARED_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/str.h"

struct shared_process {
	pid_t pid; /* 0: there is none */
	int to, from, errors; /* pipes; or -1 */
	struct aq_str said;
	size_t at; /* what of it was taken */
	uint64_t generation; /* of the lock that it said */
	unsigned groups; /* of archives, that it has claimed */
	int64_t since; /* when it last got something, aq_now_ms() */
	bool has_got; /* something that was not said yet */
};
#define SHARED_PROCESS_INIT { .to = -1, .from = -1, .errors = -1 }

struct sharing {
	/* two, as a resolver may need packages */
	struct shared_process locks, archives;
	unsigned groups; /* of archives, that this node downloads now */
	bool is_off; /* not for this build any more */
	bool is_alone; /* what it resolves to is for this node */
	bool is_adopted; /* b->lock is another node's */
	bool is_next; /* b->lock is published once it is built … */
	uint64_t replaced; /* … unless one above this generation is */
};
#define SHARING_INIT { .locks = SHARED_PROCESS_INIT, .archives = SHARED_PROCESS_INIT }

#endif
