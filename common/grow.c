/* SPDX-License-Identifier: Apache-2.0 */
#include "common/grow.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define FIRST 16 /* items; a power of two, as all sizes are */

void *aq_grow_to(void *v, size_t n, size_t item, size_t max)
{
	bool is_full = n == 0 || (n >= FIRST && (n & (n - 1)) == 0);

	if (n >= max || max > SIZE_MAX / 2 / item) {
		errno = EOVERFLOW;
		return NULL;
	}
	if (!is_full)
		return v;
	return realloc(v, (n ? 2 * n : FIRST) * item);
}
