/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow by one. */
#ifndef AQ_GROW_H
#define AQ_GROW_H

#include <stddef.h>

/* Make room in the array 'v' (NULL while it is empty) of 'n' items for one
 * more: whether there is.  There is none without memory (errno ENOMEM), and for
 * 'max' items at most (EOVERFLOW).  How many 'v' has room for follows from 'n',
 * so it is no array that was allocated otherwise.
 */
#define aq_grow(v, n, max)                                                     \
	({                                                                     \
		void *grown_ = aq_grow_to((v), (n), sizeof(*(v)), (max));      \
		if (grown_)                                                    \
			(v) = grown_;                                          \
		grown_ != NULL;                                                \
	})

/* For aq_grow(): 'v', moved if it had to be, or NULL. */
void *aq_grow_to(void *v, size_t n, size_t item, size_t max);

#endif
