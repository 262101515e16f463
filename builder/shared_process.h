/* SPDX-License-Identifier: Apache-2.0 */
/* The process that touches shared_dir for a build, as its supervisor knows it
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
	bool is_off; /* not for this build any more */
};
#define SHARED_PROCESS_INIT { .to = -1, .from = -1, .errors = -1 }

#endif
