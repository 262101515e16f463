/* SPDX-License-Identifier: Apache-2.0 */
/* Bases: environments that the administrator prepared, one for each version of
 * Python ("3.11"); a request for that Python inherits from it.
 *
 * Which one is current is a row of cache.db and a mark in meta/, from which the
 * row can be rebuilt: meta/base-3.11 holds the environment's name.  A base that
 * was replaced stays an environment until nobody inherits from it any more.
 */
#ifndef AQ_BASE_H
#define AQ_BASE_H

#include "common/conf.h"
#include "common/request.h"
#include "common/store.h"

#define AQ_BASE_PYTHON_SIZE 16 /* "3.11" */
#define AQ_BASE_MARK "base-"   /* before PYTHON: its mark in meta/ */
#define AQ_BASES_MAX 64        /* versions of Python on one node */

struct aq_base {
	char python[AQ_BASE_PYTHON_SIZE];
	char env[AQ_ENV_NAME_SIZE];
	char lock[AQ_SHA256_HEX_SIZE]; /* digest: part of its children's keys */
	char full[32];                 /* "3.11.9" */
};
struct aq_bases {
	struct aq_base v[AQ_BASES_MAX];
	size_t n; /* sorted, the newest Python first */
};

/* Whether 'text' is what a base is called: "3.11". */
bool aq_base_is_name(const char *text);

/* Of which base the file 'name' of meta/ is the mark: "3.11", in 'name'; NULL: of none. */
const char *aq_base_of_mark(const char *name);

/* What a base with the Python 'full' ("3.11.9") is called; "" if it is none. */
void aq_base_name_of(const char *full, char ret[AQ_BASE_PYTHON_SIZE]);

/* All current bases; none is no failure. */
AQ_CHECK int aq_store_bases(struct aq_store *store, struct aq_bases *ret,
			    struct aq_err *err);

/* The base that 'req' inherits from: that of the newest Python among those
 * that it admits.  NULL: none, or 'req' does not want one.
 */
const struct aq_base *aq_base_choose(const struct aq_bases *bases,
				     const struct aq_request *req);

/* The context (common/key.h) of 'req' on this node as it is now, and the base
 * in it: ret_base->env is "" without one.  *ret_context is malloc'ed.
 */
AQ_CHECK int aq_base_context(struct aq_store *store, const struct aq_conf *conf,
			     const struct aq_request *req, char **ret_context,
			     struct aq_base *ret_base, struct aq_err *err);

/* Make environment 'env_name' the base of 'python', in place of another.
 * AQ_MISS: there is no such environment; AQ_USER: it has another Python.
 */
AQ_CHECK int aq_store_base_set(struct aq_store *store, const char *python,
			       const char *env_name, struct aq_err *err);
/* How many environments inherit from 'env_name'. */
AQ_CHECK int aq_store_children(struct aq_store *store, const char *env_name,
			       uint64_t *ret, struct aq_err *err);
/* Append their names, sorted. */
AQ_CHECK int aq_store_child_names(struct aq_store *store, const char *env_name,
				  struct aq_strv *ret, struct aq_err *err);
/* From now on 'python' has none; AQ_MISS if it had none. */
AQ_CHECK int aq_store_base_unset(struct aq_store *store, const char *python,
				 struct aq_err *err);

#endif
