/* SPDX-License-Identifier: Apache-2.0 */
/* Time that passes, whatever is done to the clock. */
#ifndef AQ_CLOCK_H
#define AQ_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in microseconds, and in milliseconds. */
static inline int64_t aq_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t aq_now_ms(void)
{
	return aq_now_us() / 1000;
}

#endif
