/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the checkout that say what the code's tables say. */
#ifndef AQ_PAGE_H
#define AQ_PAGE_H

#include <stddef.h>

/* A file of the checkout, by its path there; the caller frees it.  Fails the test if
 * it cannot be read.
 */
char *page_read(const char *name);
/* How often 'what' is in 'text'. */
size_t page_count(const char *text, const char *what);

#endif
