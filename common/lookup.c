/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lookup.h"

#include "common/answer_fill.h"
#include "common/base.h"
#include "common/host.h"
#include "common/key.h"
#include "common/store.h"

int aq_look_up(const struct aq_conf *conf, const struct aq_request *req,
	       struct aq_answer *answer, bool *ret_is_plain, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_free char *context = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_fit fit;
	char key[AQ_SHA256_HEX_SIZE];
	struct aq_base base;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = aq_base_context(store, conf, req, &context, &base, err);
	if (!rc)
		rc = aq_key(req, context, key, err);
	if (!rc)
		aq_fit_only(conf, store, &fit);
	if (!rc)
		rc = aq_store_find(store, req->digest, context, req->canonical,
				   &env, err);
	if (!rc)
		rc = aq_store_is_plain(store, key, ret_is_plain, err);
	if (rc)
		return rc;
	return aq_answer_fill(answer, conf, env, key, req, "reused", err);
}
