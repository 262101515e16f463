/* SPDX-License-Identifier: Apache-2.0 */
/* Reflinks: files that share their blocks with others. */
#ifndef AQ_EXTENTS_H
#define AQ_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the file system of 'fd' has reflinks. */
bool aq_extents_may_be_shared(int fd);
/* Bytes of a regular file that other files hold too; 0 where that cannot be
 * said.
 */
uint64_t aq_extents_shared(int fd);

#endif
