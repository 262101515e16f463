/* SPDX-License-Identifier: Apache-2.0 */
/* The accounts that builds run as. */
#ifndef AQ_IDENTITY_H
#define AQ_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct identity {
	uid_t uid;
	gid_t gid;
	char name[64];
};

/* The account 'name', which must not be root.  Personal: oneself. */
AQ_CHECK int identity_find(const char *name, bool is_personal,
			   struct identity *ret, struct aq_err *err);
/* Become 'who' for good, and make sure; in a child before exec. */
AQ_CHECK bool identity_become(const struct identity *who);

#endif
