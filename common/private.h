/* SPDX-License-Identifier: Apache-2.0 */
/* A private domain: what one user may not share (common/domain.h).  It is a
 * cache of its own, whole, with its own database, references and locks, so that
 * all that works on a cache works on it:
 *
 *   cache_dir/private/UID       0750, root's; an ACL lets that user read it
 *   cache_dir/private/UID/user  their name: a recycled uid is somebody else
 *   run_dir/private/UID
 *   public_dir/private/UID      0750, as above
 *
 * Its builder_user and probe_user are that user; the site's credentials and shared_dir
 * are not there, nor are bases: nothing of it is tied to what others have.
 */
#ifndef AQ_PRIVATE_H
#define AQ_PRIVATE_H

#include <stdint.h>

#include "common/conf.h"

/* From the node's configuration *conf to that of 'uid' there, which owns the former
 * as ->site.  AQ_USER: it is root, for whom there is none; AQ_SYS: there is no
 * such account; *conf is as it was then.
 */
AQ_CHECK int aq_private_enter(struct aq_conf **conf, uid_t uid,
			      struct aq_err *err);

/* The same as whoever it was made for, who may be no account any more; AQ_MISS:
 * there is none.
 */
AQ_CHECK int aq_private_open(struct aq_conf **conf, uid_t uid,
			     struct aq_err *err);

/* Whether 'uid' has one on this node: since the boot, or at all. */
bool aq_private_is_in_use(const struct aq_conf *site, uid_t uid);
bool aq_private_exists(const struct aq_conf *site, uid_t uid);
/* Whether it has a public part: for users, who cannot look at the others. */
bool aq_private_is_public(const struct aq_conf *site, uid_t uid);

/* Where the run_dir of 'uid' would be. */
void aq_private_run_dir(const struct aq_conf *site, uid_t uid, char *ret,
			size_t size);

/* aq_layout_prepare()'s last part: let the user in, and nobody else.  AQ_SYS: it
 * was made for another user, who had this uid.
 */
AQ_CHECK int aq_private_settle(const struct aq_conf *conf, struct aq_err *err);

/* Call 'fn' with each private domain of this node, by uid, until it returns
 * non-zero, which is returned.  Their users may be no accounts any more.
 */
typedef int aq_private_each_fn(struct aq_conf *conf, void *arg,
			       struct aq_err *err);
AQ_CHECK int aq_private_each(const struct aq_conf *site,
			     aq_private_each_fn *fn, void *arg,
			     struct aq_err *err);

/* With that of 'uid' alone, if there is one. */
AQ_CHECK int aq_private_one(const struct aq_conf *site, uid_t uid,
			    aq_private_each_fn *fn, void *arg,
			    struct aq_err *err);

/* The node's own of either; 'conf' itself if it is no private one. */
static inline const struct aq_conf *aq_conf_site(const struct aq_conf *conf)
{
	return conf->site ? conf->site : conf;
}

#endif
