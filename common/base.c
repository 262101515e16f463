/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base.h"

#include <stdio.h>
#include <string.h>

#include "common/key.h"
#include "common/vmatch.h"

bool aq_base_is_name(const char *text)
{
	size_t major = strspn(text, "0123456789"), minor;

	if (!major || text[major] != '.')
		return false;
	minor = strspn(text + major + 1, "0123456789");
	return minor && !text[major + 1 + minor] &&
	       strlen(text) < AQ_BASE_PYTHON_SIZE;
}

const char *aq_base_of_mark(const char *name)
{
	const char *python = name + strlen(AQ_BASE_MARK);

	return aq_starts_with(name, AQ_BASE_MARK) && aq_base_is_name(python) ?
		       python : NULL;
}

void aq_base_name_of(const char *full, char ret[AQ_BASE_PYTHON_SIZE])
{
	size_t len = strcspn(full, ".");

	len += full[len] ? 1 + strcspn(full + len + 1, ".") : 0;
	snprintf(ret, AQ_BASE_PYTHON_SIZE, "%.*s", (int)len, full);
	if (len >= AQ_BASE_PYTHON_SIZE || !aq_base_is_name(ret))
		*ret = '\0';
}

const struct aq_base *aq_base_choose(const struct aq_bases *bases,
				     const struct aq_request *req)
{
	if (!req->python || req->is_isolated)
		return NULL;
	for (size_t i = 0; i < bases->n; i++)
		if (aq_vspec_matches(req->python, bases->v[i].full) ==
		    AQ_MATCH_YES)
			return &bases->v[i];
	return NULL;
}

int aq_base_context(struct aq_store *store, const struct aq_conf *conf,
		    const struct aq_request *req, char **ret_context,
		    struct aq_base *ret_base, struct aq_err *err)
{
	const struct aq_base *base;
	struct aq_bases bases;
	int rc = aq_store_bases(store, &bases, err);

	if (rc)
		return rc;
	base = aq_base_choose(&bases, req);
	rc = aq_key_context(conf, &conf->domain, base ? base->lock : NULL,
			    ret_context, err);
	if (!rc)
		*ret_base = base ? *base : (struct aq_base){ 0 };
	return rc;
}
