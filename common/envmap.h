/* SPDX-License-Identifier: Apache-2.0 */
/* A set of variables, sorted by name: what an environment is while it is being
 * computed.  Out of memory makes it broken, as with common/str.h.
 */
#ifndef AQ_ENVMAP_H
#define AQ_ENVMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

struct aq_envvar {
	const char *name; /* owned by the maps that hold the variable */
	const char *value;
};

/* Variables of one task, as a sanity bound. */
#define AQ_ENVMAP_MAX (64 * 1024)

struct aq_envmap {
	struct aq_envvar *v;
	size_t n;
	bool is_broken;
};

/* The variables of a NULL-terminated NAME=VALUE array.  Of two of one name the
 * first counts, as for getenv(3); what has no '=' is passed over.
 */
void aq_envmap_load(struct aq_envmap *map, char *const env[]);
/* Into an empty one; the variables themselves are shared. */
void aq_envmap_copy(struct aq_envmap *ret, const struct aq_envmap *from);
void aq_envmap_free(struct aq_envmap *map);

/* The value, owned by 'map' until the next change of it, or NULL. */
const char *aq_envmap_get(const struct aq_envmap *map, const char *name);
void aq_envmap_set(struct aq_envmap *map, const char *name, const char *value);
void aq_envmap_unset(struct aq_envmap *map, const char *name);

/* Call 'each', by name, for what one of the two lacks (NULL) or holds with another
 * value.
 */
void aq_envmap_differ(const struct aq_envmap *was, const struct aq_envmap *is,
		      void (*each)(const char *name, const char *was,
				   const char *is, void *arg),
		      void *arg);

#define cleanup_envmap __attribute__((cleanup(aq_envmap_free)))

#endif
