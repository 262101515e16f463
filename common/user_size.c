/* SPDX-License-Identifier: Apache-2.0 */
#include "common/user_size.h"

#include "common/private.h"
#include "common/store.h"

static int size_in(const struct aq_conf *conf, uint32_t uid, uint64_t *ret,
		   struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	return rc ? rc : aq_store_size(store, uid, ret, err);
}

/* No cache yet is an empty one. */
static int add_size(const struct aq_conf *conf, uint32_t uid, uint64_t *sum,
		    struct aq_err *err)
{
	uint64_t size = 0;
	int rc = size_in(conf, uid, &size, err);

	*sum += rc ? 0 : size;
	return rc == AQ_MISS ? 0 : rc;
}

struct sum {
	uint32_t uid;
	uint64_t bytes;
};

static int add_private(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	struct sum *s = arg;

	return add_size(conf, s->uid, &s->bytes, err);
}

int aq_user_size(const struct aq_conf *site, uint32_t uid, uint64_t *ret,
		 struct aq_err *err)
{
	struct sum s = { .uid = uid };
	int rc = add_size(site, uid, &s.bytes, err);

	if (!rc && aq_private_exists(site, uid))
		rc = aq_private_one(site, uid, add_private, &s, err);
	if (!rc)
		*ret = s.bytes;
	return rc;
}

uint64_t aq_user_quota(const struct aq_conf *conf)
{
	uint64_t shared = 0;

	if (!conf->site || !conf->user_quota ||
	    size_in(conf->site, conf->domain.uid, &shared, NULL) != 0)
		return conf->user_quota;
	/* 0 would be no limit */
	return shared < conf->user_quota ? conf->user_quota - shared : 1;
}
