/* SPDX-License-Identifier: Apache-2.0 */
/* What packages need of a node, as clients' virtual packages have it: of the C library
 * and the kernel alone.  Drivers and processors only clients know how to tell.
 */
#ifndef AQ_SHARED_HOST_H
#define AQ_SHARED_HOST_H

#include "common/err.h"

struct shared_host {
	char glibc[32], kernel[32]; /* versions: "2.36", "6.1.0" */
};
void shared_host_find(struct shared_host *ret);
/* Whether it has what 'need' is about: "__glibc >=2.17", hostile.  AQ_USER: not, or
 * that cannot be told here.
 */
AQ_CHECK int shared_host_has(const struct shared_host *host, const char *need,
			     struct aq_err *err);

#endif
